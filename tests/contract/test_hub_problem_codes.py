"""Every problem code that the hub's reference page names can be met, and every one that is met is named.

Each case provokes one refusal and checks its status, type, code and next step, and that nothing of what the
caller sent is repeated.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from atoll_hub.database import SCHEMA_REVISION
from atoll_schemas.people import NewInvitation, Role
from atoll_schemas.protocol import PERMIT_TYPE
from tests.integration.test_hub_queries import answer, refuse, task_of
from tests.support.hub import PlainNode
from tests.support.hub_consortium import Consortium, catalog, cleared, project, submission

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hub-api.md"
SECRET = "Qxz-Planted-4417"
HUGE = 2**60
JSON = {"Content-Type": "application/json"}
NODE = {"Atoll-Protocol": "1"}

Provoke = Callable[[Consortium], httpx.Response]
PROVOKED: dict[str, Provoke] = {}


def provokes(code: str) -> Callable[[Provoke], Provoke]:
    """Register how a code is met; each code has one case."""

    def register(provoke: Provoke) -> Provoke:
        assert code not in PROVOKED
        PROVOKED[code] = provoke
        return provoke

    return register


def documented() -> dict[str, int]:
    """Return the codes of the reference page's table with their status."""
    rows = re.findall(r"^\| (\d{3}) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {code: int(status) for status, cell in rows for code in re.findall(r"`([a-z_]+\.[a-z_]+)`", cell)}


STATUS = documented()


def leased(hub: Consortium, **asked: Any) -> tuple[PlainNode, Any, str]:
    """Return a node that holds a task, its lease, and the query's id."""
    ada, north = hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask(**asked)
    (lease,) = north.leases()
    return north, lease, query_id


def requested(hub: Consortium) -> tuple[PlainNode, Any]:
    """Return a node and the application it was sent."""
    ada, north = hub.person("ada"), hub.node("north")
    ada.post("/v1/projects", project())
    (request,) = north.applications()
    return north, request


def code_for(hub: Consortium, hours: int = 72) -> str:
    return hub.hub.nodes.invite("north", NewInvitation(valid_hours=hours), "test").code


def new_node(hub: Consortium) -> PlainNode:
    return PlainNode.at("http://testserver", hub.http)


@provokes("request.malformed")
def a_body_cut_short(hub: Consortium) -> httpx.Response:
    headers = hub.person("ada").headers | JSON
    return hub.http.post("/v1/queries", content=f'{{"query": "{SECRET}'.encode(), headers=headers)


@provokes("request.nul")
def a_nul_in_a_text(hub: Consortium) -> httpx.Response:
    return hub.person("ada").post("/v1/projects", project(title=f"{SECRET}\x00"))


@provokes("protocol.version")
def a_node_of_another_protocol(hub: Consortium) -> httpx.Response:
    node = hub.node("north")
    node.protocol = SECRET
    return node.post("poll", {"wait_seconds": 0, "software": "s"})


@provokes("token.request")
def another_grant(hub: Consortium) -> httpx.Response:
    return hub.http.post("/v1/token", data={"grant_type": SECRET}, headers=NODE)


@provokes("token.missing")
def no_token(hub: Consortium) -> httpx.Response:
    return hub.http.get("/v1/me", headers={"Authorization": f"Basic {SECRET}"})


@provokes("token.invalid")
def an_unknown_token(hub: Consortium) -> httpx.Response:
    return hub.http.get("/v1/me", headers={"Authorization": f"Bearer {SECRET}"})


@provokes("token.expired")
def an_old_token(hub: Consortium) -> httpx.Response:
    ada = hub.person("ada")
    hub.clock.advance(91 * 86_400)
    return ada.get("/v1/me")


@provokes("assertion.invalid")
def an_assertion_without_end(hub: Consortium) -> httpx.Response:
    node = hub.node("north")
    return node.ask_token(node.assertion(exp=SECRET))


@provokes("assertion.replayed")
def an_assertion_twice(hub: Consortium) -> httpx.Response:
    node = hub.node("north")
    assertion = node.assertion(jti=SECRET)
    node.ask_token(assertion)
    return node.ask_token(assertion)


@provokes("assertion.audience")
def an_assertion_for_another(hub: Consortium) -> httpx.Response:
    node = hub.node("north")
    return node.ask_token(node.assertion(aud=f"https://{SECRET}.example"))


@provokes("clock.skew")
def a_clock_an_hour_off(hub: Consortium) -> httpx.Response:
    node = hub.node("north")
    node.clock_offset = timedelta(hours=1)
    return node.ask_token(node.assertion())


@provokes("role.denied")
def a_researcher_lists_people(hub: Consortium) -> httpx.Response:
    return hub.person("ada").get("/v1/users")


@provokes("project.not_member")
def a_stranger_asks(hub: Consortium) -> httpx.Response:
    hub.project(hub.person("ada"), hub.node("north"))
    return hub.person("eve").post("/v1/queries", submission())


@provokes("permit.missing")
def nobody_permits(hub: Consortium) -> httpx.Response:
    ada = hub.person("ada")
    hub.node("north")
    hub.project(ada)
    return ada.post("/v1/queries", submission())


@provokes("enrolment.code")
def a_guessed_code(hub: Consortium) -> httpx.Response:
    return new_node(hub).enrol(f"atoll1-{SECRET}")


@provokes("enrolment.expired")
def an_old_code(hub: Consortium) -> httpx.Response:
    code = code_for(hub, hours=1)
    hub.clock.advance(3600)
    return new_node(hub).enrol(code)


@provokes("enrolment.used")
def a_code_of_another_key(hub: Consortium) -> httpx.Response:
    code = code_for(hub)
    new_node(hub).enrol(code)
    return new_node(hub).enrol(code)


@provokes("route.unknown")
def no_such_route(hub: Consortium) -> httpx.Response:
    return hub.http.get(f"/v1/{SECRET}")


@provokes("query.unknown")
def another_projects_query(hub: Consortium) -> httpx.Response:
    _, _, query_id = leased(hub)
    return hub.person("eve").get(f"/v1/queries/{query_id}")


@provokes("project.unknown")
def another_persons_project(hub: Consortium) -> httpx.Response:
    identity = hub.project(hub.person("ada"))
    return hub.person("eve").get(f"/v1/projects/{identity}")


@provokes("dataset.unknown")
def no_such_dataset(hub: Consortium) -> httpx.Response:
    return hub.person("ada").get("/v1/datasets/qxz_planted_4417")


@provokes("user.unknown")
def nobody_of_this_name(hub: Consortium) -> httpx.Response:
    return hub.person("olga", Role.OPERATOR).delete(f"/v1/users/{SECRET}")


@provokes("task.unknown")
def another_sites_task(hub: Consortium) -> httpx.Response:
    _, lease, _ = leased(hub)
    return refuse(hub.node("south"), lease)


@provokes("permit.unknown")
def a_permit_that_nobody_asked_for(hub: Consortium) -> httpx.Response:
    north, request = requested(hub)
    return north.state_permit(north.decide(request, project="P-404"))


@provokes("method.unknown")
def no_such_method(hub: Consortium) -> httpx.Response:
    return hub.http.patch("/v1/health", json={"text": SECRET})


@provokes("task.fenced")
def an_answer_after_another_claim(hub: Consortium) -> httpx.Response:
    north, lease, _ = leased(hub)
    hub.clock.advance(31)
    north.leases()
    return answer(north, lease)


@provokes("task.answered")
def a_second_answer(hub: Consortium) -> httpx.Response:
    north, lease, _ = leased(hub)
    answer(north, lease, persons=120)
    return answer(north, lease, persons=125)


@provokes("task.late")
def an_answer_after_the_deadline(hub: Consortium) -> httpx.Response:
    north, lease, _ = leased(hub, deadline_seconds=20)
    hub.clock.advance(21)
    return answer(north, lease)


@provokes("task.cancelled")
def an_answer_after_the_end(hub: Consortium) -> httpx.Response:
    north, lease, query_id = leased(hub)
    hub.person("ada").post(f"/v1/queries/{query_id}/cancel")
    return answer(north, lease)


@provokes("idempotency.differs")
def a_key_for_two_questions(hub: Consortium) -> httpx.Response:
    ada = hub.person("ada")
    hub.project(ada, hub.node("north"))
    ada.ask(idempotency_key=SECRET)
    return ada.post("/v1/queries", submission(idempotency_key=SECRET, deadline_seconds=9))


@provokes("user.exists")
def a_person_twice(hub: Consortium) -> httpx.Response:
    hub.person(SECRET)
    olga = hub.person("olga", Role.OPERATOR)
    return olga.post("/v1/users", {"name": SECRET, "role": "researcher"})


@provokes("permit.stale")
def an_older_decision(hub: Consortium) -> httpx.Response:
    north, request = requested(hub)
    north.state_permit(north.decide(request, "suspended", 2))
    return north.state_permit(north.decide(request, "active", 1))


@provokes("request.too_large")
def a_body_without_end(hub: Consortium) -> httpx.Response:
    return hub.http.post("/v1/node/enrol", content=SECRET.encode() * 10_000, headers=NODE)


@provokes("request.invalid")
def a_field_of_another_kind(hub: Consortium) -> httpx.Response:
    return hub.person("ada").post("/v1/projects", project(datasets=[SECRET], methods=SECRET))


@provokes("query.not_canonical")
def a_number_beyond_exact_json(hub: Consortium) -> httpx.Response:
    definition = {"kind": "presence", "domain": "drug", "codes": {"concept_ids": [HUGE]}}
    message = submission()
    message["query"]["analysis"] = {"method": "count", "by": [{"name": "x", "definition": definition}]}
    return hub.person("ada").post("/v1/queries", message)


@provokes("site.not_offering")
def a_site_without_the_dataset(hub: Consortium) -> httpx.Response:
    ada = hub.person("ada")
    hub.project(ada, hub.node("north"))
    return ada.post("/v1/queries", submission(sites=["north", "qxz-planted"]))


@provokes("site.unknown")
def a_site_that_nobody_invited(hub: Consortium) -> httpx.Response:
    return hub.person("ada").post("/v1/projects", project(sites=["qxz-planted"]))


@provokes("project.unknown_person")
def a_person_that_nobody_added(hub: Consortium) -> httpx.Response:
    return hub.person("ada").post("/v1/projects", project(people=[SECRET]))


@provokes("project.period")
def a_period_that_is_over(hub: Consortium) -> httpx.Response:
    return hub.person("ada").post("/v1/projects", project(valid_until="2001-02-03T04:05:06Z"))


@provokes("answer.mismatch")
def an_answer_of_another_site(hub: Consortium) -> httpx.Response:
    north, lease, _ = leased(hub)
    outcome = cleared("qxz-planted", task_of(north, lease).query).wire()
    message = {"task_id": lease.task_id, "fence": lease.fence, "outcome": outcome}
    return north.post(f"tasks/{lease.task_id}/answer", message)


@provokes("permit.signature")
def a_permit_under_no_key(hub: Consortium) -> httpx.Response:
    return hub.node("north").post("permits", {"token": SECRET})


@provokes("permit.widened")
def a_permit_for_another_purpose(hub: Consortium) -> httpx.Response:
    north, request = requested(hub)
    return north.state_permit(north.decide(request, purpose=SECRET))


@provokes("enrolment.key")
def a_key_of_another_kind(hub: Consortium) -> httpx.Response:
    message = {"code": code_for(hub), "software": "s", "public_key": {"kty": "RSA", "n": SECRET}}
    return hub.http.post("/v1/node/enrol", json=message, headers=NODE)


@provokes("catalog.site")
def a_catalog_of_another_site(hub: Consortium) -> httpx.Response:
    return hub.node("north").post("catalog", catalog("qxz-planted").wire())


@provokes("catalog.not_canonical")
def a_catalog_with_an_inexact_count(hub: Consortium) -> httpx.Response:
    message = catalog("north").wire()
    message["entries"][0]["persons"]["value"] = HUGE
    return hub.node("north").post("catalog", message)


@provokes("hub.fault")
def a_table_that_is_gone(hub: Consortium) -> httpx.Response:
    ada = hub.person("ada")
    with hub.hub.database.write() as connection:
        connection.execute(sa.text("alter table catalog_entries rename to qxz_planted"))
    return ada.get(f"/v1/datasets?q={SECRET}")


@provokes("hub.not_ready")
def a_database_that_is_away(hub: Consortium) -> httpx.Response:
    # SQLite opens its file at the first connection; a folder in its place cannot be opened.
    database = hub.home.state / "hub.sqlite"
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    hub.hub.database.close()
    try:
        return hub.http.get("/v1/ready")
    finally:
        database.rmdir()


@provokes("database.revision")
def a_database_of_other_software(hub: Consortium) -> httpx.Response:
    with hub.hub.database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    try:
        return hub.http.get("/v1/ready")
    finally:
        with hub.hub.database.write() as connection:
            connection.execute(
                sa.text("update alembic_version set version_num = :now").bindparams(now=SCHEMA_REVISION)
            )


def test_every_documented_code_has_a_case_and_every_case_is_documented():
    assert sorted(PROVOKED) == sorted(STATUS)


@pytest.mark.parametrize("code", PROVOKED)
def test_a_refusal_says_its_code_and_the_next_step_and_repeats_nothing(lagoon: Consortium, code: str):
    reply = PROVOKED[code](lagoon)
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"], problem["code"]) == (STATUS[code], STATUS[code], code)
    assert problem["title"]
    assert problem["next_step"], "the reader is told what to do"
    assert problem["trace_id"] == reply.headers["x-trace-id"]
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers.get("www-authenticate") == ("Bearer" if STATUS[code] == 401 else None)
    for planted in (SECRET, "qxz", str(HUGE)):
        assert planted not in reply.text
        assert planted not in str(reply.headers)


def test_a_fault_is_recorded_under_the_trace_id_that_the_caller_reads(
    lagoon: Consortium, caplog: pytest.LogCaptureFixture
):
    trace = PROVOKED["hub.fault"](lagoon).json()["trace_id"]
    faults = [record.getMessage() for record in caplog.records if record.getMessage().startswith("fault")]
    assert len(faults) == 1
    assert trace in faults[0]
    assert "/v1/datasets" in faults[0]
    assert SECRET not in faults[0]


BEYOND = [
    pytest.param("revision", HUGE, id="a revision beyond exact JSON"),
    pytest.param("revision", 2**70, id="a revision beyond the database"),
    pytest.param("revision", 0, id="a revision of nothing"),
]


@pytest.mark.parametrize("field, value", BEYOND)
def test_a_signed_permit_with_an_impossible_number_is_no_fault(lagoon: Consortium, field: str, value: int):
    north, request = requested(lagoon)
    statement = json.dumps(north.decide(request).wire() | {field: value}).encode()
    reply = north.post("permits", {"token": north.signed(statement, PERMIT_TYPE)})
    assert (reply.status_code, reply.json()["code"]) == (422, "permit.signature")


@pytest.mark.parametrize("fence", [0, 2**31, HUGE])
def test_an_answer_with_an_impossible_fence_is_no_fault(lagoon: Consortium, fence: int):
    north, lease, _ = leased(lagoon)
    outcome = {"kind": "refusal", "code": "engine.memory", "detail": "constant"}
    message = {"task_id": lease.task_id, "fence": fence, "outcome": outcome}
    reply = north.post(f"tasks/{lease.task_id}/answer", message)
    assert (reply.status_code, reply.json()["code"]) == (422, "request.invalid")


@pytest.mark.parametrize(
    "period",
    [
        {"valid_from": "0001-01-01T00:00:00+14:00", "valid_until": "0001-01-02T00:00:00Z"},
        {"valid_from": "9999-12-31T23:59:59-14:00"},
        {"valid_from": "9999-06-01T00:00:00Z"},
        {"valid_until": "9999-12-31T23:59:59-14:00"},
        {"valid_from": "2030-01-01T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"},
        {"valid_from": "2030-01-02T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"},
    ],
)
def test_a_period_at_the_ends_of_the_calendar_is_no_fault(lagoon: Consortium, period: dict[str, str]):
    reply = lagoon.person("ada").post("/v1/projects", project(**period))
    assert (reply.status_code, reply.json()["code"]) == (422, "project.period")


def test_a_poll_names_no_more_tasks_than_a_database_takes_at_once(lagoon: Consortium):
    north = lagoon.node("north")
    running = [f"t-{number:016x}" for number in range(10_001)]
    poll = {"wait_seconds": 0, "software": "s", "running": running[:-1]}
    assert north.post("poll", poll).status_code == 200
    assert north.post("poll", poll | {"running": running}).json()["code"] == "request.invalid"
