"""What a task must be, and what a permit must say, before anything runs."""

from datetime import timedelta

import pytest

from atoll_node.errors import Refused
from atoll_node.permits import Pins, check_task, narrowed, permitted
from tests.support.node_records import (
    HUB_ID,
    NOW,
    SITE,
    a_hub_key,
    a_permit,
    a_query,
    a_request,
    a_scope,
    a_task,
)

HUB = a_hub_key()
PINS = Pins(SITE, HUB_ID, (HUB.public_jwk(),))


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def checked(task, key=HUB, kind="atoll-task+jws", now=NOW, task_id="task-1"):
    return check_task(key.sign(kind, task.canonical()), task_id=task_id, pins=PINS, now=now)


def test_a_signed_task_for_this_site_in_its_time_holds():
    assert checked(a_task()) == a_task()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"site": "south"}, "task.site"),
        ({"hub_id": "hub-other"}, "task.hub"),
        ({"protocol": "2"}, "task.protocol"),
        ({"id": "task-2"}, "task.mismatch"),
        ({"query_digest": "sha256:" + "0" * 64}, "task.digest"),
        ({"project": "P-002"}, "task.digest"),
        ({"issued_at": NOW + timedelta(seconds=61)}, "task.future"),
        ({"expires_at": NOW - timedelta(seconds=60)}, "task.expired"),
        ({"expires_at": NOW.replace(tzinfo=None)}, "task.malformed"),
    ],
)
def test_a_task_that_is_not_meant_for_here_and_now_is_refused(change, code):
    with pytest.raises(Refused) as refused:
        checked(a_task(**change))
    assert code_of(refused) == code


def test_clocks_may_differ_by_less_than_a_minute():
    checked(a_task(issued_at=NOW + timedelta(seconds=59)))
    checked(a_task(expires_at=NOW - timedelta(seconds=59)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "suspended"}, "permit.not_active"),
        ({"state": "rejected"}, "permit.not_active"),
        ({"state": "requested"}, "permit.not_active"),
        ({"project": "P-002"}, "permit.project"),
        ({"purpose": "Something else"}, "permit.purpose"),
        ({"site": "south"}, "permit.unknown"),
        ({"permit_id": "P-002.north"}, "permit.unknown"),
        ({"scope": a_scope(datasets=("lung",))}, "permit.dataset"),
        ({"scope": a_scope(methods=("table1",))}, "permit.method"),
        ({"scope": a_scope(valid_from=NOW + timedelta(seconds=1))}, "permit.period"),
        ({"scope": a_scope(valid_until=NOW)}, "permit.period"),
    ],
)
def test_a_permit_that_does_not_cover_the_task_says_no(change, code):
    with pytest.raises(Refused) as refused:
        permitted(a_permit(**change), a_task(), NOW)
    assert code_of(refused) == code


def test_an_active_permit_that_covers_the_task_says_nothing():
    assert permitted(a_permit(), a_task(), NOW) is None


def test_no_permit_says_no():
    with pytest.raises(Refused) as refused:
        permitted(None, a_task(), NOW)
    assert code_of(refused) == "permit.unknown"


def test_another_projects_query_cannot_borrow_a_permit():
    task = a_task(query=a_query(project="P-009"))
    with pytest.raises(Refused) as refused:
        permitted(a_permit(), task, NOW)
    assert code_of(refused) == "permit.project"


def test_a_steward_may_take_a_request_as_it_is():
    assert narrowed(a_request()) == a_scope()


def test_a_steward_may_narrow_methods_datasets_and_end():
    request = a_request(scope=a_scope(datasets=("colon", "lung")))
    until = NOW + timedelta(days=2)
    scope = narrowed(request, datasets=["lung"], methods=["count"], valid_until=until)
    assert scope == a_scope(datasets=("lung",), methods=("count",), valid_until=until)


@pytest.mark.parametrize(
    "wider",
    [
        {"datasets": ["colon", "lung"]},
        {"methods": ["kaplan_meier"]},
        {"valid_until": NOW + timedelta(days=31)},
    ],
)
def test_a_steward_cannot_widen_a_request(wider):
    with pytest.raises(Refused) as refused:
        narrowed(a_request(), **wider)
    assert code_of(refused) == "permit.wider"


@pytest.mark.parametrize(
    "empty", [{"datasets": []}, {"methods": []}, {"valid_until": NOW - timedelta(days=2)}]
)
def test_a_permit_for_nothing_is_refused(empty):
    with pytest.raises(Refused) as refused:
        narrowed(a_request(), **empty)
    assert code_of(refused) == "permit.empty"
