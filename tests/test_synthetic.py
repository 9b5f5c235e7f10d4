"""The synthetic delivery: identities to the cent, the same bytes for one seed, published national figures met.

Expected figures are typed from the national bulletins and from the text of the plans, not taken from the generator.
"""

import hashlib
import tomllib
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import pytest

from analytics.synthetic import write_delivery

ROOT = Path(__file__).resolve().parent.parent
MONEY = [
    "medfee_sumamt",
    "fulamt_ownpay_amt",
    "overlmt_selfpay",
    "preselfpay_amt",
    "inscp_scp_amt",
    "act_pay_dedc",
    "hifp_pay",
    "cvlserv_pay",
    "hifes_pay",
    "hifmi_pay",
    "hifob_pay",
    "hifdm_pay",
    "maf_pay",
    "oth_pay",
    "fund_pay_sumamt",
    "hosp_part_amt",
    "psn_part_amt",
    "acct_pay",
    "acct_mulaid_pay",
    "psn_cash_pay",
]


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """The delivery of 2023, seven cities of 20,000 persons, one view a table; `kept` without refunded pairs."""
    folder = tmp_path_factory.mktemp("delivery")
    files = write_delivery(folder, years=(2023,))
    con = duckdb.connect()
    for table, paths in files.items():
        con.execute(f"CREATE VIEW {table} AS FROM read_parquet({[str(p) for p in paths]})")
    con.execute("CREATE VIEW kept AS FROM settlement WHERE refd_setl_flag = '0'")
    return con


def value(con: duckdb.DuckDBPyConnection, query: str) -> float:
    found = con.cursor().sql(query).pl().item()
    return float(found)


def near(got: float, published: float, tolerance: float) -> bool:
    return abs(got / published - 1) <= tolerance


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def test_every_row_keeps_the_accounting_identities(con: duckdb.DuckDBPyConnection) -> None:
    broken = """SELECT count(*) FROM settlement WHERE
        medfee_sumamt <> fulamt_ownpay_amt + overlmt_selfpay + preselfpay_amt + inscp_scp_amt
        OR fund_pay_sumamt
            <> hifp_pay + cvlserv_pay + hifes_pay + hifmi_pay + hifob_pay + hifdm_pay + maf_pay + oth_pay
        OR psn_part_amt <> medfee_sumamt - fund_pay_sumamt - hosp_part_amt
        OR psn_part_amt <> acct_pay + psn_cash_pay"""
    assert value(con, broken) == 0
    assert value(con, "SELECT count(*) FROM settlement") > 100_000
    types = dict(
        con.cursor().sql("SELECT column_name, column_type FROM (DESCRIBE settlement)").pl().iter_rows()
    )
    assert {types[c] for c in MONEY} == {"DECIMAL(16,2)"}


def test_kept_amounts_are_never_negative_and_fit_each_other(con: duckdb.DuckDBPyConnection) -> None:
    least = ", ".join(MONEY)
    assert value(con, f"SELECT min(least({least})) FROM kept") == 0
    assert value(con, "SELECT count(*) FROM kept WHERE act_pay_dedc > inscp_scp_amt") == 0
    assert value(con, "SELECT count(*) FROM kept WHERE fund_pay_sumamt > medfee_sumamt") == 0
    too_much = """
        WITH paid AS (SELECT psn_no, sum(paid_amt) AS paid FROM commercial_claim WHERE status = 'paid' GROUP BY 1),
            owed AS (SELECT psn_no, sum(psn_part_amt) AS owed FROM kept GROUP BY 1)
        SELECT count(*) FROM paid LEFT JOIN owed USING (psn_no) WHERE paid > owed OR owed IS NULL"""
    assert value(con, too_much) == 0


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_asked_for(tmp_path: Path) -> None:
    def digests(name: str, seed: int, cities: tuple[str, ...], years: tuple[int, ...]) -> dict[str, str]:
        folder = tmp_path / name
        files = write_delivery(folder, persons=400, cities=cities, years=years, seed=seed)
        paths = [p for listed in files.values() for p in listed]
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}

    both = digests("a", 7, ("440400", "371000"), (2022, 2023))
    assert digests("b", 7, ("440400", "371000"), (2022, 2023)) == both
    alone = digests("c", 7, ("371000",), (2023,))
    assert len(alone) == 6
    assert alone.items() <= both.items()
    other = digests("d", 8, ("371000",), (2023,))
    assert not any(other[f] == alone[f] for f in alone if f.startswith(("settlement", "person", "enrolment")))


# National bulletins of 2023: admissions per 100 insured, yuan an admission (5 %), share of in-policy inpatient cost
# paid by the basic fund in per cent (1 point).
@pytest.mark.parametrize(
    ("insutype", "admissions", "cost", "fund_share"), [("390", 20.7, 7674, 68.1), ("310", 21.86, 12175, 84.6)]
)
def test_stays_of_2023_meet_the_national_bulletin(
    con: duckdb.DuckDBPyConnection, insutype: str, admissions: float, cost: float, fund_share: float
) -> None:
    stays = f"FROM kept WHERE med_type = '21' AND insutype = '{insutype}'"
    count = value(con, f"SELECT count(DISTINCT mdtrt_id) {stays}")
    insured = value(con, f"SELECT count(*) FROM enrolment WHERE insutype = '{insutype}'")
    assert near(100 * count / insured, admissions, 0.05)
    assert near(value(con, f"SELECT sum(medfee_sumamt) {stays}") / count, cost, 0.05)
    share = value(con, f"SELECT 100 * sum(hifp_pay)::DOUBLE / sum(inscp_scp_amt)::DOUBLE {stays}")
    assert abs(share - fund_share) <= 1.0


# Fund shares by level 2023. Residents: published rules of some cities pay less than the nation, hence 1.5 points.
# Cost by level: residents 2021, employees 2024, each moved to 2023 by the ratio of the national means.
@pytest.mark.parametrize(
    ("insutype", "level", "fund_share", "points", "cost"),
    [
        ("390", "3", 63.2, 1.5, 13942 * 7674 / 8023),
        ("390", "2", 72.4, 1.5, 6626 * 7674 / 8023),
        ("390", "1", 80.8, 1.5, 3623 * 7674 / 8023),
        ("310", "3", 83.5, 1.0, 13840 * 12175 / 11707),
        ("310", "2", 87.4, 1.0, 8327 * 12175 / 11707),
        ("310", "1", 89.4, 1.0, 6105 * 12175 / 11707),
    ],
)
def test_hospital_levels_of_2023_come_near_the_national_ones(
    con: duckdb.DuckDBPyConnection, insutype: str, level: str, fund_share: float, points: float, cost: float
) -> None:
    stays = f"FROM kept WHERE med_type = '21' AND insutype = '{insutype}' AND dedc_hosp_lv = '{level}'"
    share = value(con, f"SELECT 100 * sum(hifp_pay)::DOUBLE / sum(inscp_scp_amt)::DOUBLE {stays}")
    assert abs(share - fund_share) <= points
    assert near(
        value(con, f"SELECT sum(medfee_sumamt)::DOUBLE / count(DISTINCT mdtrt_id) {stays}"), cost, 0.10
    )


def test_residents_serious_illness_insurance_of_2023_meets_the_national_figures(
    con: duckdb.DuckDBPyConnection,
) -> None:
    paid = "SELECT psn_no, sum(hifmi_pay)::DOUBLE AS paid FROM kept WHERE insutype = '390' GROUP BY 1 HAVING paid > 0"
    residents = value(con, "SELECT count(*) FROM enrolment WHERE insutype = '390'")
    assert near(100 * value(con, f"SELECT count(*) FROM ({paid})") / residents, 1.20, 0.10)
    assert near(value(con, f"SELECT avg(paid) FROM ({paid})"), 7924, 0.10)


def test_refunds_pair_up_exactly(con: duckdb.DuckDBPyConnection) -> None:
    mirrored = " AND ".join(f"m.{c} = -o.{c}" for c in MONEY)
    flagged = value(con, "SELECT count(*) FROM settlement WHERE refd_setl_flag = '1'")
    pairs = f"""SELECT count(*) FROM settlement m JOIN settlement o ON m.init_setl_id = o.setl_id
        WHERE m.refd_setl_flag = '1' AND o.refd_setl_flag = '1' AND o.init_setl_id IS NULL
        AND m.psn_no = o.psn_no AND m.mdtrt_id = o.mdtrt_id AND m.year = o.year
        AND m.setl_time > o.setl_time AND o.medfee_sumamt > 0 AND {mirrored}"""
    assert value(con, pairs) == flagged / 2 > 100
    assert value(con, "SELECT count(DISTINCT setl_id) - count(*) FROM settlement") == 0
    assert near(flagged / 2 / value(con, "SELECT count(*) FROM kept"), 0.004, 0.25)
    corrected = """SELECT count(*) FROM settlement o JOIN kept k USING (mdtrt_id)
        WHERE o.refd_setl_flag = '1' AND o.medfee_sumamt > 0 AND k.setl_time > o.setl_time"""
    assert 0.6 < value(con, corrected) / (flagged / 2) < 0.95
    reversed_claims = """SELECT count(*) FROM commercial_claim c JOIN settlement s USING (setl_id)
        WHERE (c.status = 'reversed') <> (s.refd_setl_flag = '1')"""
    assert value(con, reversed_claims) == 0


def test_special_groups_travel_and_known_edge_cases_are_there(con: duckdb.DuckDBPyConnection) -> None:
    persons = 140_000
    for group, share in {
        "destitute": 0.008,
        "low_income": 0.03,
        "near_low_income": 0.01,
        "monitored": 0.007,
    }.items():
        got = value(con, f"SELECT count(*) FROM enrolment WHERE psn_idet_type = '{group}'")
        assert near(got / persons, share, 0.05), group
    poor = """SELECT avg(income_annual / size) FILTER (poor) / avg(income_annual / size) FILTER (NOT poor)
        FROM household_economy JOIN (SELECT household_id, bool_or(psn_idet_type <> 'general') AS poor
            FROM household_member JOIN enrolment USING (psn_no) GROUP BY 1) USING (household_id)"""
    assert value(con, poor) < 0.4
    for place in ("3", "4"):
        assert value(con, f"SELECT count(*) FROM kept WHERE pay_loc = '{place}' AND med_type = '21'") > 300
    home = "left(fix_blng_admdvs, 4) = left(insuplc_admdvs, 4)"
    province = "left(fix_blng_admdvs, 2) = left(insuplc_admdvs, 2)"
    wrong = f"SELECT count(*) FROM kept WHERE ({home}) <> (pay_loc = '2') OR ({province}) <> (pay_loc IN ('2', '3'))"
    assert value(con, wrong) == 0
    halves = """SELECT count(*) FROM kept a JOIN kept b USING (mdtrt_id)
        WHERE a.mid_setl_flag = '1' AND b.mid_setl_flag = '0' AND a.enddate = b.begndate"""
    assert value(con, halves) == value(con, "SELECT count(*) FROM kept WHERE mid_setl_flag = '1'") > 50
    assert value(con, "SELECT count(*) FROM kept WHERE year(setl_time) = 2024 AND year = '2023'") > 50
    assert value(con, "SELECT count(*) FROM kept WHERE hosp_part_amt > 0") > 50
    assert value(con, "SELECT count(*) FROM commercial_claim WHERE setl_id IS NULL") > 10
    unlinked = "SELECT count(*) FROM person WHERE psn_no NOT IN (SELECT psn_no FROM household_member)"
    assert 0.01 < value(con, unlinked) / persons < 0.03
    exact = """
        WITH owed AS (SELECT psn_no, sum(psn_part_amt) AS x FROM kept GROUP BY 1),
            paid AS (SELECT psn_no, sum(paid_amt) AS y FROM commercial_claim WHERE status = 'paid' GROUP BY 1),
            house AS (SELECT household_id, sum(coalesce(x, 0) - coalesce(y, 0)) AS net FROM household_member
                LEFT JOIN owed USING (psn_no) LEFT JOIN paid USING (psn_no) GROUP BY 1)
        SELECT count(*) FROM house JOIN household_economy USING (household_id) WHERE net > 0 AND net * 10 = income_annual"""
    assert value(con, exact) >= 7 * 3


def basic_rule(city: str, level: str) -> tuple[Decimal, Decimal]:
    """Deductible and rate of resident inpatient care as the 2023 plan file states them for a local hospital."""
    text = (ROOT / "data" / "plans" / city / "2023.toml").read_text(encoding="utf-8")
    tiers = tomllib.loads(text, parse_float=Decimal)["tier"]
    rule = next(
        t
        for t in tiers
        if t["id"] == "basic" and t["insurance_type"] == "resident" and "inpatient" in t["scope"]
    )
    found = dict(rule)
    for variant in rule["variants"]:
        if level in variant.get("hospital_level", ()) and "cross_region" not in variant:
            found |= variant
    (band,) = found["bands"]
    return Decimal(found["deductible"]), Decimal(band["rate"])


@pytest.mark.parametrize(
    ("slug", "code"), [("zaozhuang", "3704"), ("zhanjiang", "4408"), ("wenzhou", "3303")]
)
def test_basic_insurance_pays_a_local_stay_as_the_plan_file_says(
    con: duckdb.DuckDBPyConnection, slug: str, code: str
) -> None:
    stays = f"""SELECT dedc_hosp_lv, act_pay_dedc, inscp_scp_amt, hifp_pay FROM kept JOIN enrolment USING (psn_no)
        WHERE med_type = '21' AND pay_loc = '2' AND kept.insutype = '390' AND psn_idet_type = 'general'
        AND left(kept.insuplc_admdvs, 4) = '{code}'
        AND psn_no NOT IN (SELECT psn_no FROM kept GROUP BY 1 HAVING sum(hifp_pay) > 150000)"""
    # Persons near the yearly cap of the fund (200,000) are left out: for them a stay depends on those before it.
    rules = {level: basic_rule(slug, level) for level in ("1", "2", "3")}
    seen = set()
    for level, dedc, in_policy, paid in con.cursor().sql(stays).pl().iter_rows():
        deductible, rate = rules[level]
        assert dedc == min(deductible, in_policy)
        assert paid == cents(max(in_policy - deductible, Decimal(0)) * rate)
        seen.add(level)
    assert seen == set(rules)


# Residents' serious-illness rules of 2023 as published: deductible and bands (over the own burden of the year,
# rate); Wenzhou counts burden up to fifteen times its deductible.
@pytest.mark.parametrize(
    ("code", "groups", "deductible", "bands"),
    [
        ("3704", ["general"], 12_000, [(0, "0.60"), (100_000, "0.65"), (200_000, "0.70"), (300_000, "0.75")]),
        ("3704", ["low_income", "destitute"], 6_000, [(0, "0.65"), (100_000, "0.70"), (200_000, "0.75")]),
        ("4408", ["general"], 10_000, [(0, "0.60"), (50_000, "0.70"), (80_000, "0.80"), (100_000, "0.85")]),
        ("4408", ["low_income", "monitored"], 3_000, [(0, "0.80")]),
        ("4408", ["destitute"], 2_000, [(0, "0.85")]),
        ("3303", ["general"], 25_700, [(0, "0.70"), (385_500, "0.00")]),
    ],
)
def test_serious_illness_insurance_pays_a_year_as_published(
    con: duckdb.DuckDBPyConnection,
    code: str,
    groups: list[str],
    deductible: int,
    bands: list[tuple[int, str]],
) -> None:
    years = f"""SELECT sum(inscp_scp_amt - hifp_pay), sum(hifmi_pay) FROM kept JOIN enrolment USING (psn_no)
        WHERE med_type IN ('14', '21') AND kept.insutype = '390' AND left(kept.insuplc_admdvs, 4) = '{code}'
        AND psn_idet_type IN ('{"', '".join(groups)}') GROUP BY psn_no"""
    rows = con.cursor().sql(years).pl().rows()
    assert sum(paid > 0 for _, paid in rows) >= 10
    for own, paid in rows:
        due = Decimal(0)
        for (over, rate), (end, _) in zip(bands, [*bands[1:], (10**9, "0")], strict=True):
            due += max(min(own, Decimal(end)) - max(over, deductible), Decimal(0)) * Decimal(rate)
        assert paid == cents(due)


def test_zhanjiang_pays_four_fifths_of_special_drugs(con: duckdb.DuckDBPyConnection) -> None:
    drugs = """SELECT psn_no, sum(scope_amt), sum(paid_amt) FROM commercial_claim WHERE status = 'paid'
        AND duty_code = 'special_drugs' AND insuplc_admdvs LIKE '4408%' GROUP BY 1 ORDER BY 1"""
    rows = con.cursor().sql(drugs).pl().rows()
    assert len(rows) >= 10
    for _, scope, paid in rows:
        assert paid == cents(scope * Decimal("0.80"))


def test_inclusive_enrolment_lasts_and_attracts_the_ill(tmp_path: Path) -> None:
    files = write_delivery(tmp_path, persons=4000, cities=["440400", "330300", "370400"], years=(2023, 2024))
    con = duckdb.connect()
    con.execute(f"CREATE VIEW e AS FROM read_parquet({[str(p) for p in files['enrolment']]})")
    con.execute(
        "CREATE VIEW y AS SELECT *, year(psn_insu_date) AS year, left(insuplc_admdvs, 4) AS city FROM e"
    )
    for city, share in (("4404", 0.55), ("3704", 0.11)):
        where = f"city = '{city}' AND year = 2024"
        assert near(value(con, f"SELECT count(product_code) / count(*) FROM y WHERE {where}"), share, 0.001)
    renewed = """SELECT avg((b.product_code IS NOT NULL)::INT) FROM y a JOIN y b
        ON a.psn_no = b.psn_no AND b.year = a.year + 1 WHERE a.product_code IS NOT NULL AND a.city = '3303'"""
    assert 0.70 <= value(con, renewed) <= 0.85
    ill = "SELECT avg(is_pre_existing::INT) FROM y"
    assert value(con, f"{ill} WHERE product_code IS NOT NULL") > 1.2 * value(con, ill)


def test_a_wrong_request_is_refused_and_progress_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no synthetic city 999900"):
        write_delivery(tmp_path, cities=["999900"])
    with pytest.raises(ValueError, match="no synthetic year 2019"):
        write_delivery(tmp_path, years=[2019])
    with pytest.raises(ValueError, match="at least 1"):
        write_delivery(tmp_path, persons=0)
    told: list[tuple[str, int, int]] = []
    write_delivery(
        tmp_path, persons=50, cities=["510700"], years=[2021, 2025], progress=lambda *t: told.append(t)
    )
    assert told == [("510700 2021", 0, 2), ("510700 2025", 1, 2), ("", 2, 2)]
