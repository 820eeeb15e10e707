"""What three sites' gates let go, the hub merges and the SDK shows; sums hold against the whole truth."""

import math
from datetime import timedelta
from random import Random

import pytest

import atoll
from atoll_hub.queries.merge import merge
from atoll_node.disclosure import Ledger, clear
from atoll_node.reference import evaluate
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Pooled
from atoll_schemas.query import (
    TOTAL,
    Count,
    Crosstab,
    Death,
    Demographic,
    KaplanMeier,
    Outcome,
    Table1,
    TrialArm,
    Variable,
)
from atoll_schemas.results import Result, SiteOutcome, StratifiedLogRank
from tests.support.cleared import NOON
from tests.support.gate import TEST_RELEASE, MemoryInTests
from tests.support.questions import levels, query
from tests.support.small_sites import FIRST_DAY, site

SIZES = {"east": 90, "north": 160, "south": 240}
SEX = Variable(name="sex", definition=Demographic(field="sex"))
AGE = Variable(name="age", definition=Demographic(field="age"), edges=(20.0, 40.0, 60.0, 80.0))
ARM = Variable(name="arm", definition=TrialArm(trial="T1", levels=levels(X=["X"], Y=["Y"])))
DEATH = Outcome(name="death", definition=Death())
QUESTIONS = {
    "count": query(analysis=Count(by=(SEX,))),
    "table1": query(analysis=Table1(variables=(AGE, SEX), by=ARM)),
    "ages": query(analysis=Table1(variables=(AGE,))),
    "crosstab": query(analysis=Crosstab(variables=(SEX, AGE))),
    "kaplan_meier": query(analysis=KaplanMeier(outcome=DEATH, by=SEX)),
}


@pytest.fixture(scope="module")
def tables():
    """Three made-up hospitals; everybody has an age and is observed for long enough to die in sight."""
    found = {name: site(Random(7 * size), size) for name, size in SIZES.items()}
    for hospital in found.values():
        for person in hospital["person"]:
            person["year_of_birth"] = person["year_of_birth"] or 1960
        hospital["observation_period"] = [
            {
                "observation_period_id": person["person_id"],
                "person_id": person["person_id"],
                "observation_period_start_date": FIRST_DAY - timedelta(days=person["person_id"] % 5),
                "observation_period_end_date": FIRST_DAY + timedelta(days=90),
                "period_type_concept_id": 1,
            }
            for person in hospital["person"]
        ]
    return found


@pytest.fixture(scope="module")
def raws(tables):
    return {
        name: {place: evaluate(hospital, asked) for place, hospital in tables.items()}
        for name, asked in QUESTIONS.items()
    }


@pytest.fixture(scope="module")
def answers(raws):
    return {name: merged(QUESTIONS[name], raw) for name, raw in raws.items()}


def merged(asked, raw):
    cleared = {
        place: clear(
            aggregate,
            query=asked,
            release=TEST_RELEASE.model_copy(update={"site": place}),
            site=place,
            settings=GateSettings(),
            ledger=Ledger(MemoryInTests()),
        )
        for place, aggregate in raw.items()
    }
    return merge(asked, cleared)


def holds(pooled, truth):
    """A total lies within its half-width of the truth; a floor is no more than the truth and that."""
    assert pooled.value - pooled.half_width <= truth
    if not pooled.withheld:
        assert truth <= pooled.value + pooled.half_width


def truths(tables):
    """Return the true sum of each cell over the sites."""
    found = {}
    for table in tables:
        for levels_of, persons in table.persons.items():
            found[levels_of] = found.get(levels_of, 0) + persons
    return found


def checked(table, raw_tables):
    counted = [cell for cell in table.cells if isinstance(cell.persons, Pooled)]
    true = truths(raw_tables)
    for cell in counted:
        if TOTAL not in cell.levels:
            holds(cell.persons, true[cell.levels])
    return counted


def test_counts_add_up_to_the_truth(answers, raws):
    raw = [it.analysis for it in raws["count"].values()]
    holds(answers["count"].persons, sum(it.persons for it in raw))
    assert checked(answers["count"].by, [it.by for it in raw])


def test_crosstabs_add_up_to_the_truth(answers, raws):
    assert checked(answers["crosstab"].table, [it.analysis.table for it in raws["crosstab"].values()])


def test_the_mean_and_sd_are_those_of_all_persons(answers, raws):
    raw = [it.analysis.summaries[0].groups[0] for it in raws["table1"].values()]
    n = sum(it.n for it in raw)
    mean = sum(it.n * it.mean for it in raw) / n
    m2 = sum(it.m2 + it.n * (it.mean - mean) ** 2 for it in raw)
    everybody = answers["table1"].summaries[0].groups[0]
    assert (everybody.group, everybody.sites) == (TOTAL, 3)
    assert math.isclose(everybody.mean.value, mean, rel_tol=1e-12)
    assert math.isclose(everybody.sd.value, math.sqrt(m2 / (n - 1)), rel_tol=1e-12)


def test_bins_add_up_to_the_truth_and_give_a_median(answers, raws):
    everybody = answers["ages"].summaries[0].groups[0]
    raw = [part for it in raws["ages"].values() for part in it.analysis.summaries[0].groups[0].bins]
    for part in everybody.bins:
        inside = [it.persons for it in raw if within(it.low, it.high, part.low, part.high)]
        holds(part.persons, sum(inside))
    assert 0.5 in {it.probability for it in everybody.quantiles}


def within(low, high, outer_low, outer_high):
    fits_below = outer_low is None or (low is not None and low >= outer_low)
    return fits_below and (outer_high is None or (high is not None and high <= outer_high))


def test_the_test_of_survival_is_the_sum_of_the_sites(answers, raws):
    found = answers["kaplan_meier"].log_rank
    assert isinstance(found, StratifiedLogRank)
    parts = [raws["kaplan_meier"][place].analysis.log_rank for place in found.sites]
    for group, observed in zip(found.groups, found.observed, strict=True):
        true = sum(part.observed[part.groups.index(group)] for part in parts if group in part.groups)
        assert observed == true


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_can_be_read_and_drawn(answers, name):
    asked = QUESTIONS[name]
    result = atoll.Result(
        Result(
            query_id="q-1",
            query_digest=asked.digest(),
            project=asked.project,
            dataset=asked.dataset,
            method=asked.analysis.method,
            state="complete",
            asked=3,
            answered=3,
            sites=tuple(SiteOutcome(site=place, state="answered") for place in SIZES),
            merged=answers[name],
            submitted_at=NOON,
        )
    )
    assert len(result.to_pandas()) > 2
    assert result.rows()[1]
    assert "<svg" in result._repr_svg_()
