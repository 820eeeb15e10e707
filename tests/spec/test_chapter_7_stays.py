"""Chapter 7. How long a person stays: limits, ends, censoring, joined stays and the censor window."""

import pytest

from tests.support.circe_text import (
    COLON,
    DRUG,
    OTHER_DRUG,
    cohort,
    condition,
    counted,
    drug,
    group,
    rule,
    window,
)

SITE = {
    "person": "person_id | year_of_birth\n1 | 1960",
    "observation_period": """
        observation_period_id | person_id | observation_period_start_date | observation_period_end_date
        1                     | 1         | 2020-01-01                    | 2020-12-31
    """,
    "condition_occurrence": """
        condition_occurrence_id | person_id | condition_concept_id | condition_start_date | condition_end_date
        1                       | 1         | 10                   | 2020-02-01           | 2020-02-10
        2                       | 1         | 10                   | 2020-03-01           | 2020-03-31
        3                       | 1         | 10                   | 2020-06-01           | 2020-06-05
    """,
}


def offset(days: int, field: str = "StartDate") -> dict:
    return {"DateOffset": {"DateField": field, "Offset": days}}


def own(**parts: object) -> dict:
    """Let each diagnosis last for its own time."""
    return cohort(condition(), EndStrategy=offset(0, "EndDate"), **parts)


def test_without_an_end_a_person_stays_until_observation_ends_and_stays_are_joined(stays):
    assert stays(SITE, cohort(condition())) == ["1: 2020-02-01 to 2020-12-31"]


@pytest.mark.parametrize(
    "days, field, expected",
    [
        (0, "StartDate", ["02-01 to 2020-02-01", "03-01 to 2020-03-01", "06-01 to 2020-06-01"]),
        (9, "StartDate", ["02-01 to 2020-02-10", "03-01 to 2020-03-10", "06-01 to 2020-06-10"]),
        (0, "EndDate", ["02-01 to 2020-02-10", "03-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        (7, "EndDate", ["02-01 to 2020-02-17", "03-01 to 2020-04-07", "06-01 to 2020-06-12"]),
        (-5, "EndDate", ["02-01 to 2020-02-05", "03-01 to 2020-03-26"]),
        (-4, "EndDate", ["02-01 to 2020-02-06", "03-01 to 2020-03-27", "06-01 to 2020-06-01"]),
        (-1, "StartDate", []),
        (999, "StartDate", ["02-01 to 2020-12-31"]),
    ],
)
def test_a_fixed_end_counts_days_from_the_start_or_the_end_of_the_event(stays, days, field, expected):
    found = stays(SITE, cohort(condition(), EndStrategy=offset(days, field)))
    assert found == [f"1: 2020-{line}" for line in expected]


@pytest.mark.parametrize(
    "pad, expected",
    [
        (0, ["02-01 to 2020-02-10", "03-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        (19, ["02-01 to 2020-02-10", "03-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        (20, ["02-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        (61, ["02-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        (62, ["02-01 to 2020-06-05"]),
    ],
)
def test_stays_at_most_the_pad_apart_are_joined(stays, pad, expected):
    assert stays(SITE, own(CollapseSettings={"EraPad": pad})) == [f"1: 2020-{line}" for line in expected]


def test_a_stay_inside_another_does_not_shorten_it(stays):
    nested = dict(SITE)
    nested["condition_occurrence"] += "        4 | 1 | 10 | 2020-03-05 | 2020-03-06\n"
    nested["condition_occurrence"] += "        5 | 1 | 10 | 2020-03-30 | 2020-04-02\n"
    assert stays(nested, own())[1] == "1: 2020-03-01 to 2020-04-02"


@pytest.mark.parametrize(
    "cut, expected",
    [
        ({"StartDate": "2020-02-05"}, ["02-05 to 2020-02-10", "03-01 to 2020-03-31", "06-01 to 2020-06-05"]),
        ({"EndDate": "2020-03-01"}, ["02-01 to 2020-02-10", "03-01 to 2020-03-01"]),
        ({"StartDate": "2020-02-10", "EndDate": "2020-06-01"}, [
            "02-10 to 2020-02-10", "03-01 to 2020-03-31", "06-01 to 2020-06-01",
        ]),
        ({"StartDate": "2020-02-11", "EndDate": "2020-02-28"}, []),
        ({"StartDate": "2020-12-31", "EndDate": "2020-01-01"}, []),
    ],
)  # fmt: skip
def test_a_censor_window_cuts_stays_and_drops_those_outside(stays, cut, expected):
    assert stays(SITE, own(CensorWindow=cut)) == [f"1: 2020-{line}" for line in expected]


def test_a_censor_window_cuts_after_stays_are_joined(stays):
    joined = own(CollapseSettings={"EraPad": 30}, CensorWindow={"StartDate": "2020-02-20"})
    assert stays(SITE, joined)[0] == "1: 2020-02-20 to 2020-03-31"


CENSORING = {
    **SITE,
    "drug_exposure": """
        drug_exposure_id | person_id | drug_concept_id | drug_exposure_start_date | drug_exposure_end_date
        1                | 1         | 20              | 2020-01-15               | 2020-01-20
        2                | 1         | 20              | 2020-03-15               | 2020-03-20
        3                | 1         | 21              | 2020-03-10               | 2020-03-20
        4                | 1         | 20              | 2021-01-01               | 2021-01-02
    """,
}


@pytest.mark.parametrize(
    "criteria, end",
    [
        ([drug(CodesetId=DRUG)], "2020-03-15"),
        ([drug(CodesetId=DRUG), drug(CodesetId=OTHER_DRUG)], "2020-03-10"),
        ([drug(CodesetId=DRUG, OccurrenceStartDate={"Value": "2020-06-01", "Op": "gt"})], "2020-12-31"),
        ([drug(CodesetId=DRUG, First=True)], "2020-12-31"),
        ([], "2020-12-31"),
    ],
)
def test_a_stay_ends_with_the_first_censoring_event_on_or_after_its_start(stays, criteria, end):
    first = cohort(condition(CodesetId=COLON), entry="First", CensoringCriteria=criteria)
    assert stays(CENSORING, first) == [f"1: 2020-02-01 to {end}"]


def test_a_censoring_event_on_the_first_day_leaves_that_day(stays):
    same_day = {**CENSORING, "drug_exposure": CENSORING["drug_exposure"].replace("2020-03-15", "2020-02-01")}
    first = cohort(condition(), entry="First", CensoringCriteria=[drug(CodesetId=DRUG)])
    assert stays(same_day, first) == ["1: 2020-02-01 to 2020-02-01"]


def test_censoring_and_a_fixed_end_compete_and_the_earlier_wins(stays):
    parts = {"CensoringCriteria": [drug(CodesetId=DRUG)], "entry": "First"}
    assert stays(CENSORING, cohort(condition(), EndStrategy=offset(10), **parts))[0][-10:] == "2020-02-11"
    assert stays(CENSORING, cohort(condition(), EndStrategy=offset(90), **parts))[0][-10:] == "2020-03-15"


def test_each_event_is_censored_by_itself_before_stays_are_joined(stays):
    found = stays(CENSORING, cohort(condition(), CensoringCriteria=[drug(CodesetId=DRUG)]))
    assert found == ["1: 2020-02-01 to 2020-03-15", "1: 2020-06-01 to 2020-12-31"]


EXPOSED = {
    "person": SITE["person"],
    "observation_period": SITE["observation_period"],
    "drug_exposure": """
        drug_exposure_id | person_id | drug_concept_id | drug_source_concept_id | drug_exposure_start_date | drug_exposure_end_date | days_supply
        1                | 1         | 20              |                        | 2020-02-01               | 2020-02-10             |
        2                | 1         | 20              |                        | 2020-02-15               |                        | 10
        3                | 1         | 99              | 20                     | 2020-03-01               | 2020-03-05             |
        4                | 1         | 21              |                        | 2020-03-06               | 2020-03-30             |
        5                | 1         | 20              |                        | 2020-12-01               | 2021-06-01             |
    """,  # noqa: E501
}


def era(gap: int = 0, more: int = 0, supply: int | None = None) -> dict:
    asked = {"DrugCodesetId": DRUG, "GapDays": gap, "Offset": more}
    return {"CustomEra": asked if supply is None else {**asked, "DaysSupplyOverride": supply}}


@pytest.mark.parametrize(
    "strategy, end",
    [
        (era(), "2020-02-10"),
        (era(4), "2020-02-10"),
        (era(5), "2020-03-05"),
        (era(0, 3), "2020-02-13"),
        (era(0, 5), "2020-03-10"),
        (era(2, 3), "2020-03-08"),
        (era(1, 3), "2020-02-13"),
        (era(5, 10), "2020-03-15"),
        (era(0, 0, 0), "2020-02-01"),
        (era(0, 0, 14), "2020-02-29"),
        (era(0, 0, 15), "2020-03-16"),
        (era(0, 0, 13), "2020-02-14"),
        (era(999), "2020-12-31"),
    ],
)
def test_a_stay_ends_with_continuous_exposure(stays, strategy, end):
    """Gaps of at most ``GapDays`` are bridged; source concepts count; observation ends every stay."""
    found = stays(EXPOSED, cohort(drug(CodesetId=DRUG), entry="First", EndStrategy=strategy))
    assert found == [f"1: 2020-02-01 to {end}"]


def test_an_event_outside_every_exposure_lasts_until_observation_ends(stays):
    unexposed = {**EXPOSED, "condition_occurrence": SITE["condition_occurrence"]}
    found = stays(unexposed, cohort(condition(), entry="Last", EndStrategy=era()))
    assert found == ["1: 2020-06-01 to 2020-12-31"]


LIMITED = {
    **SITE,
    "drug_exposure": """
        drug_exposure_id | person_id | drug_concept_id | drug_exposure_start_date
        1                | 1         | 20              | 2020-03-02
        2                | 1         | 20              | 2020-06-02
    """,
}
TREATED = group("ALL", counted(drug(CodesetId=DRUG), StartWindow=window("+0", "+7")))
NOW = {"EndStrategy": offset(0)}


def limited(entry: str = "All", qualified: str = "All", final: str = "All", *, where: str) -> dict:
    parts: dict = {"QualifiedLimit": {"Type": qualified}, "ExpressionLimit": {"Type": final}, **NOW}
    if where == "additional":
        parts["AdditionalCriteria"] = TREATED
    else:
        parts["InclusionRules"] = [rule(TREATED)]
    return cohort(condition(), entry=entry, **parts)


@pytest.mark.parametrize(
    "entry, qualified, final, months",
    [
        ("All", "All", "All", ["03", "06"]),
        ("First", "All", "All", []),
        ("Last", "All", "All", ["06"]),
        ("All", "First", "All", ["03"]),
        ("All", "Last", "All", ["06"]),
        ("All", "All", "First", ["03"]),
        ("All", "All", "Last", ["06"]),
        ("All", "Last", "First", ["06"]),
    ],
)
def test_limits_apply_to_entries_then_after_additional_criteria_then_after_rules(
    stays, entry, qualified, final, months
):
    found = stays(LIMITED, limited(entry, qualified, final, where="additional"))
    assert [line[8:10] for line in found] == months


@pytest.mark.parametrize(
    "entry, qualified, final, months",
    [
        ("First", "All", "All", []),
        ("Last", "All", "All", ["06"]),
        ("All", "First", "All", ["03", "06"]),
        ("All", "All", "First", ["03"]),
        ("All", "All", "Last", ["06"]),
    ],
)
def test_the_qualified_limit_means_nothing_without_additional_criteria(
    stays, entry, qualified, final, months
):
    found = stays(LIMITED, limited(entry, qualified, final, where="rule"))
    assert [line[8:10] for line in found] == months


def test_limits_that_are_not_stated_keep_the_first(stays):
    plain = {"ConceptSets": [], "PrimaryCriteria": {"CriteriaList": [condition()]}, **NOW}
    assert stays(SITE, plain) == ["1: 2020-02-01 to 2020-02-01"]


def same_day(*rows: str) -> dict[str, str]:
    """Write diagnoses of one day as ``key | end | visit``; each lasts for its own time."""
    lines = [f"{key} | 1 | 2020-02-01 | {rest}" for key, rest in (row.split(" | ", 1) for row in rows)]
    header = (
        "condition_occurrence_id | person_id | condition_start_date | condition_end_date | "
        "visit_occurrence_id"
    )
    return {**SITE, "condition_occurrence": "\n".join([header, *lines])}


def test_of_entries_of_one_day_the_lowest_key_is_kept(stays):
    rows = same_day("9 | 2020-02-09 | 1", "3 | 2020-02-03 | 2", "5 | 2020-02-05 |")
    found = stays(rows, cohort(condition(), entry="First", EndStrategy=offset(0, "EndDate")))
    assert found == ["1: 2020-02-01 to 2020-02-03"]


def test_later_limits_prefer_an_event_outside_visits_then_the_lowest_visit(stays):
    rows = ["3 | 2020-02-03 | 2", "9 | 2020-02-09 | 1"]
    last = {"ExpressionLimit": {"Type": "Last"}, "EndStrategy": offset(0, "EndDate")}
    assert stays(same_day(*rows), cohort(condition(), **last)) == ["1: 2020-02-01 to 2020-02-09"]
    rows.append("5 | 2020-02-05 |")
    assert stays(same_day(*rows), cohort(condition(), **last)) == ["1: 2020-02-01 to 2020-02-05"]


@pytest.mark.parametrize("kind", ["First", "Last"])
@pytest.mark.parametrize(
    "criteria, end",
    [((condition(), drug()), "2020-02-09"), ((drug(), condition()), "2020-02-04")],
)
def test_later_limits_then_prefer_the_criteria_that_stand_first(stays, kind, criteria, end):
    """The key decides only between events of the same criteria: the drug has the lower key here."""
    tables = {
        **same_day("9 | 2020-02-09 |"),
        "drug_exposure": """
            drug_exposure_id | person_id | drug_exposure_start_date | drug_exposure_end_date
            1                | 1         | 2020-02-01               | 2020-02-04
        """,
    }
    asked = cohort(*criteria, ExpressionLimit={"Type": kind}, EndStrategy=offset(0, "EndDate"))
    assert stays(tables, asked) == [f"1: 2020-02-01 to {end}"]


@pytest.mark.parametrize("criteria", [(condition(), drug()), (drug(), condition())])
def test_entry_limits_prefer_the_lowest_key_before_the_place(stays, criteria):
    tables = {
        **same_day("9 | 2020-02-09 |"),
        "drug_exposure": """
            drug_exposure_id | person_id | drug_exposure_start_date | drug_exposure_end_date
            1                | 1         | 2020-02-01               | 2020-02-04
        """,
    }
    asked = cohort(*criteria, entry="First", EndStrategy=offset(0, "EndDate"))
    assert stays(tables, asked) == ["1: 2020-02-01 to 2020-02-04"]


def test_of_two_observation_periods_of_one_day_the_shorter_one_is_taken(stays):
    doubled = dict(SITE)
    doubled["observation_period"] += "        2 | 1 | 2020-01-01 | 2020-04-30\n"
    assert stays(doubled, cohort(condition(), entry="First")) == ["1: 2020-02-01 to 2020-04-30"]
