"""Chapter 6. What must hold around an event: windows, counts, visits, and groups within groups.

Each person has one diagnosis (the index event) from 1 to 10 June and is observed for the whole of 2020.
"""

from datetime import date, timedelta

import pytest

from tests.support.circe_text import (
    AT_LEAST,
    AT_MOST,
    DRUG,
    EXACTLY,
    OTHER_DRUG,
    cohort,
    condition,
    counted,
    drug,
    group,
    rule,
    window,
)


def site(*drugs: str, persons: int = 1, visit: str = "") -> dict[str, str]:
    """Write drugs as ``person | concept | start | end | visit``."""
    everyone = range(1, persons + 1)
    keyed = [f"{key} | {line}" for key, line in enumerate(drugs, start=1)]
    return {
        "person": "\n".join(["person_id | year_of_birth", *(f"{n} | 1960" for n in everyone)]),
        "observation_period": "\n".join(
            [
                "observation_period_id | person_id | observation_period_start_date | "
                "observation_period_end_date",
                *(f"{n} | {n} | 2020-01-01 | 2020-12-31" for n in everyone),
            ]
        ),
        "condition_occurrence": "\n".join(
            [
                "condition_occurrence_id | person_id | condition_start_date | condition_end_date | "
                "visit_occurrence_id",
                *(f"{n} | {n} | 2020-06-01 | 2020-06-10 | {visit}" for n in everyone),
            ]
        ),
        "drug_exposure": "\n".join(
            [
                "drug_exposure_id | person_id | drug_concept_id | drug_exposure_start_date | "
                "drug_exposure_end_date | visit_occurrence_id",
                *keyed,
            ]
        ),
    }


@pytest.fixture
def holds(stays):
    """Return ``holds(criterion, drug, …)``: whether the rule lets the person in."""

    def asked(member: dict, *drugs: str, visit: str = "") -> bool:
        expression = cohort(condition(), InclusionRules=[rule(group("ALL", member))])
        return bool(stays(site(*drugs, visit=visit), expression))

    return asked


def around(start: str, end: str, **uses: bool) -> dict:
    return counted(drug(CodesetId=DRUG), StartWindow=window(start, end, **uses))


@pytest.mark.parametrize(
    "start, end, first, last",
    [
        ("-30", "+0", "2020-05-02", "2020-06-01"),
        ("+0", "+30", "2020-06-01", "2020-07-01"),
        ("-7", "+7", "2020-05-25", "2020-06-08"),
        ("-60", "-31", "2020-04-02", "2020-05-01"),
        ("+1", "+1", "2020-06-02", "2020-06-02"),
        ("-all", "-1", "2020-01-01", "2020-05-31"),
        ("-0", "+all", "2020-06-01", "2020-12-31"),
        ("-all", "+all", "2020-01-01", "2020-12-31"),
    ],
)
def test_both_ends_of_a_window_belong_to_it_and_the_next_days_do_not(holds, start, end, first, last):
    one = timedelta(days=1)
    low, high = date.fromisoformat(first), date.fromisoformat(last)
    inside = {low: True, high: True, low - one: False, high + one: False}
    for day, expected in inside.items():
        assert holds(around(start, end), f"1 | 20 | {day} | {day} |") is expected, day


@pytest.mark.parametrize("day, expected", [("2020-06-10", True), ("2020-06-11", True), ("2020-06-12", False)])
def test_a_window_may_be_laid_around_the_end_of_the_index_event(holds, day, expected):
    assert holds(around("+0", "+1", UseIndexEnd=True), f"1 | 20 | {day} | {day} |") is expected


@pytest.mark.parametrize(
    "ends, expected", [("2020-05-31", False), ("2020-06-01", True), ("2020-06-02", False)]
)
def test_a_window_may_ask_for_the_end_of_the_other_event(holds, ends, expected):
    assert holds(around("+0", "+0", UseEventEnd=True), f"1 | 20 | 2020-05-01 | {ends} |") is expected


@pytest.mark.parametrize(
    "ends, expected", [("2020-06-09", False), ("2020-06-10", True), ("2020-06-11", False)]
)
def test_both_ends_may_be_compared(holds, ends, expected):
    same = around("+0", "+0", UseEventEnd=True, UseIndexEnd=True)
    assert holds(same, f"1 | 20 | 2020-05-01 | {ends} |") is expected


@pytest.mark.parametrize(
    "starts, ends, expected",
    [
        ("2020-05-30", "2020-06-05", True),
        ("2020-06-02", "2020-06-05", False),
        ("2020-05-30", "2020-05-31", False),
    ],
)
def test_an_end_window_looks_at_the_end_of_the_other_event(holds, starts, ends, expected):
    overlaps = counted(drug(CodesetId=DRUG), StartWindow=window("-all", "+0"), EndWindow=window("+0", "+all"))
    assert holds(overlaps, f"1 | 20 | {starts} | {ends} |") is expected


@pytest.mark.parametrize("use, expected", [(None, True), (True, True), (False, False)])
def test_an_end_window_can_be_told_to_look_at_the_start(holds, use, expected):
    uses = {} if use is None else {"UseEventEnd": use}
    after = counted(drug(CodesetId=DRUG), EndWindow=window("+1", "+all", **uses))
    assert holds(after, "1 | 20 | 2020-05-30 | 2020-06-05 |") is expected


def test_without_windows_every_event_of_the_observation_counts(holds):
    anywhere = counted(drug(CodesetId=DRUG))
    assert holds(anywhere, "1 | 20 | 2020-01-01 | 2020-01-01 |")
    assert holds(anywhere, "1 | 20 | 2020-12-31 | 2020-12-31 |")
    assert not holds(anywhere, "1 | 20 | 2019-12-31 | 2020-06-01 |")


@pytest.mark.parametrize("ignored, expected", [(False, False), (True, True)])
@pytest.mark.parametrize("day", ["2019-12-31", "2021-01-01"])
def test_an_event_outside_observation_counts_only_when_that_is_asked(holds, ignored, expected, day):
    wide = counted(
        drug(CodesetId=DRUG),
        StartWindow=window("-999", "+999"),
        IgnoreObservationPeriod=ignored,
    )
    assert holds(wide, f"1 | 20 | {day} | {day} |") is expected


def test_an_open_window_reaches_beyond_observation_when_that_is_asked(holds):
    ever = counted(drug(CodesetId=DRUG), StartWindow=window("-all", "+0"), IgnoreObservationPeriod=True)
    assert holds(ever, "1 | 20 | 1990-01-01 | 1990-01-01 |")
    assert not holds(ever, "1 | 20 | 2020-06-02 | 2020-06-02 |")


THREE = ("1 | 20 | 2020-06-02 | |", "1 | 20 | 2020-06-03 | |", "1 | 20 | 2020-06-03 | |")


@pytest.mark.parametrize("given", range(4))
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("kind", [EXACTLY, AT_MOST, AT_LEAST])
def test_events_are_counted_exactly_at_most_or_at_least(holds, kind, number, given):
    expected = {EXACTLY: given == number, AT_MOST: given <= number, AT_LEAST: given >= number}[kind]
    assert holds(counted(drug(CodesetId=DRUG), number, kind), *THREE[:given]) is expected


@pytest.mark.parametrize("distinct, number", [(False, 3), (True, 2)])
def test_distinct_counts_each_concept_once(holds, distinct, number):
    taken = ("1 | 20 | 2020-06-02 | |", "1 | 20 | 2020-06-03 | |", "1 | 21 | 2020-06-03 | |")
    assert holds(counted(drug(), number, EXACTLY, distinct=distinct), *taken)


def test_a_record_without_a_concept_is_no_distinct_concept(holds):
    taken = ("1 | 20 | 2020-06-02 | |", "1 | | 2020-06-03 | |")
    assert holds(counted(drug(), 1, EXACTLY, distinct=True), *taken)
    assert holds(counted(drug(), 2, EXACTLY), *taken)


@pytest.mark.parametrize(
    "index_visit, drug_visit, expected",
    [("7", "7", True), ("7", "8", False), ("7", "", False), ("", "7", False), ("", "", False)],
)
def test_the_same_visit_must_be_known_on_both_sides(holds, index_visit, drug_visit, expected):
    member = counted(drug(CodesetId=DRUG), RestrictVisit=True)
    assert holds(member, f"1 | 20 | 2020-06-02 | | {drug_visit}", visit=index_visit) is expected


def test_the_index_event_itself_counts_among_events_of_its_kind(holds):
    assert holds(counted(condition(), 1, EXACTLY))


def test_first_is_chosen_before_the_window(holds):
    first_near = counted(drug(CodesetId=DRUG, First=True), StartWindow=window("-7", "+7"))
    assert holds(first_near, "1 | 20 | 2020-06-02 | |")
    assert not holds(first_near, "1 | 20 | 2020-02-01 | |", "1 | 20 | 2020-06-02 | |")


def test_a_drug_of_another_person_does_not_count(stays):
    asked = cohort(condition(), InclusionRules=[rule(group("ALL", counted(drug(CodesetId=DRUG))))])
    found = stays(site("2 | 20 | 2020-06-02 | |", persons=3), asked)
    assert [line.split(":")[0] for line in found] == ["2"]


A, B, C = (
    counted(drug(CodesetId=DRUG)),
    counted(drug(CodesetId=OTHER_DRUG)),
    {"Age": {"Value": 60, "Op": "eq"}},
)
HAS_A = "1 | 20 | 2020-06-02 | |"
HAS_B = "1 | 21 | 2020-06-02 | |"
"""C always holds: the person is 60."""


@pytest.mark.parametrize(
    "kind, count, none, one, both",
    [
        ("ALL", None, False, False, True),
        ("ANY", None, True, True, True),
        ("AT_LEAST", 0, True, True, True),
        ("AT_LEAST", 2, False, True, True),
        ("AT_LEAST", 3, False, False, True),
        ("AT_LEAST", 4, False, False, False),
        ("AT_MOST", 0, False, False, False),
        ("AT_MOST", 1, True, False, False),
        ("AT_MOST", 2, True, True, False),
        ("AT_MOST", 3, True, True, True),
    ],
)
def test_a_group_counts_how_many_of_its_members_hold(holds, kind, count, none, one, both):
    member = group(kind, A, B, C, count=count)
    assert holds(member) is none
    assert holds(member, HAS_A) is one
    assert holds(member, HAS_B) is one
    assert holds(member, HAS_A, HAS_B) is both


@pytest.mark.parametrize("kind, count", [("ALL", None), ("ANY", None), ("AT_LEAST", 3), ("AT_MOST", 0)])
def test_a_group_that_states_nothing_holds(holds, kind, count):
    assert holds(group(kind, count=count))


def test_an_empty_group_within_a_group_is_a_member_that_holds(holds):
    assert holds(group("AT_LEAST", A, group("ALL"), count=1))
    assert not holds(group("AT_MOST", group("ALL"), count=0))


NESTED = [
    (group("ANY", group("ALL", A, B), group("ALL", {"Age": {"Value": 61, "Op": "eq"}})), {"AB"}),
    (group("ALL", group("ANY", A, B), C), {"A", "B", "AB"}),
    (group("AT_MOST", group("ALL", A, B), count=0), {"", "A", "B"}),
    (group("ALL", group("AT_MOST", A, count=0), group("AT_LEAST", B, count=1)), {"B"}),
    (group("AT_LEAST", A, group("ANY", B), group("AT_MOST", A, B, count=0), count=1), {"", "A", "B", "AB"}),
    (group("AT_MOST", A, group("AT_MOST", B, count=0), count=1), {"", "AB", "B"}),
    (
        group("ALL", group("ALL", group("ALL", group("ANY", A, group("AT_MOST", B, count=0))))),
        {"", "A", "AB"},
    ),
]


@pytest.mark.parametrize("member, expected", NESTED)
def test_groups_stand_within_groups(holds, member, expected):
    records = {"": (), "A": (HAS_A,), "B": (HAS_B,), "AB": (HAS_A, HAS_B)}
    assert {name for name, drugs in records.items() if holds(member, *drugs)} == expected


@pytest.mark.parametrize("member, expected", NESTED)
def test_additional_criteria_mean_what_a_rule_means(stays, member, expected):
    records = {"": (), "A": (HAS_A,), "B": (HAS_B,), "AB": (HAS_A, HAS_B)}
    asked = cohort(condition(), AdditionalCriteria=group("ALL", member))
    assert {name for name, drugs in records.items() if stays(site(*drugs), asked)} == expected


def test_each_event_is_judged_by_what_lies_around_itself(stays):
    tables = site("1 | 20 | 2020-03-02 | |")
    tables["condition_occurrence"] += "\n2 | 1 | 2020-03-01 | 2020-03-01 |"
    near = cohort(condition(), InclusionRules=[rule(group("ALL", around("+0", "+7")))])
    assert [line[:13] for line in stays(tables, near)] == ["1: 2020-03-01"]


def test_an_event_counts_in_the_observation_period_of_its_own_index(stays):
    tables = site("1 | 20 | 2020-09-02 | |")
    tables["observation_period"] = """
        observation_period_id | person_id | observation_period_start_date | observation_period_end_date
        1                     | 1         | 2020-01-01                    | 2020-07-31
        2                     | 1         | 2020-09-01                    | 2020-12-31
    """
    after = cohort(condition(), InclusionRules=[rule(group("ALL", around("+0", "+365")))])
    assert stays(tables, after) == []
