"""Every route of the hub says who may use it, and nobody else can."""

import re
import threading

import httpx
import pytest
from fastapi.routing import APIRoute

from atoll_hub.access import Anyone, Node, People
from atoll_hub.app import accesses
from atoll_hub.queries.events import query_topic
from atoll_schemas.people import Role
from tests.support.federation import soon
from tests.support.hub_consortium import Consortium

PATHS = {
    "{site}": "north",
    "{name}": "colon",
    "{project}": "P-001",
    "{query_id}": "q-0123456789abcdef",
    "{task_id}": "t-0123456789abcdef",
}
ROUTES = [(route, access) for route, access in accesses()]
CALLERS = ["nobody", "stranger", "node", *(role.value for role in Role)]

OPEN = {
    ("GET", "/v1/health"),
    ("GET", "/v1/ready"),
    ("GET", "/v1/openapi.json"),
    ("POST", "/v1/node/enrol"),
    ("POST", "/v1/token"),
}
OPERATORS_ONLY = {
    ("GET", "/v1/users"),
    ("POST", "/v1/users"),
    ("DELETE", "/v1/users/{name}"),
    ("POST", "/v1/sites/{site}/invite"),
}
NOT_STEWARDS = {
    ("POST", "/v1/projects"),
    ("POST", "/v1/queries"),
    ("POST", "/v1/queries/{query_id}/cancel"),
}


def keys(route: APIRoute) -> list[tuple[str, str]]:
    return [(method, route.path) for method in sorted(route.methods)]


def address(route: APIRoute) -> str:
    return re.sub(r"\{[a-z_]+\}", lambda found: PATHS[found.group()], route.path)


@pytest.fixture
def callers(hub: Consortium) -> dict[str, str | None]:
    node = hub.node("north")
    tokens: dict[str, str | None] = {"nobody": None, "stranger": "atoll_pat_unknown", "node": node.token}
    for role in Role:
        hub.person(role.value, role)
        tokens[role.value] = hub.tokens[role.value]
    return tokens


def may(access: object, caller: str) -> bool:
    if isinstance(access, Anyone):
        return True
    if isinstance(access, Node):
        return caller == "node"
    assert isinstance(access, People)
    return caller in {role.value for role in access.roles}


@pytest.mark.parametrize("caller", CALLERS)
def test_every_route_lets_in_whom_it_declares_and_nobody_else(
    hub: Consortium, callers: dict[str, str | None], caller: str
):
    token = callers[caller]
    headers = {"Atoll-Protocol": "1"} | ({"Authorization": f"Bearer {token}"} if token else {})
    for route, access in ROUTES:
        for method, _ in keys(route):
            reply = hub.http.request(method, address(route), headers=headers)
            shut = reply.status_code in (401, 403) and reply.json().get("code") in (
                "token.missing",
                "token.invalid",
                "role.denied",
            )
            assert shut != may(access, caller), f"{caller} {method} {route.path}: {reply.text}"


def test_the_declared_access_is_the_documented_one():
    for route, access in ROUTES:
        for key in keys(route):
            assert isinstance(access, Anyone) == (key in OPEN), key
            if isinstance(access, People):
                expected = set(Role)
                if key in OPERATORS_ONLY:
                    expected = {Role.OPERATOR}
                elif key in NOT_STEWARDS:
                    expected = set(Role) - {Role.STEWARD}
                assert access.roles == expected, key
            else:
                assert isinstance(access, Anyone) or key[1].startswith("/v1/node/"), key


def test_a_revoked_person_is_shut_out_at_once(hub: Consortium):
    olga, ada = hub.person("olga", Role.OPERATOR), hub.person("ada")
    assert ada.get("/v1/me").json()["role"] == "researcher"
    assert olga.delete("/v1/users/ada").status_code == 204
    assert ada.get("/v1/me").status_code == 401
    assert olga.delete("/v1/users/nobody").json()["code"] == "user.unknown"


@pytest.mark.parametrize("path", ["events", "result?wait=30"])
def test_who_is_shut_out_while_a_request_waits_gets_nothing_more(hub: Consortium, path: str):
    """The query is not answered yet: both requests wait for it when the person is revoked."""
    olga, ada, north = hub.person("olga", Role.OPERATOR), hub.person("ada"), hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    found: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: found.append(ada.get(f"/v1/queries/{query_id}/{path}")))
    waiting.start()
    soon(lambda: hub.hub.wakes.is_awaited(query_topic(query_id)), "a waiting request")
    assert olga.delete("/v1/users/ada").status_code == 204
    assert olga.post(f"/v1/queries/{query_id}/cancel").status_code == 200
    waiting.join(timeout=25)
    assert len(found) == 1
    assert "finished" not in found[0].text
    if path != "events":
        assert found[0].status_code == 401


def test_an_expired_token_says_so(hub: Consortium):
    ada = hub.person("ada")
    hub.clock.advance(91 * 86_400)
    refused = ada.get("/v1/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "token.expired")
    assert refused.headers["www-authenticate"] == "Bearer"


def test_no_token_stands_in_the_database(hub: Consortium):
    hub.person("ada")
    node = hub.node("north")
    with hub.hub.database.read() as connection:
        for table in ("person_tokens", "node_tokens", "invitations"):
            for row in connection.exec_driver_sql(f"select * from {table}"):
                text = " ".join(map(str, row))
                assert hub.tokens["ada"] not in text
                assert str(node.token) not in text
                assert "atoll_" not in text


def test_an_operator_adds_people_and_sees_them(hub: Consortium):
    olga = hub.person("olga", Role.OPERATOR)
    made = olga.post("/v1/users", {"name": "ada", "role": "researcher"})
    assert made.status_code == 201
    assert made.json()["token"].startswith("atoll_pat_")
    assert olga.post("/v1/users", {"name": "ada", "role": "partner"}).json()["code"] == "user.exists"
    assert [one["name"] for one in olga.get("/v1/users").json()] == ["ada", "olga"]
