"""A researcher cancels, a steward suspends: the node obeys at once, whatever the hub still believes."""

from contextlib import contextmanager

import pytest

from demo.make_data import SITES
from tests.support.federation import PATIENCE, soon

pytestmark = pytest.mark.e2e


def site_of(result, name):
    return next(one for one in result.contract.sites if one.site == name)


@contextmanager
def suspended(federation, site):
    federation.nodes[site].call("permits", "suspend", federation.permit(site), "--yes", "--by", "steward")
    try:
        yield
    finally:
        federation.thaw(site)
        federation.nodes[site].call("permits", "approve", federation.permit(site), "--yes", "--by", "steward")


def test_a_query_that_is_cancelled_while_a_node_works_has_no_answer_of_it(federation):
    run, task = federation.catch_at_work("north", federation.survival)
    soon(lambda: run.peek().contract.answered == 2, "the other sites answer")
    assert run.cancel().state == "cancelled"
    federation.thaw("north")
    result = run.result(timeout=PATIENCE)
    assert result.state == "cancelled"
    assert site_of(result, "north").state == "cancelled"
    again = federation.count()
    assert again.result(timeout=PATIENCE).headline == "3 of 3 sites", "the node is free for the next question"
    assert federation.task(run, "north").outcome is None
    assert federation.decisions_at_hub()["answer.accepted", task] == 0
    kinds = [event["kind"] for event in federation.events(run)]
    assert (kinds.count("finished"), kinds.count("cancelled")) == (1, 1)
    federation.assert_answered_once(again)
    federation.assert_chains_hold("north")


def test_a_permit_that_is_suspended_while_the_node_works_stops_that_answer(federation):
    run, task = federation.catch_at_work("north", federation.survival)
    with suspended(federation, "north"):
        assert federation.permit_state("north") == "active", "the hub still believes in the permit"
        federation.thaw("north")
        refused = site_of(run.result(timeout=PATIENCE), "north")
        assert (refused.state, refused.problem.code) == ("refused", "permit.not_active")
        assert "cleared" not in federation.outcome_at_node("north", task)
    federation.assert_answered_once(run, [site for site in SITES if site != "north"])
    federation.assert_chains_hold("north")


def test_a_suspended_permit_refuses_a_task_of_a_hub_that_still_believes_in_it(federation):
    federation.kill("north")
    with suspended(federation, "north"):
        run = federation.count()
        federation.nodes["north"].start()
        result = run.result(timeout=PATIENCE)
        refused = site_of(result, "north")
        assert (refused.state, refused.problem.code) == ("refused", "permit.not_active")
        assert result.headline == "2 of 3 sites"
        soon(lambda: federation.permit_state("north") == "suspended", "the hub learns of it")
        next_result = federation.count().result(timeout=PATIENCE)
        unasked = site_of(next_result, "north")
        assert (unasked.state, unasked.problem.code) == ("no_permit", "permit.missing")
        assert (next_result.headline, next_result.state) == ("2 of 3 sites", "partial")
    soon(lambda: federation.permit_state("north") == "active", "the hub learns of the approval")
    assert federation.count().result(timeout=PATIENCE).headline == "3 of 3 sites"
    federation.assert_chains_hold("north")
