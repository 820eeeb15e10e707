"""A query goes to the permitted sites, comes back once from each, and says how many answered."""

import json
import threading
import time

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from atoll_schemas.people import Role
from atoll_schemas.protocol import TASK_TYPE, Cancelled, Lease, Task
from atoll_schemas.query import Query
from tests.support.hub import PlainNode
from tests.support.hub_consortium import Consortium, cleared, submission


def task_of(node: PlainNode, lease: Lease) -> Task:
    """Check the hub's signature as a node does, and read the task."""
    assert node.enrolled is not None
    found = jws.deserialize_compact(
        lease.token, ECKey.import_key(node.enrolled.hub_keys[0]), algorithms=["ES256"]
    )
    assert found.protected["typ"] == TASK_TYPE
    return Task.model_validate_json(found.payload)


def answer(node: PlainNode, lease: Lease, persons: int = 120, fence: int | None = None):
    """Answer a lease with a cleared count."""
    assert node.enrolled is not None
    outcome = cleared(node.enrolled.site, task_of(node, lease).query, persons)
    message = {"task_id": lease.task_id, "fence": fence or lease.fence, "outcome": outcome.wire()}
    return node.post(f"tasks/{lease.task_id}/answer", message)


def refuse(node: PlainNode, lease: Lease, code: str = "permit.not_active"):
    """Decline a lease."""
    outcome = {"kind": "refusal", "code": code, "detail": "constant"}
    message = {"task_id": lease.task_id, "fence": lease.fence, "outcome": outcome}
    return node.post(f"tasks/{lease.task_id}/answer", message)


def test_two_sites_answer_and_the_hub_pools_them(hub: Consortium):
    ada = hub.person("ada")
    north, south = hub.node("north"), hub.node("south")
    hub.project(ada, north, south)
    query_id = ada.ask()
    for node, persons in ((north, 120), (south, 80)):
        (lease,) = node.leases()
        assert answer(node, lease, persons).json() == {"task_id": lease.task_id, "replayed": False}
    result = ada.result(query_id)
    assert result["state"] == "complete"
    assert (result["asked"], result["answered"]) == (2, 2)
    assert result["merged"]["persons"]["value"] == 200
    assert ada.kinds(query_id)[-1] == "finished"


def test_a_task_is_signed_and_names_query_permit_and_purpose(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask(deadline_seconds=60)
    (lease,) = north.leases()
    task = task_of(north, lease)
    assert (task.site, task.query_id, task.permit_id) == ("north", query_id, "P-001.north")
    assert task.query_digest == task.query.digest()
    assert task.purpose == "Survival"
    assert (task.expires_at - task.issued_at).total_seconds() == 60


def test_a_site_without_permit_is_not_asked_and_stands_in_the_result(hub: Consortium):
    ada = hub.person("ada")
    north, south = hub.node("north"), hub.node("south")
    hub.project(ada, north)
    query_id = ada.ask()
    assert south.leases() == []
    (lease,) = north.leases()
    answer(north, lease)
    result = ada.result(query_id)
    assert result["state"] == "partial"
    states = {one["site"]: one["state"] for one in result["sites"]}
    assert states == {"north": "answered", "south": "no_permit"}
    assert result["sites"][1]["problem"]["code"] == "permit.missing"


def test_without_any_permit_the_query_is_refused(hub: Consortium):
    ada = hub.person("ada")
    hub.node("north")
    hub.project(ada)
    refused = ada.post("/v1/queries", submission())
    assert (refused.status_code, refused.json()["code"]) == (403, "permit.missing")
    assert refused.json()["next_step"]


def test_only_the_projects_people_may_ask(hub: Consortium):
    ada, eve, north = hub.person("ada"), hub.person("eve"), hub.node("north")
    hub.project(ada, north)
    refused = eve.post("/v1/queries", submission())
    assert (refused.status_code, refused.json()["code"]) == (403, "project.not_member")


def test_only_the_projects_people_and_operators_see_a_query(hub: Consortium):
    ada, eve, olga = hub.person("ada"), hub.person("eve"), hub.person("olga", Role.OPERATOR)
    hub.project(ada, hub.node("north"))
    query_id = ada.ask()
    for path in ("", "/result", "/events"):
        assert eve.get(f"/v1/queries/{query_id}{path}").status_code == 404
    assert eve.post(f"/v1/queries/{query_id}/cancel").status_code == 404
    assert eve.get("/v1/queries").json() == []
    assert [one["query_id"] for one in olga.get("/v1/queries").json()] == [query_id]
    assert ada.get(f"/v1/queries/{query_id}").json()["summary"]["submitted_by"] == "ada"


def test_the_same_key_returns_the_same_query(hub: Consortium):
    ada = hub.person("ada")
    hub.project(ada, hub.node("north"))
    first = ada.post("/v1/queries", submission(idempotency_key="once-only"))
    again = ada.post("/v1/queries", submission(idempotency_key="once-only"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["query_id"] == again.json()["query_id"]
    other = ada.post("/v1/queries", submission(idempotency_key="once-only", deadline_seconds=9))
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.differs")


def test_an_answer_sent_twice_is_taken_once(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    assert answer(north, lease).json()["replayed"] is False
    assert answer(north, lease).json()["replayed"] is True
    changed = answer(north, lease, persons=999)
    assert (changed.status_code, changed.json()["code"]) == (409, "task.answered")
    assert ada.kinds(query_id).count("answered") == 1


def test_an_expired_lease_is_claimed_again_and_fences_the_first_holder(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    ada.ask()
    (first,) = north.leases()
    assert north.leases() == []
    hub.clock.advance(31)
    (second,) = north.leases()
    assert second.fence == first.fence + 1
    assert second.token == first.token
    refused = answer(north, first)
    assert (refused.status_code, refused.json()["code"]) == (409, "task.fenced")
    assert answer(north, second).status_code == 200


def test_a_poll_that_names_a_running_task_keeps_its_lease(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    ada.ask()
    (lease,) = north.leases()
    for _ in range(3):
        hub.clock.advance(20)
        assert north.leases(running=(lease.task_id,)) == []
    assert answer(north, lease).status_code == 200


def test_progress_keeps_the_lease_and_tells_the_researcher(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    for stage in ("verifying", "running"):
        hub.clock.advance(20)
        message = {"task_id": lease.task_id, "fence": lease.fence, "stage": stage}
        assert north.post(f"tasks/{lease.task_id}/progress", message).status_code == 204
    hub.clock.advance(20)
    assert north.leases() == []
    answer(north, lease)
    assert ada.kinds(query_id).count("stage") == 2


def test_at_its_deadline_a_query_ends_with_those_who_answered(hub: Consortium):
    ada = hub.person("ada")
    north, south = hub.node("north"), hub.node("south")
    hub.project(ada, north, south)
    query_id = ada.ask(deadline_seconds=60)
    (lease,) = north.leases()
    (slow,) = south.leases()
    answer(north, lease)
    hub.clock.advance(61)
    hub.hub.queries.expire()
    result = ada.result(query_id)
    assert (result["state"], result["answered"], result["asked"]) == ("partial", 1, 2)
    assert result["sites"][1]["problem"]["code"] == "task.late"
    refused = answer(south, slow)
    assert (refused.status_code, refused.json()["code"]) == (409, "task.late")


def test_a_cancelled_query_is_taken_back_from_the_node(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    assert ada.post(f"/v1/queries/{query_id}/cancel").json()["state"] == "cancelled"
    assert north.poll(running=(lease.task_id,)).deliveries == (Cancelled(task_id=lease.task_id),)
    assert north.poll(running=(lease.task_id,)).deliveries == ()
    refused = answer(north, lease)
    assert (refused.status_code, refused.json()["code"]) == (409, "task.cancelled")
    assert ada.post(f"/v1/queries/{query_id}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize("code, state", [("permit.not_active", "refused"), ("engine.memory", "failed")])
def test_a_refusal_reaches_the_researcher_with_its_code(hub: Consortium, code: str, state: str):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    refuse(north, lease, code)
    (site,) = ada.result(query_id)["sites"]
    assert (site["state"], site["problem"]["code"]) == (state, code)
    assert ada.result(query_id)["state"] == "failed"


def test_an_answer_of_another_site_query_or_method_is_refused(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    ada.ask()
    (lease,) = north.leases()
    query = task_of(north, lease).query
    other = Query.model_validate(query.wire() | {"dataset": "other"})
    for outcome in (cleared("south", query), cleared("north", other)):
        message = {"task_id": lease.task_id, "fence": lease.fence, "outcome": outcome.wire()}
        refused = north.post(f"tasks/{lease.task_id}/answer", message)
        assert (refused.status_code, refused.json()["code"]) == (422, "answer.mismatch")


def test_a_node_cannot_touch_another_sites_task(hub: Consortium):
    ada, north, south = hub.person("ada"), hub.node("north"), hub.node("south")
    hub.project(ada, north, south)
    ada.ask()
    (lease,) = north.leases()
    refused = refuse(south, lease)
    assert (refused.status_code, refused.json()["code"]) == (404, "task.unknown")


def test_a_long_poll_returns_the_moment_a_query_is_submitted(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    found: list[Lease] = []
    waiting = threading.Thread(target=lambda: found.extend(north.leases(wait=20)))
    waiting.start()
    time.sleep(0.3)
    asked = time.monotonic()
    ada.ask()
    waiting.join(timeout=10)
    assert len(found) == 1
    assert time.monotonic() - asked < 0.9, "the poll was woken, not found by looking again"


def test_events_resume_after_the_last_one_seen(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    answer(north, lease)
    whole = ada.get(f"/v1/queries/{query_id}/events").text
    rest = ada.get(f"/v1/queries/{query_id}/events", headers={"Last-Event-ID": "3"}).text
    assert whole.endswith(rest)
    assert rest.startswith("id: 4\n")
    last = json.loads(rest.strip().splitlines()[-1].removeprefix("data: "))
    assert (last["kind"], last["detail"]) == ("finished", "complete")


def test_an_unknown_dataset_or_site_is_named(hub: Consortium):
    ada = hub.person("ada")
    hub.project(ada, hub.node("north"))
    unknown = ada.post("/v1/queries", submission(dataset="nothing"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "dataset.unknown")
    elsewhere = ada.post("/v1/queries", submission(sites=["west"]))
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "site.not_offering")


def test_a_permit_that_was_suspended_stops_further_queries(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    ada.post("/v1/projects", {"title": "T", "purpose": "P", "datasets": ["colon"], "methods": ["count"]})
    (request,) = north.applications()
    north.state_permit(north.decide(request))
    ada.ask()
    north.state_permit(north.decide(request, "suspended", 2))
    assert ada.post("/v1/queries", submission()).json()["code"] == "permit.missing"
