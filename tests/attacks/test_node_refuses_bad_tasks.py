"""Forged, expired, replayed, misdirected and unpermitted tasks are refused before anything runs."""

from datetime import timedelta

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from atoll_schemas.canonical import canonical_json
from atoll_schemas.protocol import Lease, Refusal
from atoll_schemas.results import ClearedResult
from tests.support.node_records import (
    NOW,
    a_desk,
    a_hub_key,
    a_lease,
    a_permit,
    a_query,
    a_scope,
    a_task,
    approve,
    reopened,
)


@pytest.fixture
def desk(tmp_path):
    desk = a_desk(tmp_path)
    approve(desk.node)
    return desk


def refused(desk, lease: Lease) -> str:
    """Return the refusal's code, having checked that nothing ran and that the refusal is on record."""
    before = len(desk.engine.runs)
    outcome = desk.ask(lease)
    assert isinstance(outcome, Refusal)
    assert len(desk.engine.runs) == before
    assert desk.actions()[-1] == "task.refused"
    assert desk.node.audit.verify().holds
    return outcome.code


def raw_token(header: dict, payload: bytes, key) -> str:
    return jws.serialize_compact(header, payload, key, algorithms=["ES256", "ES512", "HS256"])


def leased(token: str, task_id: str = "task-1") -> Lease:
    return Lease(task_id=task_id, token=token, fence=1, lease_expires_at=NOW + timedelta(seconds=30))


def test_a_permitted_task_runs(desk):
    assert isinstance(desk.ask(a_lease(a_task(), desk.hub)), ClearedResult)
    assert desk.engine.runs == ["colon-0001"]


def test_a_task_signed_by_another_key_is_refused(desk):
    assert refused(desk, a_lease(a_task(), a_hub_key())) == "task.signature"


def test_a_forger_who_names_the_pinned_key_is_refused(desk):
    header = {"alg": "ES256", "typ": "atoll-task+jws", "kid": desk.hub.public_jwk()["kid"]}
    forged = raw_token(header, a_task().canonical(), ECKey.generate_key("P-256"))
    assert refused(desk, leased(forged)) == "task.signature"


def test_a_key_that_travels_in_the_header_is_not_believed(desk):
    forger = ECKey.generate_key("P-256")
    header = {"alg": "ES256", "typ": "atoll-task+jws", "jwk": forger.as_dict(private=False)}
    assert refused(desk, leased(raw_token(header, a_task().canonical(), forger))) == "task.type"


def test_no_algorithm_and_the_public_key_as_a_secret_are_refused(desk):
    payload = a_task().canonical()
    public = desk.hub.key.as_pem(private=False)
    header = {"alg": "HS256", "typ": "atoll-task+jws", "kid": desk.hub.public_jwk()["kid"]}
    confused = raw_token(header, payload, OctKey.import_key(public.replace(b"-", b"_")))
    assert refused(desk, leased(confused)) == "task.type"
    _, body, _ = a_lease(a_task(), desk.hub).token.split(".")
    assert refused(desk, leased(f"eyJhbGciOiJub25lIiwidHlwIjoiYXRvbGwtdGFzaytqd3MifQ.{body}.")) == "task.type"


def test_a_changed_payload_is_refused(desk):
    head, _, signature = a_lease(a_task(), desk.hub).token.split(".")
    _, other, _ = a_lease(a_task(query=a_query("lung")), desk.hub).token.split(".")
    assert refused(desk, leased(f"{head}.{other}.{signature}")) == "task.signature"


def test_another_signed_thing_cannot_pass_as_a_task(desk):
    assert refused(desk, a_lease(a_task(), desk.hub, kind="atoll-permit+jws")) == "task.type"


def test_a_signed_text_of_another_shape_is_refused(desk):
    token = desk.hub.sign("atoll-task+jws", canonical_json({"id": "task-1", "sql": "select 1"}))
    assert refused(desk, leased(token)) == "task.malformed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expires_at": NOW - timedelta(minutes=2)}, "task.expired"),
        ({"issued_at": NOW + timedelta(minutes=2)}, "task.future"),
        ({"site": "south"}, "task.site"),
        ({"hub_id": "hub-other"}, "task.hub"),
        ({"protocol": "9"}, "task.protocol"),
        ({"query_digest": "sha256:" + "a" * 64}, "task.digest"),
        ({"permit_id": "P-002.north"}, "permit.unknown"),
        ({"purpose": "Marketing"}, "permit.purpose"),
        ({"query": a_query("lung")}, "permit.dataset"),
        ({"query": a_query(project="P-002")}, "permit.project"),
    ],
)
def test_a_task_beyond_time_place_or_permit_is_refused(desk, change, code):
    assert refused(desk, a_lease(a_task(**change), desk.hub)) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"state": "suspended"}, "permit.not_active"),
        ({"state": "rejected"}, "permit.not_active"),
        ({"scope": a_scope(methods=("table1",))}, "permit.method"),
        ({"scope": a_scope(valid_until=NOW)}, "permit.period"),
    ],
)
def test_the_stewards_latest_word_counts(desk, change, code):
    approve(desk.node, a_permit(revision=2, **change))
    assert refused(desk, a_lease(a_task(), desk.hub)) == code


def test_a_permit_that_no_steward_gave_is_refused(tmp_path):
    assert refused(a_desk(tmp_path), a_lease(a_task(), a_hub_key())) == "task.signature"
    desk = a_desk(tmp_path / "other")
    assert refused(desk, a_lease(a_task(), desk.hub)) == "permit.unknown"


def test_a_lease_that_names_another_task_is_refused(desk):
    assert refused(desk, a_lease(a_task(), desk.hub, task_id="task-2")) == "task.mismatch"


def test_a_replayed_task_gets_the_stored_bytes_and_runs_once(desk):
    first = desk.ask(a_lease(a_task(), desk.hub))
    again = desk.ask(a_lease(a_task(), desk.hub, fence=2))
    assert first is not None
    assert again is not None
    assert first.canonical() == again.canonical()
    assert desk.engine.runs == ["colon-0001"]


def test_a_replay_after_a_restart_gets_the_stored_bytes(desk):
    first = desk.ask(a_lease(a_task(), desk.hub))
    again = reopened(desk).ask(a_lease(a_task(), desk.hub, fence=2))
    assert first is not None
    assert again is not None
    assert first.canonical() == again.canonical()
    assert desk.engine.runs == ["colon-0001"]


def test_another_question_under_a_known_task_id_is_refused(desk):
    desk.ask(a_lease(a_task(), desk.hub))
    other = a_query().model_copy(update={"tighten": None})
    changed = a_task(query=other, query_id="query-2")
    assert refused(desk, a_lease(changed, desk.hub)) == "task.replayed"


def test_a_refused_task_stays_refused_even_if_a_permit_comes_later(tmp_path):
    desk = a_desk(tmp_path)
    assert refused(desk, a_lease(a_task(), desk.hub)) == "permit.unknown"
    approve(desk.node)
    again = desk.ask(a_lease(a_task(), desk.hub, fence=2))
    assert isinstance(again, Refusal)
    assert desk.engine.runs == []


def test_a_permit_suspended_while_the_task_runs_holds_the_answer_back(desk):
    desk.engine.before = lambda _: approve(desk.node, a_permit(state="suspended", revision=2))
    outcome = desk.ask(a_lease(a_task(), desk.hub))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "permit.not_active"


def test_a_lease_older_than_one_seen_before_is_refused(desk):
    desk.engine.before = lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        desk.ask(a_lease(a_task(), desk.hub, fence=3))
    desk.engine.before = None
    outcome = reopened(desk).ask(a_lease(a_task(), desk.hub, fence=2))
    assert isinstance(outcome, Refusal)
    assert outcome.code == "task.fenced"


def test_a_task_that_a_kill_cut_short_runs_again_under_the_next_fence(desk):
    desk.engine.before = lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        desk.ask(a_lease(a_task(), desk.hub, fence=1))
    desk.engine.before = None
    again = reopened(desk)
    assert isinstance(again.ask(a_lease(a_task(), desk.hub, fence=2)), ClearedResult)
    assert desk.engine.runs == ["colon-0001", "colon-0001"]
    assert again.actions() == ["permit.approved", "task.accepted", "task.accepted", "task.answered"]


def test_a_withdrawn_release_is_refused_and_its_successor_named(desk):
    query = a_query().model_copy(update={"release": "colon-0000"})

    outcome = desk.ask(a_lease(a_task(query=query), desk.hub))

    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.successor) == ("release.withdrawn", "colon-0001")
    assert desk.engine.runs == []


def test_a_query_without_a_release_has_the_digest_that_it_always_had():
    assert "release" not in a_query().wire()
    assert a_query().digest() != a_query().model_copy(update={"release": "colon-0001"}).digest()
