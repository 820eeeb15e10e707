"""What a project may be, which permits are kept, and how often a site is asked: each rule as a table."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_hub.errors import Conflict, Unprocessable
from atoll_hub.governance.rules import (
    KeptProject,
    check_statement,
    is_active,
    next_due,
    permit_id,
    permit_request,
    project_id,
    project_view,
    scope_of,
    supersedes,
)
from atoll_schemas.people import ProjectApplication, Role
from atoll_schemas.permits import Permit, Scope

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


def application(**changes: Any) -> ProjectApplication:
    facts: dict[str, Any] = {
        "title": "Stage III",
        "purpose": "Survival",
        "datasets": ("colon", "lung"),
        "methods": ("count", "table1"),
    }
    return ProjectApplication.model_validate(facts | changes)


def project(**changes: Any) -> KeptProject:
    asked = application(**changes)
    return KeptProject("P-001", asked, ("ada", "bob"), scope_of(asked, NOW), "ada", NOW)


def scope(**changes: Any) -> Scope:
    facts = {
        "datasets": ("colon",),
        "methods": ("count",),
        "valid_from": NOW,
        "valid_until": NOW + YEAR,
    }
    return Scope.model_validate(facts | changes)


def permit(**changes: Any) -> Permit:
    facts: dict[str, Any] = {
        "permit_id": "P-001.north",
        "project": "P-001",
        "site": "north",
        "state": "active",
        "scope": scope(),
        "purpose": "Survival",
        "decided_by": "a steward",
        "decided_at": NOW,
        "revision": 1,
    }
    return Permit.model_validate(facts | changes)


@pytest.mark.parametrize("number, identity", [(1, "P-001"), (42, "P-042"), (999, "P-999"), (1000, "P-1000")])
def test_projects_are_numbered_with_at_least_three_digits(number: int, identity: str):
    assert project_id(number) == identity
    assert permit_id(identity, "north") == f"{identity}.north"


@pytest.mark.parametrize(
    "asked, start, end",
    [
        pytest.param({}, NOW, NOW + YEAR, id="now, for a year"),
        pytest.param({"valid_from": NOW + DAY}, NOW + DAY, NOW + DAY + YEAR, id="later, for a year"),
        pytest.param({"valid_until": NOW + DAY}, NOW, NOW + DAY, id="until tomorrow"),
        pytest.param(
            {"valid_from": NOW - YEAR, "valid_until": NOW + DAY}, NOW - YEAR, NOW + DAY, id="since last year"
        ),
        pytest.param(
            {"valid_until": datetime(2026, 5, 2)}, NOW, NOW + DAY, id="a moment without a zone is UTC"
        ),
        pytest.param(
            {"valid_until": datetime(2026, 5, 2, 2, tzinfo=timezone(timedelta(hours=2)))},
            NOW,
            NOW + DAY,
            id="another zone's moment is told in UTC",
        ),
    ],
)
def test_a_projects_period(asked: dict[str, Any], start: datetime, end: datetime):
    found = scope_of(application(**asked), NOW)
    assert (found.valid_from, found.valid_until) == (start, end)
    assert found.valid_from.tzinfo is UTC


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"valid_until": NOW}, id="over now"),
        pytest.param({"valid_until": NOW - DAY}, id="over yesterday"),
        pytest.param({"valid_from": NOW + DAY, "valid_until": NOW + DAY}, id="empty"),
        pytest.param({"valid_from": NOW + 2 * DAY, "valid_until": NOW + DAY}, id="backwards"),
        pytest.param({"valid_from": NOW - 2 * YEAR}, id="a year that is over"),
        pytest.param({"valid_from": datetime(9999, 6, 1, tzinfo=UTC)}, id="ends beyond the calendar"),
        pytest.param(
            {"valid_from": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))},
            id="starts before the calendar",
        ),
    ],
)
def test_an_empty_or_past_period_is_refused(asked: dict[str, Any]):
    with pytest.raises(Unprocessable) as refusal:
        scope_of(application(**asked), NOW)
    assert refusal.value.code == "project.period"


def test_what_is_named_twice_is_asked_once():
    found = scope_of(application(datasets=("colon", "lung", "colon"), methods=("count", "count")), NOW)
    assert found.datasets == ("colon", "lung")
    assert found.methods == ("count",)


@pytest.mark.parametrize(
    "sites, site, concerned",
    [(None, "north", True), (("north",), "north", True), (("south",), "north", False), ((), "north", False)],
)
def test_a_project_concerns_the_sites_it_names_or_all(
    sites: tuple[str, ...] | None, site: str, concerned: bool
):
    assert project(sites=sites).concerns(site) is concerned


@pytest.mark.parametrize(
    "name, role, visible",
    [
        ("ada", Role.RESEARCHER, True),
        ("bob", Role.PARTNER, True),
        ("eve", Role.RESEARCHER, False),
        ("eve", Role.PARTNER, False),
        ("eve", Role.STEWARD, True),
        ("eve", Role.OPERATOR, True),
        ("Ada", Role.RESEARCHER, False),
    ],
)
def test_a_project_is_seen_by_its_people_stewards_and_operators(name: str, role: Role, visible: bool):
    assert project().visible_to(name, role) is visible


def test_a_steward_reads_who_asks_for_what_and_why():
    found = permit_request(project(), "north")
    assert found.permit_id == "P-001.north"
    assert (found.title, found.purpose, found.people) == ("Stage III", "Survival", ("ada", "bob"))
    assert found.scope == project().scope


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"scope": project().scope}, id="all that was asked for"),
        pytest.param({}, id="less than was asked for"),
        pytest.param({"scope": scope(valid_until=NOW + DAY)}, id="a shorter time"),
        pytest.param({"scope": scope(valid_from=NOW + DAY)}, id="a later start"),
        pytest.param({"scope": scope(valid_until=datetime(2026, 6, 1))}, id="an end without a zone"),
        pytest.param({"state": "rejected"}, id="a rejection"),
        pytest.param({"state": "suspended"}, id="a suspension"),
        pytest.param({"revision": 99}, id="a late revision"),
    ],
)
def test_a_statement_within_the_request_is_taken(changes: dict[str, Any]):
    check_statement(permit(**changes), project(), "north")


@pytest.mark.parametrize(
    "changes, site",
    [
        pytest.param({}, "south", id="sent by another site"),
        pytest.param({"site": "south"}, "north", id="for another site"),
        pytest.param({"project": "P-002"}, "north", id="of another project"),
        pytest.param({"permit_id": "P-001.south"}, "north", id="under another id"),
        pytest.param({"permit_id": "P-001"}, "north", id="under half an id"),
        pytest.param({"purpose": "Marketing"}, "north", id="for another purpose"),
        pytest.param({"purpose": ""}, "north", id="for no purpose"),
        pytest.param({"scope": scope(datasets=("colon", "heart"))}, "north", id="with another dataset"),
        pytest.param({"scope": scope(methods=("crosstab",))}, "north", id="with another method"),
        pytest.param({"scope": scope(valid_from=NOW - DAY)}, "north", id="from an earlier day"),
        pytest.param({"scope": scope(valid_until=NOW + YEAR + DAY)}, "north", id="until a later day"),
        pytest.param({"state": "rejected", "scope": scope(datasets=("heart",))}, "north", id="a wide no"),
    ],
)
def test_a_statement_beyond_the_request_is_refused(changes: dict[str, Any], site: str):
    with pytest.raises(Unprocessable) as refusal:
        check_statement(permit(**changes), project(), site)
    assert refusal.value.code == "permit.widened"


@pytest.mark.parametrize(
    "stated, kept, new",
    [
        (permit(), None, True),
        (permit(revision=2), permit(revision=1), True),
        (permit(revision=9), permit(revision=1), True),
        (permit(), permit(), False),
    ],
)
def test_a_statement_is_new_or_a_replay(stated: Permit, kept: Permit | None, new: bool):
    assert supersedes(stated, kept) is new


@pytest.mark.parametrize(
    "stated, kept",
    [
        (permit(revision=1), permit(revision=2)),
        (permit(state="suspended"), permit(state="active")),
        (permit(decided_by="another steward"), permit()),
    ],
)
def test_an_older_or_a_changed_statement_is_stale(stated: Permit, kept: Permit):
    with pytest.raises(Conflict) as refusal:
        supersedes(stated, kept)
    assert refusal.value.code == "permit.stale"
    assert f"revision {kept.revision}" in refusal.value.detail


@pytest.mark.parametrize(
    "found, dataset, method, at, active",
    [
        (permit(), "colon", "count", NOW, True),
        (permit(), "colon", "count", NOW + YEAR - timedelta(microseconds=1), True),
        (permit(), "colon", "count", NOW + YEAR, False),
        (permit(), "colon", "count", NOW - timedelta(microseconds=1), False),
        (permit(), "lung", "count", NOW, False),
        (permit(), "colon", "table1", NOW, False),
        (permit(state="requested"), "colon", "count", NOW, False),
        (permit(state="suspended"), "colon", "count", NOW, False),
        (permit(state="rejected"), "colon", "count", NOW, False),
        (permit(scope=scope(valid_from=datetime(2026, 5, 1))), "colon", "count", NOW, True),
        (None, "colon", "count", NOW, False),
    ],
)
def test_a_query_goes_out_only_under_an_active_permit_for_it(
    found: Permit | None, dataset: str, method: str, at: datetime, active: bool
):
    assert is_active(found, dataset, method, at) is active


@pytest.mark.parametrize(
    "sent, seconds", [(0, 30), (1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (12, 3600), (10**9, 3600)]
)
def test_an_unanswered_application_is_sent_ever_more_rarely_and_at_least_hourly(sent: int, seconds: int):
    assert next_due(sent, NOW) == NOW + timedelta(seconds=seconds)


@given(st.integers(min_value=0, max_value=10_000))
def test_the_waiting_time_never_shrinks(sent: int):
    assert next_due(sent, NOW) <= next_due(sent + 1, NOW)


def test_a_project_is_shown_with_each_site_it_concerns():
    view = project_view(project(sites=("north", "south")), ["east", "north", "south"], {"north": permit()})
    assert [one.site for one in view.permits] == ["north", "south"]
    decided, waiting = view.permits
    assert (decided.state, decided.revision, decided.decided_at) == ("active", 1, NOW)
    assert (waiting.state, waiting.revision, waiting.scope) == ("requested", 0, None)
    assert waiting.permit_id == "P-001.south"
