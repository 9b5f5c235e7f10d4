"""Logging in on this machine: a provider that is none but speaks like one, a server configuration, and a few users.

`python tests/oidc.py STORE [PORT]` (or `make oidc-demo`) serves a store to try it out; nothing leaves the machine.
"""

import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oidc_provider_mock import User, run_server_in_thread

from analytics import cli
from analytics.release import sign_grants

GRANTS = """
version = 1

[[grant]]
sub = "zhuhai"
name = "珠海经办 Zhuhai"
role = "official"
cities = ["zhuhai"]

[[grant]]
sub = "weihai"
name = "威海经办 Weihai"
role = "official"
cities = ["weihai"]

[[grant]]
sub = "guangdong"
name = "广东省局 Guangdong"
role = "province_official"
provinces = ["guangdong"]

[[grant]]
sub = "researcher"
name = "研究人员 Researcher"
role = "researcher"
cities = "all"

[[grant]]
sub = "insurer"
name = "承保公司 Insurer"
role = "insurer"
cities = ["weihai"]
products = ["wnb"]

[[grant]]
sub = "auditor"
name = "审计人员 Auditor"
role = "auditor"
"""
USERS = ("zhuhai", "weihai", "guangdong", "researcher", "insurer", "auditor", "nobody")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def grants(folder: Path, text: str = GRANTS) -> None:
    """Write and sign the grants of a folder."""
    (folder / "grants.toml").write_text(text, encoding="utf-8")
    sign_grants(folder / "grants.toml", folder / "grants.key")


def configuration(folder: Path, port: int, provider: int, **changed: Any) -> Path:
    """A server configuration in a folder that is in order on this machine, its grants signed. `changed`: other values; None leaves one
    out.
    """
    folder.chmod(0o755)
    if not (folder / "grants.toml").exists():
        grants(folder)
    values: dict[str, dict[str, Any]] = {
        "server": {
            "address": "127.0.0.1",
            "hosts": ["localhost"],
            "grants": "grants.toml",
            "grants_key": "grants.key.pub",
            "state": "state",
            "tls_at_proxy": False,
            "error_details": "none",
        },
        "auth": {
            "redirect_uri": f"http://localhost:{port}/oauth2callback",
            "cookie_secret": secrets.token_hex(32),
            "client_id": "jianfu",
            "client_secret": "demo",
            "server_metadata_url": f"http://localhost:{provider}/.well-known/openid-configuration",
        },
    }
    for table in values.values():
        table.update({k: v for k, v in changed.items() if k in table})
    path = folder / "server.toml"
    path.write_text("\n".join(_table(name, rows) for name, rows in values.items()), encoding="utf-8")
    path.chmod(0o600)
    return path


def _table(name: str, rows: Mapping[str, Any]) -> str:
    lines = [f"{k} = {_value(v)}" for k, v in rows.items() if v is not None]
    return "\n".join([f"[{name}]", *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def main() -> None:
    store, port = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8501
    users = [User(sub=sub) for sub in USERS]
    with (
        tempfile.TemporaryDirectory(prefix="jianfu-demo-") as name,
        run_server_in_thread(user_claims=users) as provider,
    ):
        path = configuration(Path(name), port, provider.server_port)
        print(f"open http://localhost:{port} and sign in as one of: {', '.join(USERS)}", flush=True)
        os.environ["NO_PROXY"] = "localhost,127.0.0.1"
        sys.exit(cli.main(["serve", str(store), "--port", str(port), "--server", str(path)]))


if __name__ == "__main__":
    main()
