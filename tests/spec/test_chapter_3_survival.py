"""Chapter 3. Time to an outcome: where it starts, when it ends, and who is compared."""

import pytest

START = "2020-01-01"


def site(rows: str) -> dict[str, str]:
    """Write one line per person: observed until, death, event and arm, each of which may be empty."""
    lines = [[cell.strip() for cell in line.split("|")] for line in rows.strip().splitlines()[1:]]
    person, period, death, event, arm = [], [], [], [], []
    for number, (until, died, fell_ill, group) in enumerate(lines, start=1):
        person.append(f"{number} | 1960")
        period.append(f"{number} | {number} | {START} | {until}")
        death += [f"{number} | {died}"] if died else []
        event += [f"{number} | {number} | 10 | {fell_ill}"] if fell_ill else []
        arm += [f"{number} | {number} | T1 | {group} | {START}"] if group else []
    return {
        "person": _text("person_id | year_of_birth", person),
        "observation_period": _text(
            "observation_period_id | person_id | observation_period_start_date | observation_period_end_date",
            period,
        ),
        "death": _text("person_id | death_date", death),
        "condition_occurrence": _text(
            "condition_occurrence_id | person_id | condition_concept_id | condition_start_date", event
        ),
        "trial_subject": _text("trial_subject_id | person_id | trial_code | arm_code | start_date", arm),
    }


def _text(header: str, lines: list[str]) -> str:
    return "\n".join([header, *lines])


DEATH = {"kind": "death"}
ILLNESS = {"kind": "event", "domain": "condition", "codes": {"concept_ids": [10]}}
ARM = {
    "name": "arm",
    "definition": {
        "kind": "trial_arm",
        "trial": "T1",
        "levels": [{"label": "control", "values": ["C"]}, {"label": "treated", "values": ["X"]}],
    },
}


def curves(ask, rows: str, outcome: dict = DEATH, **rest):
    analysis = {
        "method": "kaplan_meier",
        "outcome": {"name": "outcome", "definition": outcome},
        **rest,
    }
    return ask(site(rows), analysis)


def life_table(curve) -> list[tuple[int, int, int, int]]:
    return list(zip(curve.days, curve.at_risk, curve.events_at, curve.censored_at, strict=True))


def test_a_person_leaves_with_the_outcome_or_with_the_end_of_observation(ask):
    answer = curves(
        ask,
        """
        until      | death      | illness | arm
        2020-01-11 | 2020-01-06 |         |
        2020-01-11 |            |         |
        2020-01-21 | 2020-01-11 |         |
        """,
    )
    (curve,) = answer.curves
    assert (curve.group, curve.persons, curve.events) == ("*", 3, 2)
    assert life_table(curve) == [(5, 3, 1, 0), (10, 2, 1, 1)]
    assert answer.log_rank is None


def test_an_outcome_on_the_last_observed_day_counts_and_a_day_later_does_not(ask):
    (curve,) = curves(
        ask,
        """
        until      | death      | illness | arm
        2020-01-11 | 2020-01-11 |         |
        2020-01-11 | 2020-01-12 |         |
        """,
    ).curves
    assert life_table(curve) == [(10, 2, 1, 1)]


def test_a_death_on_the_index_date_counts_and_an_illness_on_it_does_not(ask):
    rows = """
        until      | death      | illness    | arm
        2020-01-11 | 2020-01-01 | 2020-01-01 |
        2020-01-11 |            | 2020-01-02 |
        """
    assert life_table(curves(ask, rows).curves[0]) == [(0, 2, 1, 0), (10, 1, 0, 1)]
    assert life_table(curves(ask, rows, ILLNESS).curves[0]) == [(1, 2, 1, 0), (10, 1, 0, 1)]


def test_of_several_outcomes_the_earliest_counts(ask):
    either = {"kind": "any_of", "outcomes": [DEATH, ILLNESS]}
    (curve,) = curves(
        ask,
        """
        until      | death      | illness    | arm
        2020-01-11 | 2020-01-09 | 2020-01-03 |
        2020-01-11 | 2020-01-05 |            |
        """,
        either,
    ).curves
    assert life_table(curve) == [(2, 2, 1, 0), (4, 1, 1, 0)]


@pytest.mark.parametrize(
    "most, table",
    [(5, [(5, 2, 1, 1)]), (4, [(4, 2, 0, 2)]), (100, [(5, 2, 1, 0), (10, 1, 0, 1)])],
)
def test_nobody_is_followed_beyond_the_days_asked_for(ask, most, table):
    (curve,) = curves(
        ask,
        """
        until      | death      | illness | arm
        2020-01-11 | 2020-01-06 |         |
        2020-01-11 |            |         |
        """,
        max_days=most,
    ).curves
    assert life_table(curve) == table


ARMS = """
    until      | death      | illness | arm
    2020-01-11 | 2020-01-02 |         | C
    2020-01-11 | 2020-01-04 |         | C
    2020-01-11 | 2020-01-03 |         | X
    2020-01-11 |            |         | X
    """


def test_groups_are_compared_by_observed_and_expected_events(ask):
    answer = curves(ask, ARMS, by=ARM)
    assert [curve.group for curve in answer.curves] == ["control", "treated"]
    test = answer.log_rank
    assert test.groups == ("control", "treated")
    assert test.observed == (2.0, 1.0)
    # Day 1: 2 of 4 at risk are controls; day 2: 1 of 3; day 3: 1 of 2.
    assert test.expected == pytest.approx((1 / 2 + 1 / 3 + 1 / 2, 1 / 2 + 2 / 3 + 1 / 2))
    variance = 1 / 4 + 2 / 9 + 1 / 4
    assert test.variance[0] == pytest.approx((variance, -variance))


def test_a_group_without_persons_is_left_out(ask):
    alone = """
        until      | death      | illness | arm
        2020-01-11 | 2020-01-02 |         | X
        """
    answer = curves(ask, alone, by=ARM)
    assert [curve.group for curve in answer.curves] == ["treated"]
    assert answer.log_rank.groups == ("treated",)


def test_persons_outside_the_declared_arms_make_groups_of_their_own(ask):
    mixed = ARMS + "2020-01-11 | | | Q\n    2020-01-11 | 2020-01-05 | |\n"
    answer = curves(ask, mixed.rstrip(), by=ARM)
    assert [curve.group for curve in answer.curves] == ["control", "treated", "other", "missing"]
    assert sum(answer.log_rank.observed) == pytest.approx(sum(answer.log_rank.expected))


def test_an_empty_cohort_has_no_curves(ask):
    answer = curves(ask, "until | death | illness | arm")
    assert answer.curves == ()
