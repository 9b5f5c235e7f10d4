"""Many readers at once in one process: a page is five questions about a random city-year, asked of the facts.

.venv/bin/python tests/benchmarks/readers.py [--rows 10000000] [--rounds 1] [--folder FOLDER]
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from grown import grown

from analytics.measures import Book
from analytics.store import QueryTimeout

PAGE: list[tuple[str, list[str], dict[str, str]]] = [
    ("tier_share", ["tier"], {}),
    ("effective_reimbursement_rate", ["cost_band"], {}),
    ("catastrophic_headcount", ["tier"], {"threshold": "0.10"}),
    ("own_burden_mean", ["insurance_type"], {}),
    ("catastrophic_overshoot", [], {"threshold": "0.25"}),
]
READERS = (1, 2, 4, 8, 16, 32)
SECONDS = 10.0  # of every crowd


def crowd(book: Book, readers: int, seconds: float, heavy: bool = False) -> dict[str, float]:
    """Pages of so many readers who read without a pause: p50 and p95 in seconds, pages a second, errors. `heavy`: besides, a question
    about everything is asked without end.
    """
    places, until = book.places, time.perf_counter() + seconds
    times: list[float] = []
    wrong: list[BaseException] = []
    enough = threading.Event()

    def read(seed: int) -> None:
        draw = random.Random(seed)
        while time.perf_counter() < until:
            city, year = draw.choice(places)
            where = {"city": [city], "plan_year": [year]}
            began = time.perf_counter()
            try:
                for name, by, given in PAGE:
                    if not book.ask(name, by, where, given).table.height:
                        raise AssertionError(f"{name}: an empty answer")
            except Exception as error:
                wrong.append(error)
                return
            times.append(time.perf_counter() - began)

    def burden() -> None:
        while not enough.is_set():
            try:
                book.ask("kakwani", ["city", "plan_year", "tier"])
            except QueryTimeout:
                continue  # on a busy machine it may pass its limit; asked again

    background = threading.Thread(target=burden, daemon=True)
    if heavy:
        background.start()
    began = time.perf_counter()
    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    enough.set()
    if heavy:
        background.join()
    if wrong:
        raise wrong[0]
    ordered = sorted(times)
    return {
        "p50": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        "pages": len(ordered) / spent,
        "n": len(ordered),
    }


def results(
    rows: int, rounds: int, folder: Path | None = None, seconds: float = SECONDS
) -> list[dict[str, Any]]:
    """A row per number of readers: `seconds` is the p95 of a page, `ratio` the pages a second against one reader's (bound for 16: at
    least 0.9), both medians of the rounds; an error stops it.
    """
    with tempfile.TemporaryDirectory(prefix="jianfu-bench-") as scratch:
        book = Book(grown(folder or Path(scratch), rows, prepared=1), prepared=False)
        crowd(book, 2, min(2.0, seconds))  # warm
        kinds = [(n, False) for n in READERS] + [(16, True)]
        taken: dict[tuple[int, bool], list[dict[str, float]]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                taken[kind].append(crowd(book, kind[0], seconds, heavy=kind[1]))
        middle = {
            kind: {name: statistics.median(one[name] for one in each) for name in each[0]}
            for kind, each in taken.items()
        }
    alone = middle[1, False]
    found = []
    for (n, heavy), one in middle.items():
        besides = " beside an endless heavy question" if heavy else ""
        found.append({
            "what": f"{n} readers{besides}, page of five questions: p95 (p50 {one['p50'] * 1000:.0f} ms, {one['pages']:.1f} pages/s)",
            "seconds": one["p95"], "against": "one reader's pages a second", "against_seconds": alone["p95"],
            "ratio": one["pages"] / alone["pages"], "rows": rows,
            **({"bound_seconds": 0.6, "bound": 0.9, "least": True} if n == 16 and not heavy else {}),
        })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    for row in results(args.rows, args.rounds, args.folder, args.seconds):
        print(
            f"{row['what']}: {row['seconds'] * 1000:.0f} ms, {row['ratio']:.2f} of {row['against']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
