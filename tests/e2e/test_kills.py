"""Processes are killed (SIGKILL) at the worst moments, and every answer still arrives exactly once."""

import threading
from collections import Counter

import pytest

from atoll_schemas.protocol import QueryEvent
from demo.make_data import SITES
from tests.support.federation import PATIENCE, soon

pytestmark = pytest.mark.e2e


def assert_whole(run):
    result = run.result(timeout=PATIENCE)
    assert (result.headline, result.state) == ("3 of 3 sites", "complete")
    return result


def test_the_hub_is_killed_mid_query(federation):
    run, _ = federation.catch_at_work("north", federation.survival)
    federation.hub.kill()
    federation.hub.start()
    federation.thaw("north")
    assert_whole(run)
    federation.assert_answered_once(run)
    federation.assert_chains_hold("north")


def test_a_researcher_who_follows_events_through_a_kill_hears_each_once(federation):
    run, _ = federation.catch_at_work("harbour", federation.survival)
    heard: list[QueryEvent] = []
    following = threading.Thread(target=lambda: heard.extend(run.events()), daemon=True)
    following.start()
    federation.hub.kill()
    federation.hub.start()
    federation.thaw("harbour")
    following.join(PATIENCE)
    assert [event.sequence for event in heard] == list(range(1, len(heard) + 1))
    assert (heard[-1].kind, heard[-1].detail) == ("finished", "complete")
    assert Counter(event.site for event in heard if event.kind == "answered") == Counter(SITES)


def test_a_node_is_killed_mid_task(federation):
    before = assert_whole(federation.survival()).contract.merged
    run, task = federation.catch_at_work("valley", federation.survival)
    federation.kill("valley")
    assert federation.kept_at_node("valley", task) == "begun"
    federation.nodes["valley"].start()
    assert assert_whole(run).contract.merged == before
    federation.assert_answered_once(run)
    assert federation.task(run, "valley").fence == 2, "the lease ran out and the task was claimed again"
    assert federation.decisions_at_node("valley")["task.accepted", task] == 2
    assert federation.cohorts_in_ledger("valley", "registry") == 1
    federation.assert_chains_hold("valley")


def test_a_node_is_killed_after_it_answered_a_dead_hub(federation):
    run, task = federation.catch_at_work("north", federation.survival)
    federation.hub.kill()
    federation.thaw("north")
    soon(lambda: federation.kept_at_node("north", task) == "done", "the outcome is stored")
    stored = federation.outcome_at_node("north", task)
    federation.kill("north")
    federation.hub.start()
    federation.nodes["north"].start()
    assert_whole(run)
    federation.assert_answered_once(run)
    assert federation.outcome_at_node("north", task) == stored, "the stored answer was sent, not a new one"
    assert federation.decisions_at_node("north")["task.accepted", task] == 1, "nothing ran again"
    assert federation.cohorts_in_ledger("north", "registry") == 1
    federation.assert_chains_hold("north")


def test_everything_is_killed_while_a_node_works(federation):
    run, _ = federation.catch_at_work("harbour", federation.survival)
    for site in SITES:
        federation.kill(site)
    federation.hub.kill()
    federation.restore()
    assert_whole(run)
    federation.assert_answered_once(run)
    assert all(federation.cohorts_in_ledger(site, "registry") == 1 for site in SITES)
    federation.assert_chains_hold(*SITES)


def test_a_node_that_stood_still_past_its_lease_answers_once(federation):
    run, _ = federation.catch_at_work("north", federation.survival)
    soon(lambda: federation.lease_is_over(run, "north"), "the lease ends")
    federation.thaw("north")
    assert_whole(run)
    federation.assert_answered_once(run)
    federation.assert_chains_hold("north")


def test_a_query_that_was_sent_twice_through_a_kill_is_one_query(federation):
    body = federation.ada.query(federation.count().id).submission
    key = {"idempotency_key": "once-and-never-again"}
    with federation.hub.client(federation.token) as client:
        first = client.post("/v1/queries", json=body.model_copy(update=key).wire())
        federation.hub.kill()
        federation.hub.start()
    with federation.hub.client(federation.token) as client:
        again = client.post("/v1/queries", json=body.model_copy(update=key).wire())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["query_id"] == again.json()["query_id"]
    run = federation.ada.run(first.json()["query_id"])
    assert_whole(run)
    federation.assert_answered_once(run)
