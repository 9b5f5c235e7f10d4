"""Logins that count: looked up on every run, so that expiry, logout and revocation take effect at once.

A login is known by provider, subject and time of issue. The cookie a browser holds for weeks is only a proposal.
"""

import sqlite3
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LONGEST = 8 * 3600  # seconds a login counts, whatever the provider says
_AHEAD = 60  # seconds the provider's clock may be ahead of ours


class LoginOver(ValueError):
    """A login that does not count (any more). `code`: absent, expired, ended, foreign."""

    def __init__(self, code: str) -> None:
        super().__init__(f"login: {code}")
        self.code = code


class Sessions:
    """The table, in one file; safe across threads and processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._con = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        with self._lock:
            self._con.execute("PRAGMA synchronous = FULL")
            self._con.execute(
                "CREATE TABLE IF NOT EXISTS login (iss TEXT, sub TEXT, iat INTEGER, ended INTEGER, PRIMARY KEY (iss, sub, iat))"
            )
            self._con.execute("CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, number INTEGER)")
            # A table that was lost knows no logout: what was issued before it does not count.
            self._con.execute("INSERT OR IGNORE INTO fact VALUES ('since', ?)", [int(time.time()) - _AHEAD])
        self._since = self._number("since")

    def check(self, claims: Mapping[str, Any], now: float | None = None) -> str:
        """The subject of a login that counts now. Raises LoginOver."""
        key, expires = _key(claims), claims.get("exp")
        moment = time.time() if now is None else now
        issued = key[2]
        if not isinstance(expires, (int, float)) or isinstance(expires, bool):
            raise LoginOver("foreign")
        if issued > moment + _AHEAD or issued < self._since:
            raise LoginOver("expired")
        if moment >= min(expires, issued + LONGEST):
            raise LoginOver("expired")
        with self._lock:
            found = self._con.execute(
                "SELECT 1 FROM login WHERE iss = ? AND sub = ? AND iat = ?", key
            ).fetchone()
        if found:
            raise LoginOver("ended")
        return key[1]

    def end(self, claims: Mapping[str, Any]) -> None:
        """Log out: this login never counts again."""
        try:
            key = _key(claims)
        except LoginOver:
            return
        now = int(time.time())
        with self._lock:
            self._con.execute("INSERT OR IGNORE INTO login VALUES (?, ?, ?, ?)", [*key, now])
            self._con.execute("DELETE FROM login WHERE iat < ?", [now - 2 * LONGEST])

    def rises(self, version: int) -> bool:
        """Remember the version of the grants file; False where a later one was seen before."""
        with self._lock:
            self._con.execute(
                "INSERT INTO fact VALUES ('grants', ?) ON CONFLICT (name) DO UPDATE SET number = max(number, excluded.number)",
                [version],
            )
        return self._number("grants") == version

    def newest(self) -> int:
        """The latest version of the grants file seen; 0 before the first."""
        return self._number("grants")

    def _number(self, name: str) -> int:
        with self._lock:
            row = self._con.execute("SELECT number FROM fact WHERE name = ?", [name]).fetchone()
        return int(row[0]) if row else 0


def _key(claims: Mapping[str, Any]) -> tuple[str, str, int]:
    if not claims.get("is_logged_in"):
        raise LoginOver("absent")
    iss, sub, iat = claims.get("iss"), claims.get("sub"), claims.get("iat")
    if not isinstance(sub, str) or not sub or not isinstance(iat, (int, float)) or isinstance(iat, bool):
        raise LoginOver("foreign")
    return str(iss or ""), sub, int(iat)
