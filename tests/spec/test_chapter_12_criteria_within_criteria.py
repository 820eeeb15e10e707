"""Chapter 12. Criteria that ask for a group of others around their own events.

Person 1 has a diagnosis on 1 March with a drug on the day after, and a diagnosis on 1 June without one.
"""

from datetime import date

import pytest

from tests.support.circe_text import AT_MOST, EXACTLY, cohort, condition, counted, drug, group, rule, window
from tests.support.records import persons, record

ONE_DAY = {"EndStrategy": {"DateOffset": {"DateField": "StartDate", "Offset": 0}}, "ConceptSets": []}
SOON = counted(drug(), StartWindow=window("+0", "+7"))
TREATED = group("ALL", SOON)
UNTREATED = group("ALL", counted(drug(), 0, EXACTLY, StartWindow=window("+0", "+7")))


@pytest.fixture
def site():
    tables = persons(1)
    tables["condition_occurrence"] = [
        record("condition_occurrence", 1),
        record("condition_occurrence", 2, person_id=1, condition_start_date=date(2020, 6, 1)),
    ]
    tables["drug_exposure"] = [record("drug_exposure", 1, drug_exposure_start_date=date(2020, 3, 2))]
    tables["measurement"] = [
        record("measurement", 1, measurement_date=date(2020, 3, 3)),
        record("measurement", 2, person_id=1, measurement_date=date(2020, 6, 3)),
    ]
    return tables


def starts(stays, site, *criteria, **parts) -> list[str]:
    found = stays(site, cohort(*criteria, **ONE_DAY, **parts))
    return [row.removeprefix("1: ").split(" to ")[0] for row in found]


def test_only_events_around_which_the_group_holds_are_events(stays, site):
    assert starts(stays, site, condition(CorrelatedCriteria=TREATED)) == ["2020-03-01"]
    assert starts(stays, site, condition(CorrelatedCriteria=UNTREATED)) == ["2020-06-01"]


def test_a_group_that_states_nothing_asks_for_nothing(stays, site):
    assert starts(stays, site, condition(CorrelatedCriteria=group("ALL"))) == ["2020-03-01", "2020-06-01"]


def test_first_is_chosen_before_the_group_is_looked_at(stays, site):
    assert starts(stays, site, condition(First=True, CorrelatedCriteria=UNTREATED)) == []


def test_a_limit_chooses_among_the_events_that_are_left(stays, site):
    assert starts(stays, site, condition(CorrelatedCriteria=UNTREATED), entry="First") == ["2020-06-01"]


def test_each_event_is_the_index_of_its_own_group(stays, site):
    """A measurement within a week after a diagnosis that was treated within a week."""
    treated = counted(condition(CorrelatedCriteria=TREATED), StartWindow=window("-7", "+0"))
    assert starts(stays, site, {"Measurement": {}}, InclusionRules=[rule(group("ALL", treated))]) == [
        "2020-03-03"
    ]


def test_criteria_nest_to_any_depth(stays, site):
    inner = group("ALL", counted(condition(CorrelatedCriteria=TREATED), StartWindow=window("-7", "+0")))
    outer = group(
        "ALL", counted({"Measurement": {"CorrelatedCriteria": inner}}, StartWindow=window("+0", "+7"))
    )
    assert starts(stays, site, condition(CorrelatedCriteria=outer)) == ["2020-03-01"]


def test_a_nested_group_may_ask_for_facts_of_the_person(stays, site):
    for value, expected in ((60, ["2020-03-01", "2020-06-01"]), (61, [])):
        grown = group("ALL", {"Age": {"Value": value, "Op": "gte"}})
        assert starts(stays, site, condition(CorrelatedCriteria=grown)) == expected


def test_an_event_outside_observation_has_no_group_that_could_hold(stays, site):
    site["observation_period"][0]["observation_period_start_date"] = date(2020, 4, 1)
    rarely = group("ALL", counted(drug(), 9, AT_MOST, StartWindow=window("-all", "+all")))
    near = {"StartWindow": window("-all", "+all"), "IgnoreObservationPeriod": True}
    for attributes, number in (({}, 2), ({"CorrelatedCriteria": rarely}, 1)):
        asked = group("ALL", counted(condition(**attributes), number, EXACTLY, **near))
        assert starts(stays, site, {"Measurement": {}}, InclusionRules=[rule(asked)]) == ["2020-06-03"]


def test_censoring_events_may_have_a_group_of_their_own(stays, site):
    censored = {"CensoringCriteria": [condition(CorrelatedCriteria=UNTREATED)], "ConceptSets": []}
    assert stays(site, cohort(drug(), **censored)) == ["1: 2020-03-02 to 2020-06-01"]
