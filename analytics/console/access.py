"""`jianfu grants`: who is granted what, checked and signed; and what `jianfu serve` would not start with."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from analytics.release import BadGrants, Server, is_loopback, read_grants, sign_grants


def add(command: Any) -> None:
    """Add the verbs to the command line."""
    parser = command("grants", _grants, "who is granted what when the dashboard is served to others")
    parser.add_argument(
        "what", choices=("sign", "check"), help="sign the file in place, or check that it counts"
    )
    parser.add_argument("file", help="the grants file (TOML)")
    parser.add_argument(
        "--key", required=True, help="sign: the private key, made where there is none; check: the public one"
    )


def _grants(args: argparse.Namespace) -> None:
    file, key = Path(args.file), Path(args.key)
    try:
        if args.what == "sign":
            print(f"signed; the server checks it by {sign_grants(file, key)}")
        found = read_grants(
            file.read_bytes(),
            (key if args.what == "check" else key.with_name(key.name + ".pub")).read_bytes(),
        )
    except BadGrants as error:
        raise ValueError(f"{file}: {error}") from error
    print(f"version {found.version}: {len(found.viewers)} granted")
    for subject, viewer in found.viewers.items():
        cities = "all cities" if viewer.cities is None else ", ".join(sorted(viewer.cities))
        print(f"  {subject}\t{viewer.role}\t{cities}\t{', '.join(sorted(viewer.products or ()))}".rstrip())


def must_be_safe(store: Path, config: str | None) -> None:
    """Before the server starts. Raises ValueError with every reason why it should not."""
    if config is None:
        address = os.environ.get("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")
        if not is_loopback(address):
            raise ValueError(
                f"will not start: address {address}: without a login the dashboard is for this machine only; "
                "listen on 127.0.0.1, or serve others by --server CONFIG"
            )
        return
    if lines := Server(Path(config), store).refusals():
        raise ValueError("\n".join([f"{config}: will not start:", *lines]))
    print(f"{config}: in order", file=sys.stderr)
