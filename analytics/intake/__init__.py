"""Delivery -> canonical tables: every row of a file ends in exactly one place, loaded or in quarantine with a reason."""

import sys

if "analytics.intake.inside" not in sys.orig_argv:  # the child process that opens files starts without these
    from analytics.intake.contract import TABLES, Contract, contract
    from analytics.intake.corrections import agree, drop, load_fixes
    from analytics.intake.gate import Refused
    from analytics.intake.ingest import ingest
    from analytics.intake.mapping import Mapping, load_mapping
    from analytics.intake.note import Note, load_note
    from analytics.intake.pseudonyms import SYNTHETIC, Secret, keys_of, load_secret, new_secret, write_secret
    from analytics.intake.rotation import key_of, rekey, rotated

__all__ = [
    "SYNTHETIC",
    "TABLES",
    "Contract",
    "Mapping",
    "Note",
    "Refused",
    "Secret",
    "agree",
    "contract",
    "drop",
    "ingest",
    "key_of",
    "keys_of",
    "load_fixes",
    "load_mapping",
    "load_note",
    "load_secret",
    "new_secret",
    "rekey",
    "rotated",
    "write_secret",
]
