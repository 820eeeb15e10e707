"""Where a query goes, which answers are taken and how it ends: each rule of the hub as a table of cases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_hub.errors import Conflict, Missing, Unprocessable
from atoll_hub.queries.rules import (
    KeptTask,
    check_content,
    check_holder,
    judge,
    no_permit_anywhere,
    outcome_state,
    query_state,
    refusal_problem,
    routed,
    state_problem,
    tightened,
)
from atoll_schemas.protocol import Answer, Refusal
from atoll_schemas.query import Query, Tighten
from atoll_schemas.results import ClearedResult
from tests.support.hub_consortium import cleared, submission

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
QUERY = Query.model_validate(submission()["query"])
OTHER = Query.model_validate(submission(dataset="lung")["query"])
TASK = KeptTask(
    id="t-1",
    query_id="q-1",
    site="north",
    state="running",
    fence=3,
    token="a token",
    query_digest=QUERY.digest(),
    method="count",
    created_at=NOW - SECOND,
    deadline_at=NOW + SECOND,
    lease_expires_at=NOW + SECOND,
    answer_fence=None,
    answer_digest=None,
)
ANSWERED = replace(TASK, state="answered", answer_fence=3, answer_digest="said")
STATES = ["waiting", "running", "answered", "refused", "failed", "late", "no_permit", "cancelled"]


def answer(fence: int = 3, outcome: ClearedResult | Refusal | None = None) -> Answer:
    return Answer(task_id="t-1", fence=fence, outcome=outcome or cleared("north", QUERY))


def refusal(code: str) -> Refusal:
    return Refusal(code=code, detail="constant")


# Routing


@pytest.mark.parametrize(
    "offering, wanted, asked",
    [
        (["north"], None, ("north",)),
        (["north", "south"], None, ("north", "south")),
        (["north", "south"], ["south"], ("south",)),
        (["north", "south"], ["south", "north"], ("south", "north")),
        (["north", "south"], ["south", "south"], ("south",)),
    ],
)
def test_a_query_goes_to_the_sites_that_offer_the_dataset_or_to_the_wanted_of_them(
    offering: list[str], wanted: list[str] | None, asked: tuple[str, ...]
):
    assert routed(offering, wanted) == asked


@pytest.mark.parametrize("wanted", [["west"], ["north", "west"], []])
def test_a_wanted_site_that_does_not_offer_the_dataset_is_refused(wanted: list[str]):
    with pytest.raises(Unprocessable) as found:
        routed(["north", "south"], wanted)
    assert found.value.code == "site.not_offering"


@pytest.mark.parametrize("wanted", [None, [], ["north"]])
def test_a_dataset_that_no_site_offers_is_unknown(wanted: list[str] | None):
    with pytest.raises(Missing) as found:
        routed([], wanted)
    assert found.value.code == "dataset.unknown"


# The hub's own disclosure wishes


@pytest.mark.parametrize(
    "asked, hub, expected",
    [
        (None, (20, None), Tighten(minimum_persons=20)),
        (None, (20, 10), Tighten(minimum_persons=20, round_to=10)),
        (Tighten(minimum_persons=15), (20, None), Tighten(minimum_persons=20)),
        (Tighten(minimum_persons=50), (20, None), Tighten(minimum_persons=50)),
        (Tighten(round_to=10), (20, None), Tighten(minimum_persons=20, round_to=10)),
        (Tighten(minimum_persons=50, round_to=5), (20, 10), Tighten(minimum_persons=50, round_to=10)),
    ],
)
def test_the_stricter_wish_wins_number_by_number(
    asked: Tighten | None, hub: tuple[int | None, int | None], expected: Tighten
):
    assert tightened(QUERY.model_copy(update={"tighten": asked}), *hub).tighten == expected


@pytest.mark.parametrize("asked", [None, Tighten(minimum_persons=15)])
def test_a_hub_without_wishes_leaves_the_query_and_its_digest(asked: Tighten | None):
    query = QUERY.model_copy(update={"tighten": asked})
    assert tightened(query, None, None) is query


@given(*[st.none() | st.integers(min_value=1, max_value=100)] * 4)
def test_the_hub_never_loosens(persons: Any, rounding: Any, hub_persons: Any, hub_rounding: Any):
    asked = Tighten(minimum_persons=persons, round_to=rounding)
    found = tightened(QUERY.model_copy(update={"tighten": asked}), hub_persons, hub_rounding).tighten
    assert found is not None
    assert (found.minimum_persons or 0) >= max(persons or 0, hub_persons or 0)
    assert (found.round_to or 0) >= max(rounding or 0, hub_rounding or 0)


# Taking answers


@pytest.mark.parametrize("outcome", [cleared("north", QUERY), refusal("permit.period")])
def test_the_first_answer_under_the_newest_fence_is_taken(outcome: ClearedResult | Refusal):
    assert judge(TASK, answer(outcome=outcome), "said", NOW) == "take"


@pytest.mark.parametrize("at", [NOW, NOW + timedelta(days=9)])
def test_the_same_answer_again_is_a_replay_even_after_the_deadline(at: datetime):
    assert judge(ANSWERED, answer(), "said", at) == "replay"


@pytest.mark.parametrize(
    "task, fence, digest, code",
    [
        pytest.param(ANSWERED, 3, "other", "task.answered", id="another answer"),
        pytest.param(ANSWERED, 2, "said", "task.fenced", id="the same words under an old fence"),
        pytest.param(ANSWERED, 4, "said", "task.fenced", id="a fence that was never given"),
        pytest.param(TASK, 2, "said", "task.fenced", id="an old fence"),
        pytest.param(TASK, 4, "said", "task.fenced", id="a fence of the future"),
        pytest.param(replace(TASK, state="cancelled"), 3, "said", "task.cancelled", id="cancelled"),
        pytest.param(replace(TASK, state="late"), 3, "said", "task.late", id="late"),
        pytest.param(replace(TASK, deadline_at=NOW), 3, "said", "task.late", id="at the deadline"),
        pytest.param(replace(TASK, state="waiting", fence=0), 1, "said", "task.fenced", id="never claimed"),
        pytest.param(replace(TASK, state="refused"), 3, "said", "task.answered", id="closed otherwise"),
    ],
)
def test_any_other_answer_is_refused_with_its_reason(task: KeptTask, fence: int, digest: str, code: str):
    with pytest.raises(Conflict) as found:
        judge(task, answer(fence), digest, NOW)
    assert found.value.code == code
    assert found.value.next_step


def test_an_expired_lease_alone_does_not_shut_its_holder_out():
    idle = replace(TASK, lease_expires_at=NOW - SECOND)
    assert judge(idle, answer(), "said", NOW) == "take"


@pytest.mark.parametrize(
    "state, code",
    [
        ("running", None),
        ("waiting", "task.answered"),
        ("answered", "task.answered"),
        ("refused", "task.answered"),
        ("failed", "task.answered"),
        ("no_permit", "task.answered"),
        ("cancelled", "task.cancelled"),
        ("late", "task.late"),
    ],
)
def test_only_a_running_task_has_a_holder(state: Any, code: str | None):
    task = replace(TASK, state=state)
    if code is None:
        check_holder(task, 3, NOW)
        return
    with pytest.raises(Conflict) as found:
        check_holder(task, 3, NOW)
    assert found.value.code == code


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(cleared("south", QUERY), id="another site"),
        pytest.param(cleared("north", OTHER), id="another query"),
    ],
)
def test_an_answer_to_something_else_is_refused(outcome: ClearedResult):
    with pytest.raises(Unprocessable) as found:
        check_content(TASK, answer(outcome=outcome))
    assert found.value.code == "answer.mismatch"


def test_an_answer_by_another_method_is_refused():
    with pytest.raises(Unprocessable, match="another site, query or method"):
        check_content(replace(TASK, method="table1"), answer())


def test_a_refusal_has_no_content_to_check():
    check_content(replace(TASK, method="table1"), answer(outcome=refusal("engine.memory")))


# States


@pytest.mark.parametrize(
    "code, state",
    [
        ("engine.memory", "failed"),
        ("lake.missing", "failed"),
        ("release.unknown", "failed"),
        ("node.busy", "failed"),
        ("agent.stopped", "failed"),
        ("internal.fault", "failed"),
        ("permit.period", "refused"),
        ("disclosure.minimum", "refused"),
        ("task.signature", "refused"),
        ("engine", "refused"),
        ("x.engine.memory", "refused"),
        ("", "refused"),
    ],
)
def test_a_fault_at_the_node_is_a_failure_and_a_rule_a_refusal(code: str, state: str):
    assert outcome_state(refusal(code)) == state


def test_a_cleared_result_is_an_answer():
    assert outcome_state(cleared("north", QUERY)) == "answered"


@pytest.mark.parametrize(
    "states, state",
    [
        (["waiting"], "running"),
        (["running"], "running"),
        (["answered", "waiting"], "running"),
        (["cancelled", "running"], "running"),
        (["answered"], "complete"),
        (["answered", "answered"], "complete"),
        (["answered", "no_permit"], "partial"),
        (["answered", "refused"], "partial"),
        (["answered", "failed", "late"], "partial"),
        (["refused"], "failed"),
        (["late", "no_permit"], "failed"),
        (["failed", "refused"], "failed"),
        (["cancelled"], "cancelled"),
        (["answered", "cancelled"], "cancelled"),
        (["cancelled", "no_permit", "late"], "cancelled"),
    ],
)
def test_a_querys_state_follows_from_its_sites_in_any_order(states: list[Any], state: str):
    assert {query_state(order) for order in permutations(states)} == {state}


@given(st.lists(st.sampled_from(STATES), min_size=1))
def test_a_query_runs_exactly_as_long_as_a_site_is_open(states: list[Any]):
    assert (query_state(states) == "running") == bool({"waiting", "running"} & set(states))


@given(st.lists(st.sampled_from(STATES), min_size=1))
def test_a_query_is_complete_exactly_when_every_site_answered(states: list[Any]):
    assert (query_state(states) == "complete") == (set(states) == {"answered"})


# What a researcher reads


@pytest.mark.parametrize("state, code", [("no_permit", "permit.missing"), ("late", "task.late")])
def test_a_site_that_sent_nothing_says_why_and_what_to_do(state: Any, code: str):
    problem = state_problem(state)
    assert problem is not None
    assert (problem.code, bool(problem.next_step)) == (code, True)


@pytest.mark.parametrize("state", ["waiting", "running", "answered", "cancelled"])
def test_other_states_need_no_explanation(state: Any):
    assert state_problem(state) is None


def test_a_nodes_refusal_reaches_the_researcher_word_by_word():
    problem = refusal_problem(Refusal(code="permit.period", detail="over", next_step="ask the steward"))
    assert (problem.code, problem.detail, problem.next_step) == ("permit.period", "over", "ask the steward")


def test_a_query_that_no_site_may_be_asked_names_who_decides():
    assert "steward" in str(no_permit_anywhere().next_step)
