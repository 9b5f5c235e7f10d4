"""All benchmarks, one after the other, into one table: `make bench`.

    make bench                                                      a million settlements, every part, three rounds
    make bench ROWS=1,10,50                                         in millions; cost against size is drawn
    .venv/bin/python tests/benchmarks/bench.py --parts build --rows 200 --rounds 2

Every part is a file here with `results(rows, rounds)`: what took how long, against what it is measured, the ratio in the same
run and the bound it must hold. Each runs in a process of its own, so that none is charged for another's memory. What was
measured is kept in results.json, part by part and size by size; results.md and the picture are written from it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

HERE = Path(__file__).parent
KEPT, TABLE, PICTURE = HERE / "results.json", HERE / "results.md", HERE / "cost.png"
BUILT = "build of both facts"
GROWTH = 1.05  # cost may grow no faster with size
PARTS = ("ingest", "build", "measures", "readers", "whatif", "runners")
# What a size means to a part: about five settlements a person-year; a city of at most five million persons.
ROWS_OF = {"measures": lambda n: n // 5, "readers": lambda n: n // 5, "whatif": lambda n: min(n, 5_000_000)}
LOADED = 1.5  # of the machine before the run: more than this and the figures are marked
RUN = "import json, sys; from {part} import results; print(json.dumps(results({rows}, {rounds})))"
Row = dict[str, Any]


def measured(part: str, rows: int, rounds: int) -> Row:
    """One part at one size, with the state of the machine."""
    load, start = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(part=part, rows=ROWS_OF.get(part, int)(rows), rounds=rounds)],
        cwd=HERE, env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{part} at {rows:,} rows failed (exit {done.returncode}); nothing of it is kept")
    return {
        "part": part, "size": rows, "rounds": rounds, "load": round(load, 1), "took": round(time.perf_counter() - start),
        "date": time.strftime("%Y-%m-%d"), "rows": json.loads(done.stdout.splitlines()[-1]),
    }  # fmt: skip


def machine() -> dict[str, str]:
    cpu = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    told = {"cpu": f"{cpu[0] if cpu else platform.machine()}, {os.cpu_count()} cores"}
    told |= {"memory": f"{memory[0] / 2**20:.0f} GiB"} if memory else {}
    told["python"] = platform.python_version()
    return told | {name: version(name) for name in ("duckdb", "polars", "pyarrow", "numba")}


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def table(kept: Row) -> str:
    """results.md: a section per part, a line per figure and size."""
    lines = [
        "# 基准结果 Benchmark results",
        "",
        "Written by `make bench`; ratios are of medians in one run.",
        "",
    ]
    lines += [", ".join(f"{k} {v}" for k, v in kept["machine"].items()), ""]
    for part in PARTS:
        runs = [run for run in kept["runs"] if run["part"] == part]
        if not runs:
            continue
        lines += [
            f"## {part}",
            "",
            "| rows | what | s | against | s | ratio | bound | peak MB | |",
            "|---:|---|---:|---|---:|---:|---:|---:|---|",
        ]
        lines += [_line(run["size"], row) for run in runs for row in run["rows"]]
        about = (
            f"{run['size'] / 1e6:g} M: {run['rounds']} rounds, {run['date']}"
            + (f", load {run['load']} before it: figures are too high" if run["load"] > LOADED else "")
            for run in runs
        )
        lines += ["", "; ".join(about), ""]
    return "\n".join(lines)


def _line(size: int, row: Row) -> str:
    ratio, bounds, missed = row.get("ratio"), list[str](), False
    if ratio is not None and (bound := row.get("bound")) is not None:
        least = row.get("least", False)
        bounds.append(f"{'at least ' if least else ''}{bound:.3g}")
        missed |= ratio < bound if least else ratio > bound
    if (limit := row.get("bound_seconds")) is not None:
        bounds.append(f"{limit:g} s")
        missed |= row["seconds"] > limit
    cells = (
        f"{row.get('rows', size) / 1e6:.3g} M", row["what"], _number(row.get("seconds")), row.get("against", ""), _number(row.get("against_seconds")),
        _number(ratio), ", ".join(bounds), _number(row.get("peak_mb"), "{:,.0f}"), ("**missed**" if missed else "holds") if bounds else "",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, form: str = "{:.3g}") -> str:
    return "" if value is None else form.format(value)


def picture(kept: Row) -> bytes | None:
    """Seconds against rows, both logarithmic, of the build and the other ways to the same facts; the dotted line is size^1.05."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for run in kept["runs"]:
        for row in run["rows"] if run["part"] == "build" else ():
            size, other = row["rows"], row.get("against")
            if row["what"] == BUILT and other:
                lines.setdefault(other, []).append((size, row["against_seconds"]))
            elif row["what"] == BUILT:
                lines.setdefault(BUILT, []).append((size, row["seconds"]))
    lines = {name: sorted(points) for name, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    figure = go.Figure()
    for name, points in lines.items():
        x, y = zip(*points, strict=True)
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers")
        if name == BUILT:
            grown = [y[0] * (size / x[0]) ** GROWTH for size in x]
            line = {"dash": "dot", "color": "#9AA5B1", "width": 1}
            figure.add_scatter(x=x, y=grown, mode="lines", showlegend=False, line=line)
    figure.update_layout(
        template="plotly_white", width=900, height=520, legend={"orientation": "h", "y": -0.2},
        margin={"t": 20, "r": 20}, xaxis={"type": "log", "dtick": 1, "title": "settlements"},
        yaxis={"type": "log", "dtick": 1, "title": "seconds"},
    )  # fmt: skip
    sys.path.append(str(HERE.parent))
    from serving import chromium

    for browser in chromium():
        page = browser.new_page(viewport={"width": 900, "height": 520})
        page.set_content(figure.to_html(include_plotlyjs=True))
        page.wait_for_selector(".main-svg")
        return page.screenshot()
    return None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="1", help="millions of settlements, several with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    args = parser.parse_args()
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"runs": []}
    kept["machine"] = machine()
    for size in (round(float(text) * 1e6) for text in args.rows.split(",")):
        for part in args.parts.split(","):
            run = measured(part, size, args.rounds)
            print(f"{part}, {size / 1e6:g} M rows: {run['took']} s", flush=True)
            kept["runs"] = [r for r in kept["runs"] if (r["part"], r["size"]) != (part, size)] + [run]
            kept["runs"].sort(key=lambda r: (PARTS.index(r["part"]), r["size"]))
            KEPT.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            TABLE.write_text(table(kept), encoding="utf-8")
    if drawn := picture(kept):
        PICTURE.write_bytes(drawn)


if __name__ == "__main__":
    main()
