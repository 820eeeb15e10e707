"""Hostile bodies, paths and assertions get a problem that repeats nothing of them, and never a fault."""

import json
from datetime import timedelta

import pytest
from joserfc.jwk import ECKey

from atoll_schemas.people import Role
from tests.support.hub import PlainNode
from tests.support.hub_consortium import Consortium, catalog, project, submission

SECRET = "Zyx-Secret-9171"


def assert_problem(reply, status: int, code: str) -> None:
    assert (reply.status_code, reply.json().get("code")) == (status, code), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["trace_id"] == reply.headers["x-trace-id"]
    assert SECRET not in reply.text


def post_raw(hub: Consortium, name: str, path: str, body: bytes):
    headers = hub.person(name).headers | {"Content-Type": "application/json"}
    return hub.http.post(path, content=body, headers=headers)


def test_deep_json_is_refused(hub: Consortium):
    body = b'{"query": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert post_raw(hub, "ada", "/v1/queries", body).status_code in (400, 422)


def test_deep_json_inside_an_open_field_is_refused(hub: Consortium):
    depth = 900
    body = b'{"code": "x", "software": "s", "public_key": {"kty": ' + b"[" * depth + b"]" * depth + b"}}"
    headers = {"Content-Type": "application/json", "Atoll-Protocol": "1"}
    assert hub.http.post("/v1/node/enrol", content=body, headers=headers).status_code in (400, 422)


def test_a_large_body_is_refused_before_it_is_read(hub: Consortium):
    body = b" " * (8 * 1024 * 1024 + 1)
    assert_problem(post_raw(hub, "ada", "/v1/queries", body), 413, "request.too_large")


def test_without_a_token_bodies_are_small(hub: Consortium):
    reply = hub.http.post("/v1/node/enrol", content=b" " * 70_000, headers={"Atoll-Protocol": "1"})
    assert_problem(reply, 413, "request.too_large")


def test_a_body_that_is_not_json_is_malformed(hub: Consortium):
    assert_problem(post_raw(hub, "ada", "/v1/queries", b"{nope"), 400, "request.malformed")


@pytest.mark.parametrize("body", [b'{"title": "a\\u0000b"}', b'{"title": "a\\\\\\u0000b"}', b"\x00"])
def test_nul_is_refused(hub: Consortium, body: bytes):
    assert_problem(post_raw(hub, "ada", "/v1/projects", body), 400, "request.nul")


def test_an_escaped_backslash_before_u0000_is_text(hub: Consortium):
    body = json.dumps(project(purpose="a\\u0000b")).encode()
    assert post_raw(hub, "ada", "/v1/projects", body).status_code == 201


def test_nul_in_an_address_is_refused(hub: Consortium):
    assert_problem(hub.person("ada").get("/v1/datasets?q=%00"), 400, "request.nul")


def test_a_lone_surrogate_is_refused(hub: Consortium):
    body = b'{"title": "\\ud800", "purpose": "p", "datasets": ["colon"], "methods": ["count"]}'
    assert post_raw(hub, "ada", "/v1/projects", body).status_code in (400, 422)


def test_a_validation_error_names_the_place_and_never_the_value(hub: Consortium):
    reply = hub.person("ada").post("/v1/queries", submission(dataset=SECRET, deadline_seconds=SECRET))
    assert_problem(reply, 422, "request.invalid")
    assert "body.query.dataset" in reply.json()["detail"]
    reply = hub.person("ada").post("/v1/projects", project() | {SECRET: 1})
    assert_problem(reply, 422, "request.invalid")
    assert "unknown key" in reply.json()["detail"]


def test_integers_beyond_canonical_json_are_refused(hub: Consortium):
    variable = {
        "name": "x",
        "definition": {"kind": "presence", "domain": "drug", "codes": {"concept_ids": [2**60]}},
    }
    message = submission()
    message["query"]["analysis"] = {"method": "count", "by": [variable]}
    ada = hub.person("ada")
    assert_problem(ada.post("/v1/queries", message), 422, "query.not_canonical")


def test_unknown_routes_and_methods_are_problems_too(hub: Consortium):
    assert_problem(hub.http.get(f"/v1/{SECRET}"), 404, "route.unknown")
    reply = hub.http.delete("/v1/health")
    assert_problem(reply, 405, "method.unknown")
    assert reply.headers["allow"] == "GET"


def test_sql_in_a_search_is_text(hub: Consortium):
    hub.node("north")
    ada = hub.person("ada")
    for text in ("' or 1=1 --", "%", "_", '"; drop table people; --'):
        assert ada.get("/v1/datasets", params={"q": text}).json() == []
    assert ada.get("/v1/me").status_code == 200


def test_an_enrolment_code_works_for_one_key_only(hub: Consortium):
    code = hub.person("olga", Role.OPERATOR).post("/v1/sites/north/invite", {}).json()["code"]
    node, thief = (PlainNode.at("http://testserver", hub.http) for _ in range(2))
    first = node.enrol(code)
    assert first.status_code == 200
    assert node.enrol(code).json() == first.json()
    assert_problem(thief.enrol(code), 403, "enrolment.used")
    assert_problem(thief.enrol("atoll1-guess-guess"), 403, "enrolment.code")


def test_an_enrolment_code_expires(hub: Consortium):
    code = hub.person("olga", Role.OPERATOR).post("/v1/sites/north/invite", {"valid_hours": 1}).json()["code"]
    hub.clock.advance(3601)
    assert_problem(PlainNode.at("http://testserver", hub.http).enrol(code), 403, "enrolment.expired")


def test_a_new_enrolment_replaces_the_node_before(hub: Consortium):
    old = hub.node("north")
    hub.node("north")
    assert old.post("poll", {"wait_seconds": 0, "software": "s"}).status_code == 401
    assert_problem(old.ask_token(old.assertion()), 401, "assertion.invalid")


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_ten_minutes_off_is_told_the_difference_and_the_fix(hub: Consortium, minutes: int):
    node = hub.node("north")
    node.clock_offset = timedelta(minutes=minutes)
    reply = node.ask_token(node.assertion())
    assert_problem(reply, 401, "clock.skew")
    side = "ahead of" if minutes > 0 else "behind"
    assert any(f"{seconds} s {side}" in reply.json()["detail"] for seconds in (599, 600, 601))
    assert "NTP" in reply.json()["next_step"]


def test_an_assertion_is_used_once(hub: Consortium):
    node = hub.node("north")
    assertion = node.assertion()
    assert node.ask_token(assertion).status_code == 200
    assert_problem(node.ask_token(assertion), 401, "assertion.replayed")


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"iss": "node-other"}, "assertion.invalid"),
        ({"sub": "node-other"}, "assertion.invalid"),
        ({"aud": "https://elsewhere.example"}, "assertion.audience"),
        ({"exp": 4_000_000_000}, "assertion.invalid"),
        ({"exp": None}, "assertion.invalid"),
        ({"iat": "now"}, "assertion.invalid"),
        ({"iat": 1e400}, "assertion.invalid"),
        ({"jti": None}, "assertion.invalid"),
        ({"jti": "x" * 101}, "assertion.invalid"),
        ({"iss": ["node"]}, "assertion.invalid"),
    ],
)
def test_a_wrong_claim_opens_nothing(hub: Consortium, changes: dict[str, object], code: str):
    node = hub.node("north")
    assert_problem(node.ask_token(node.assertion(**changes)), 401, code)


def test_another_keys_signature_opens_nothing(hub: Consortium):
    node = hub.node("north")
    node.key = ECKey.generate_key("P-256", private=True)
    assert_problem(node.ask_token(node.assertion()), 401, "assertion.invalid")


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "....", "é"])
def test_what_is_no_assertion_opens_nothing(hub: Consortium, token: str):
    assert_problem(hub.node("north").ask_token(token), 401, "assertion.invalid")


def test_another_protocol_version_is_refused_and_shown(hub: Consortium):
    node, ada = hub.node("north"), hub.person("ada")
    node.protocol = "2"
    reply = node.post("poll", {"wait_seconds": 0, "software": "s"})
    assert_problem(reply, 400, "protocol.version")
    assert "protocol 2" in reply.json()["detail"]
    assert "protocol 1" in reply.json()["detail"]
    assert ada.get("/v1/sites").json()[0]["state"] == "incompatible"
    node.protocol = "1"
    node.poll()
    assert ada.get("/v1/sites").json()[0]["state"] == "online"


def test_a_silent_node_is_offline(hub: Consortium):
    ada = hub.person("ada")
    hub.node("north").poll()
    hub.clock.advance(46)
    assert ada.get("/v1/sites").json()[0]["state"] == "offline"


def test_a_catalog_speaks_for_its_own_site_only(hub: Consortium):
    north = hub.node("north")
    assert_problem(north.post("catalog", catalog("south").wire()), 422, "catalog.site")


def test_a_permit_can_be_narrower_and_never_wider(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    ada.post("/v1/projects", project(methods=["count", "table1"]))
    (request,) = north.applications()
    narrow = request.scope.model_copy(update={"methods": ("count",)})
    wide = request.scope.model_copy(update={"methods": ("count", "table1", "crosstab")})
    longer = request.scope.model_copy(update={"valid_until": request.scope.valid_until + timedelta(days=1)})
    for scope in (wide, longer):
        assert_problem(north.state_permit(north.decide(request, scope=scope)), 422, "permit.widened")
    assert_problem(north.state_permit(north.decide(request, purpose="other")), 422, "permit.widened")
    assert north.state_permit(north.decide(request, scope=narrow)).status_code == 204


def test_the_hub_keeps_the_highest_revision(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    ada.post("/v1/projects", project())
    (request,) = north.applications()
    first, second = north.decide(request), north.decide(request, "suspended", 2)
    for permit in (first, second, second):
        assert north.state_permit(permit).status_code == 204
    assert_problem(north.state_permit(first), 409, "permit.stale")
    (permit,) = ada.get("/v1/projects/P-001").json()["permits"]
    assert (permit["state"], permit["revision"]) == ("suspended", 2)


def test_a_permit_signed_by_another_key_is_refused(hub: Consortium):
    ada, north, south = hub.person("ada"), hub.node("north"), hub.node("south")
    ada.post("/v1/projects", project())
    (request,) = north.applications()
    permit = north.decide(request)
    north.key = south.key
    assert_problem(north.state_permit(permit), 422, "permit.signature")


def test_an_application_is_sent_again_until_the_site_answers(hub: Consortium):
    ada, north = hub.person("ada"), hub.node("north")
    ada.post("/v1/projects", project())
    assert len(north.applications()) == 1
    assert north.applications() == []
    hub.clock.advance(31)
    (request,) = north.applications()
    north.state_permit(north.decide(request, "requested"))
    hub.clock.advance(120)
    assert north.applications() == []


def test_a_site_that_joins_later_is_asked_too(hub: Consortium):
    ada = hub.person("ada")
    ada.post("/v1/projects", project())
    (request,) = hub.node("late-joiner").applications()
    assert request.permit_id == "P-001.late-joiner"
