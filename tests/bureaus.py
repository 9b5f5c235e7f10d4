"""Two bureaus in one store: every text a delivery can carry names the bureau it came from, so that a leak shows."""

import json
import time
from pathlib import Path
from typing import Any

import oidc
from deliveries import SMALL, csv_file, fen, note_file, record, take
from streamlit.testing.v1 import AppTest

from analytics import verbs
from analytics.reference import root
from analytics.release import Viewer
from analytics.view import asking

FRAME = Path(asking.__file__).with_name("frame.py")
ZHUHAI, WEIHAI = "440400", "371000"
MARKS = {ZHUHAI: "markzhuhai", WEIHAI: "markweihai"}
VIEWERS = {code: Viewer(f"official-{code}", "official", frozenset({code})) for code in MARKS}


def deliver(folder: Path) -> Path:
    """A built store of both, 2021."""
    for position, (code, mark) in enumerate(MARKS.items()):
        first = 1 + 1000 * position
        here = {"insuplc_admdvs": f"{code[:4]}02", "fixmedins_name": f"{mark}医院", "psn_name": mark}
        rows = [record(n, **(SMALL if n % 3 == 0 else {}), **here) for n in range(first, first + 150)]
        rows += [record(first + n, **here, gend=mark) for n in range(150, 155)]
        rows += [record(first + n, **here, year=mark) for n in range(155, 158)]
        file = csv_file(folder / f"{mark}.csv", [{**row, mark: mark} for row in rows])
        told = {"jurisdiction": [code], "sender": f"{mark}局", "remark": f"{mark}备注"}
        note = note_file(folder / f"{mark}-note.toml", [file], [len(rows)], fen(rows) / 100, **told)
        signed = {"reason": f"{mark}理由", "who": f"{mark}人"}
        take(folder, [file], note=note, sign_off=signed)
    verbs.build(folder / "store")
    return folder / "store"


def claims(sub: str, **changed: Any) -> dict[str, Any]:
    """What a login of this moment says."""
    now = int(time.time())
    told = {"is_logged_in": True, "iss": "http://localhost", "sub": sub, "iat": now, "exp": now + 3600}
    return {k: v for k, v in {**told, **changed}.items() if v is not None}


def visit(
    sub: str | None, page: str = "overview", /, login: dict[str, Any] | None = None, **link: str
) -> AppTest:
    """A page as this login meets it."""
    at = AppTest.from_file(str(FRAME), default_timeout=60)
    at.user = login if login is not None else claims(sub) if sub else {"is_logged_in": False}
    for name, value in link.items():
        at.query_params[name] = value
    if page != "overview":
        at.switch_page(str(root() / "pages" / f"{page}.py"))
    return at.run()


def sent(at: AppTest) -> bytes:
    """All that a run sends to the browser."""
    found: list[bytes] = []

    def walk(node: Any) -> None:
        proto = getattr(node, "proto", None)
        if proto is not None:
            found.append(proto.SerializeToString())
        for child in getattr(node, "children", {}).values():
            walk(child)

    walk(at._tree)
    return b"\n".join(found) + json.dumps(dict(at.query_params), ensure_ascii=False).encode()


def served(folder: Path, store: Path, monkeypatch: Any, text: str = oidc.GRANTS) -> Path:
    """Serve a store to others from here on, in this process; returns the configuration."""
    if not (folder / "grants.toml").exists():
        oidc.grants(folder, text)
    path = oidc.configuration(folder, 8501, 8502)
    monkeypatch.setenv("JIANFU_STORE", str(store))
    monkeypatch.setenv("JIANFU_SERVER", str(path))
    return path
