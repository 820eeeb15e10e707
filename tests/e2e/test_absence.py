"""A node is away, its clock is off, its protocol is another: the answer says so and the others answer."""

from dataclasses import replace

import pytest

from demo.make_data import SITES
from tests.e2e.plain_figures import COLON_ARMS, followed_in_demo, log_rank
from tests.support.federation import PATIENCE, SpeakingAnother, soon
from tests.support.federation_exports import all_with

pytestmark = pytest.mark.e2e
SHORT = 8
OTHERS = ("north", "harbour")


def states(result):
    return {site.site: site.state for site in result.contract.sites}


def problem_at(result, site):
    return next(one.problem for one in result.contract.sites if one.site == site)


def assert_without_valley(federation, run):
    result = run.result(timeout=PATIENCE)
    assert (result.headline, result.state) == ("2 of 3 sites", "partial")
    assert states(result) == dict.fromkeys(OTHERS, "answered") | {"valley": "late"}
    assert problem_at(result, "valley").code == "task.late"
    assert result.contract.merged.persons.sites == 2
    federation.assert_answered_once(run, OTHERS)
    return result


def test_a_node_that_is_away_for_the_whole_query_is_late_and_stays_so(federation):
    federation.nodes["valley"].stop()
    run = federation.count(deadline=SHORT)
    partial = assert_without_valley(federation, run)
    federation.nodes["valley"].start()
    assert federation.count().result(timeout=PATIENCE).headline == "3 of 3 sites"
    assert run.peek().contract == partial.contract, "what was said stays said"
    assert federation.kept_at_node("valley", federation.task(run, "valley").id) is None, "it never ran"
    federation.assert_chains_hold("valley")


def test_the_log_rank_of_two_sites_is_that_of_these_two_and_names_them(federation, exports):
    federation.nodes["valley"].stop()
    run = federation.ada.kaplan_meier(
        all_with("C18.9"),
        outcome="death",
        by="arm",
        dataset="colon",
        project=federation.project,
        deadline=SHORT,
    )
    result = run.result(timeout=PATIENCE)
    found = result.contract.merged.log_rank
    two = log_rank([followed_in_demo(exports.demo, site, "colon") for site in OTHERS], COLON_ARMS)
    assert (result.headline, result.state) == ("2 of 3 sites", "partial")
    assert sorted(found.sites) == sorted(OTHERS)
    assert found.groups == tuple(COLON_ARMS.values())
    assert found.chi_square == pytest.approx(two.chi_square, rel=1e-9)


def test_two_of_three_sites_become_three_when_the_third_returns(federation):
    federation.nodes["valley"].stop()
    run = federation.count()
    soon(lambda: run.peek().contract.answered == 2, "two sites answer")
    waiting = run.peek()
    assert (waiting.headline, waiting.state) == ("2 of 3 sites", "running")
    assert waiting.contract.merged is None, "nothing is pooled before the end"
    federation.nodes["valley"].start()
    assert run.result(timeout=PATIENCE).headline == "3 of 3 sites"
    federation.assert_answered_once(run)


@pytest.mark.parametrize("seconds", [600, -600])
def test_a_node_whose_clock_is_ten_minutes_off_runs_nothing_and_says_the_fix(federation, seconds):
    right = federation.nodes["valley"]
    right.stop()
    wrong = replace(right, clock_shift=seconds)
    wrong.launch()
    try:
        assert "NTP" in wrong.wait_for("clock.skew")["next_step"]
        run = federation.count(deadline=SHORT)
        assert_without_valley(federation, run)
        assert federation.kept_at_node("valley", federation.task(run, "valley").id) is None
    finally:
        assert wrong.stop() == 0
    right.start()
    assert federation.count().result(timeout=PATIENCE).headline == "3 of 3 sites"
    federation.assert_chains_hold("valley")


def test_a_node_of_another_protocol_version_is_refused_with_both_versions_named(federation):
    same = federation.nodes["valley"]
    same.stop()
    another = SpeakingAnother(same.site, same.home)
    another.launch()
    assert another.wait() != 0, "it does not keep trying"
    last = another.log().strip().splitlines()[-3:]
    assert any("1" in line and "2" in line and "protocol" in line for line in last), last
    (seen,) = (site for site in federation.ada.sites() if site.site == "valley")
    assert seen.state == "incompatible"
    assert_without_valley(federation, federation.count(deadline=SHORT))
    same.start()
    assert federation.count().result(timeout=PATIENCE).headline == "3 of 3 sites"
    assert {site.state for site in federation.ada.sites()} == {"online"}


def test_a_node_that_is_gone_and_back_answers_what_waited_for_it_once_each(federation):
    federation.kill("valley")
    runs = [federation.count(), federation.survival(), federation.count()]
    federation.nodes["valley"].start()
    for run in runs:
        assert run.result(timeout=PATIENCE).headline == "3 of 3 sites"
        federation.assert_answered_once(run)
    assert all(federation.cohorts_in_ledger(site, "registry") == 1 for site in SITES)
