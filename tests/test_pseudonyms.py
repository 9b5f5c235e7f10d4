"""Pseudonyms: keys are HMACs the standard library agrees with, certificates follow GB 11643, the secret stays apart."""

import hmac
import stat
from pathlib import Path

import duckdb
import polars as pl
import pytest
from deliveries import certificate as numbered
from deliveries import csv_file, record, take

from analytics import verbs
from analytics.intake import Refused
from analytics.intake.pseudonyms import (
    Secret,
    certificate,
    fill,
    keyed,
    load_secret,
    new_secret,
    write_secret,
)
from analytics.store import Store

KEY = b"a key of thirty-two bytes length"


def key_of(text: str, algorithm: str, *keys: bytes) -> int:
    message = text.encode()
    for key in keys:
        message = hmac.new(key, message, algorithm).digest()[:8]
    return int.from_bytes(message, "big", signed=True)


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
@pytest.mark.parametrize(
    "keys", [(KEY,), (KEY, b"another key of sixty-five bytes and more, longer than one block!!")]
)
def test_keys_are_hmacs(algorithm: str, keys: tuple[bytes, ...]) -> None:
    secret = Secret(algorithm, keys)
    assert keyed(["440402001"], "number", secret) == [(key_of("P440402001", algorithm, *keys), "ok")]
    assert keyed(["440402001"], "household", secret) == [(key_of("H440402001", algorithm, *keys), "ok")]
    number = numbered(7)
    assert keyed([number], "certificate", secret) == [(key_of("C" + number, algorithm, *keys), "ok")]


@pytest.mark.parametrize(
    ("text", "number", "state"),
    [
        ("11010519491231002X", "11010519491231002X", "ok"),  # the worked example of GB 11643
        ("11010519491231002x", "11010519491231002X", "ok"),
        (" １１０１０５１９４９１２３１００２Ｘ ", "11010519491231002X", "ok"),
        ("110105491231002", "11010519491231002X", "raised"),
        ("110105194912310021", "110105194912310021", "bad"),
        ("E12345678", "E12345678", "other"),
    ],
)
def test_certificates(text: str, number: str, state: str) -> None:
    assert certificate(text) == (number, state)


def test_a_bad_certificate_has_no_key() -> None:
    assert keyed(["110105194912310021"], "certificate", Secret("sha256", (KEY,))) == [(None, "bad")]


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
@pytest.mark.parametrize("kind", ["number", "household", "certificate"])
def test_a_table_of_keys_says_the_same(algorithm: str, kind: str) -> None:
    """The engine's own hash and hashlib agree; `#<key>` is a key only when rows come back from quarantine."""
    secret = Secret(algorithm, (KEY, b"second"))
    values = ["P1", "人员", numbered(3), "#-42"]
    for again in (False, True):
        con = duckdb.connect()
        fill(con, f"SELECT unnest({values}) AS v", "n", kind, secret, again)
        rows = con.execute("FROM n").fetchall()
        told = {value: (key, state) for value, key, state, _ in rows}
        expected = dict(zip(values, keyed(values, kind, secret), strict=True))
        assert told == expected | ({"#-42": (-42, "ok")} if again else {})
        born = {value: year for value, _, _, year in rows if year}
        assert born == ({numbered(3): 1950} if kind == "certificate" else {})


def test_a_delivery_cannot_name_a_key(tmp_path: Path) -> None:
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [record(1, psn_no="#42")])])
    assert pl.read_parquet(delivery.partitions("settlement")[0].path)["person_key"].to_list() != [42]


def test_a_secret_file_comes_back_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    secret = new_secret("sm3").rotated()
    write_secret(tmp_path / "k", secret)
    assert load_secret(tmp_path / "k") == secret
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        'algorithm = "md5"\nkeys = ["00"]',
        'algorithm = "sha256"\nkeys = []',
        'algorithm = "sha256"\nkeys = ["zz"]',
    ],
)
def test_a_spoilt_secret_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "jianfu.key").write_text(text, encoding="ascii")
    with pytest.raises(Refused, match=r"\[key\]$"):
        take(tmp_path, [csv_file(tmp_path / "s.csv", [record(1)])])


def test_the_secret_lies_beside_the_store_and_never_in_it(tmp_path: Path) -> None:
    rows = [record(i) for i in range(1, 4)]
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])
    assert verbs.secret_path(delivery.path.parents[1]) == delivery.path.parents[2] / "jianfu.key"
    secret = load_secret(delivery.path.parents[2] / "jianfu.key")
    assert delivery.manifest["key"] == {"id": secret.id, "algorithm": "sha256"}
    everything = b"".join(p.read_bytes() for p in delivery.path.parents[1].rglob("*") if p.is_file())
    assert secret.keys[0].hex().encode() not in everything
    assert secret.keys[0] not in everything
    for row in rows:  # nor does any number of a person, in any file of the store
        assert row["psn_no"].encode() not in everything
    with pytest.raises(Refused, match="inside the store"):
        take(tmp_path, [csv_file(tmp_path / "t.csv", rows)], key=delivery.path.parents[1] / "k")


def test_quarantine_keeps_no_identifier(tmp_path: Path) -> None:
    row = record(1, certno=numbered(1), hifob_pay="1.00")
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [row, record(2, certno=numbered(2))])])
    held = pl.read_parquet(delivery.partitions("quarantine")[0].path)["row"].to_list()
    assert held
    assert row["psn_no"] not in held[0]
    assert row["certno"] not in held[0]
    assert row["setl_id"] in held[0]


def test_another_secret_is_refused_and_a_lost_one_is_missed(tmp_path: Path) -> None:
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", [record(1)])])
    store = delivery.path.parents[1]
    write_secret(tmp_path / "other.key", new_secret())
    second = csv_file(tmp_path / "t.csv", [record(2)])
    with pytest.raises(Refused, match="another secret"):
        verbs.ingest(store, [second], "settlement", key=tmp_path / "other.key")
    verbs.ingest(store, [second], "settlement")  # the positive control
    verbs.secret_path(store).rename(tmp_path / "elsewhere.key")
    third = csv_file(tmp_path / "u.csv", [record(3)])
    with pytest.raises(Refused, match="bring it back"):
        verbs.ingest(store, [third], "settlement")
    verbs.ingest(store, [third], "settlement", key=tmp_path / "elsewhere.key")
    assert len(Store(store).deliveries()) == 3


def test_one_person_under_certificate_and_number(tmp_path: Path) -> None:
    """A row with a valid certificate is keyed by it; its number is kept beside as an alias, keyed too."""
    rows = [
        record(1, psn_no="P1", certno=numbered(1)),
        record(2, psn_no="P2", certno=numbered(1)),
        record(3, psn_no="P3", certno="110105194912310021"),
    ]
    delivery = take(tmp_path, [csv_file(tmp_path / "s.csv", rows)])
    secret = load_secret(tmp_path / "jianfu.key")
    loaded = pl.concat([pl.read_parquet(p.path) for p in delivery.partitions("settlement")]).sort("setl_id")
    (one, _), (three, _) = keyed([numbered(1)], "certificate", secret)[0], keyed(["P3"], "number", secret)[0]
    assert loaded["person_key"].to_list() == [one, one, three]
    alias = pl.read_parquet(delivery.partitions("person_alias")[0].path).sort("number_key")
    numbers = sorted(k for k, _ in keyed(["P1", "P2"], "number", secret))
    assert alias["number_key"].to_list() == numbers
    assert set(alias["person_key"]) == {one}
    found = {hit["rule"]: hit["rows"] for hit in delivery.manifest["rules"]}
    assert (found["Q21"], found["Q19_bad"]) == (1, 1)
