"""What claims were paid for: ICD-10 chapters, by the boundaries the classification prints, from delivery to figure."""

from pathlib import Path

import canonical
import polars as pl
import pytest
from canonical import built, deliver, settle
from deliveries import bare, csv_file, record, take
from policies import NEXT, PEOPLE, PERSONS, paid
from streamlit.testing.v1 import AppTest

from analytics.desk.answer import Desk
from analytics.measures import measures
from analytics.reference import root
from analytics.store import Folder, Store
from analytics.view import asking

# First and last codes of chapters, their neighbours, and what is no ICD-10 code.
CODES = {
    "A00.0": "01", "B99": "01", "C00": "02", "D48.9": "02", "D49": "unknown", "D50": "03", "D89.9": "03", "E90": "04", "F00": "05",
    "G99": "06", "H59.9": "07", "H60": "08", "I10.x00": "09", "J18.900": "10", "K93": "11", "L99": "12", "M06.900": "13", "N18.900": "14",
    "O80.900": "15", "P96": "16", "P97": "unknown", "Q00": "17", "R99": "18", "S00": "19", "T98.3": "19", "T99": "unknown", "V01": "20",
    "Y98": "20", "Z00": "21", "U07.100": "22", "c34.900x001": "02", "C500": "02",
    "M01600": "unknown", "糖尿病": "unknown", "": "unknown", "34": "unknown", "I": "unknown",
}  # fmt: skip


def test_codes_become_chapters_and_are_not_kept(tmp_path: Path) -> None:
    """One settlement and one claim per code; the national code of diabetes among special outpatient diseases is no ICD code."""
    people = [record(n, dise_no=code) for n, code in enumerate(CODES, 1)]
    take(tmp_path, [csv_file(tmp_path / "s.csv", people)])
    line = {
        "product_code": "dawj",
        "insu_admdvs": "440402",
        "product_year": "2021",
        "claim_date": "2021-09-01",
    }
    claims = [
        {**line, "claim_id": f"C{n}", "psn_no": p["psn_no"], "paid_amt": "12.34", "icd10": p["dise_no"]}
        for n, p in enumerate(people)
    ]
    take(tmp_path, [csv_file(tmp_path / "c.csv", claims)], "commercial_claim")
    for table, key in (("settlement", "setl_id"), ("commercial_claim", "claim_id")):
        files = [p.path for d in Store(tmp_path / "store").deliveries() for p in d.partitions(table)]
        kept = pl.read_parquet(files).sort(key, maintain_order=True)
        assert "dise_no" not in kept.columns
        assert sorted(kept["disease"]) == sorted(CODES.values())
    facts = bare(tmp_path / "store").partitions("claim")
    assert sorted(pl.read_parquet([p.path for p in facts])["disease"]) == sorted(CODES.values())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Weihai 2024: five payments to one person, and twelve persons treated for the lungs."""
    store = tmp_path_factory.mktemp("diseases")
    care = [
        settle("heart", 50_000, year=2024, disease="09", mdtrt_id="stay"),
        settle("unsaid", 50_000, year=2024, disease="unknown", mdtrt_id="other"),
        *(settle(f"s{i}", 50_000, person=i, year=2024, disease="10") for i in range(11, 23)),
    ]
    payments = [
        paid("a", 1_000, person=1, setl_id="heart", disease="02"),  # its own file says so
        paid("b", 200, person=1, setl_id="heart", disease="unknown"),
        paid("c", 30, person=1, mdtrt_id="stay", claim_date=NEXT),
        paid("d", 4, person=1, setl_id="unsaid", mdtrt_id="stay"),
        paid("e", 5, person=1, setl_id="lost"),
        *(paid(f"p{i}", 10_000, person=i, setl_id=f"s{i}") for i in range(11, 23)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for table in ("settlement", "commercial_claim"):
            patch.setitem(canonical.COLUMNS, table, f"{canonical.COLUMNS[table]} disease")
        deliver(store, settlement=care, commercial_claim=payments, enrolment=PEOPLE, person=PERSONS)
    return built(store)


def test_the_disease_of_a_payment_is_its_own_else_that_of_the_care_it_names(world: Folder) -> None:
    facts = pl.read_parquet([p.path for p in world.partitions("claim")])
    told = dict(facts.select("paid_fen", "disease").iter_rows())
    assert told == {1_000: "02", 200: "09", 30: "09", 4: "09", 5: "unknown", 10_000: "10"}


def test_diseases_add_up_to_all_that_was_paid(sample_store: Path) -> None:
    desk, where = Desk.open(sample_store), {"city": ["440400"], "plan_year": ["2023"]}
    parts = desk.ask("paid_per_claim", ["disease"], where, protect=False).table
    whole = desk.ask("paid_per_claim", [], where, protect=False).table.row(0, named=True)
    assert parts["numerator"].sum() == pytest.approx(whole["numerator"], abs=0.005)
    assert parts["denominator"].sum() == whole["denominator"] > 0
    assert {"02", "unknown"} < set(parts["disease"])


def test_facts_of_an_older_version_say_that_they_know_no_diseases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    care = [settle("a", 10, year=2024)]
    deliver(tmp_path, settlement=care, commercial_claim=[paid("a", 9, person=1)], enrolment=PEOPLE)
    built(tmp_path)
    book = Desk.open(tmp_path)._book
    monkeypatch.setattr(type(book._engine), "ask", _without_diseases(type(book._engine).ask))
    with pytest.raises(ValueError, match=r"disease: this store was built before .* jianfu build"):
        book.ask("paid_per_claim", ["disease"])


def _without_diseases(ask):  # type: ignore[no-untyped-def]
    return lambda self, sql, *more, **named: ask(self, sql, *more, **named).drop("disease", strict=False)


def test_the_operations_page_shows_diseases(world: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIANFU_STORE", str(world.path.parents[1]))
    at = AppTest.from_file(str(Path(asking.__file__).with_name("frame.py")), default_timeout=60)
    at.query_params["city"], at.query_params["year"] = "weihai", "2024"
    at.query_params["figures"] = "both"
    at.switch_page(str(root() / "pages" / "operations.py")).run()
    assert not at.exception
    assert "钱赔给了哪些病" in [head.value for head in at.header]
    shown = next(table.value for table in at.dataframe if "病种（ICD-10章）" in table.value.columns)
    lungs = shown[shown["病种（ICD-10章）"] == "呼吸系统疾病"].iloc[0].to_dict()
    assert "100" in lungs[measures()["paid_per_claim"].title.zh] and "12" in lungs.values()
    assert set(shown["病种（ICD-10章）"]) == {"肿瘤", "循环系统疾病", "呼吸系统疾病", "病种未记录"}
