"""The agent against a hub that a test scripts: TLS, proxy, tokens, polling, answering, and being away."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from atoll_node.agent import Agent, HubDeclined, HubUnreachable, Standing
from atoll_node.agent.client import HubClient
from atoll_node.bootstrap import Node, make_home, open_node, real_world
from atoll_node.bootstrap.network import enrol_node, open_agent
from atoll_node.errors import HubError, Refused, SettingsError
from atoll_node.home import Home
from atoll_schemas.protocol import Cancelled, PermitApplication, Refusal
from atoll_schemas.results import ClearedResult
from tests.support.node_records import (
    Counting,
    a_hub_key,
    a_lease,
    a_permit,
    a_release,
    a_request,
    a_scope,
    a_task,
    approve,
    count_cleared,
    settings_text,
)
from tests.support.scripted_hub import ScriptedHub, connect_proxy, private_ca, problem, scripted_hub

QUICK = "[agent]\npoll_seconds = 0.2\n"
PATIENCE = 20.0


def soon(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so; fail naming it."""
    moment = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if condition():
            return
        moment.wait(0.02)
    pytest.fail(f"never came: {what}")


def a_real_node(folder: Path, hub: str, extra: str = QUICK, ahead: timedelta = timedelta()) -> Node:
    real = real_world()
    world = real.__class__(lambda: real.clock() + ahead, real.new_id, real.random_bytes, lambda: 0.05)
    home = Home(folder / "home")
    make_home(home, settings_text(hub, extra), world)
    return open_node(home, world)


@dataclass
class Running:
    """An agent in a thread, with its engine."""

    agent: Agent
    engine: Counting
    thread: threading.Thread
    failed: list[HubError] = field(default_factory=list)


@contextmanager
def running(node: Node, engine: Counting | None = None) -> Iterator[Running]:
    from atoll_node.answer import Stages

    counting = engine or Counting()
    stages = Stages(release_of=lambda query: a_release(query.dataset), run=counting, clear=count_cleared)
    agent = open_agent(node, stages)
    failed: list[HubError] = []

    def run() -> None:
        try:
            agent.run()
        except HubError as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield Running(agent, counting, thread, failed)
    agent.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def fresh_task(**changes):
    now = datetime.now(UTC)
    return a_task(issued_at=now, expires_at=now + timedelta(minutes=5), **changes)


def permit_now(node: Node) -> None:
    now = datetime.now(UTC)
    scope = a_scope(valid_from=now - timedelta(days=1), valid_until=now + timedelta(days=1))
    approve(node, a_permit(scope=scope))


def standing(node: Node) -> str:
    return node.home.standing.read_text() if node.home.standing.exists() else ""


@pytest.fixture
def hub():
    with scripted_hub() as hub:
        yield hub


@pytest.fixture
def node(tmp_path, hub):
    node = a_real_node(tmp_path, hub.url)
    enrol_node(node, hub.code())
    permit_now(node)
    return node


def waits(hub) -> list[float]:
    return [one.json()["wait_seconds"] for one in hub.heard if one.path == "/v1/node/poll"]


def test_a_node_greets_its_hub_before_it_waits_there(node, hub):
    with running(node):
        soon(lambda: len(waits(hub)) >= 2, "a second poll")
        assert json.loads(standing(node))["state"] == "connected"
    assert waits(hub)[0] == 0
    assert all(wait > 0 for wait in waits(hub)[1:])


def test_a_node_greets_again_after_its_hub_was_away(node, hub):
    with running(node):
        soon(lambda: len(waits(hub)) >= 2, "a second poll")
        hub.overrides["/v1/node/poll"] = (503, problem("hub.busy", "the hub is busy"))
        hub.deliver()
        soon(lambda: "hub.busy" in standing(node), "the fault")
        heard = len(waits(hub))
        del hub.overrides["/v1/node/poll"]
        soon(lambda: len(waits(hub)) > heard + 1, "polls again")
    assert 0 in waits(hub)[1:]


def test_a_task_is_answered_once_and_the_answer_recorded(node, hub):
    with running(node) as live:
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: hub.answers, "an answer")
    assert isinstance(hub.answers[0].outcome, ClearedResult)
    assert live.engine.runs == ["colon-0001"]
    assert [entry.action for entry in node.audit.entries()][-2:] == ["task.accepted", "task.answered"]


def test_a_claim_after_a_lost_answer_gets_the_same_bytes_under_the_new_fence(node, hub):
    task = fresh_task()
    with running(node) as live:
        hub.deliver(a_lease(task, hub.key))
        soon(lambda: len(hub.answers) == 1, "the first answer")
        hub.deliver(a_lease(task, hub.key, fence=2))
        soon(lambda: len(hub.answers) == 2, "the second answer")
    first, second = hub.answers
    assert (first.fence, second.fence) == (1, 2)
    assert first.outcome.canonical() == second.outcome.canonical()
    assert live.engine.runs == ["colon-0001"]


def test_a_forged_task_is_answered_with_a_refusal(node, hub):
    with running(node) as live:
        hub.deliver(a_lease(fresh_task(), a_hub_key()))
        soon(lambda: hub.answers, "a refusal")
    outcome = hub.answers[0].outcome
    assert isinstance(outcome, Refusal)
    assert outcome.code == "task.signature"
    assert live.engine.runs == []


def test_a_lease_is_renewed_and_stages_are_told_while_a_task_runs(node, hub):
    go_on = threading.Event()
    engine = Counting(before=lambda _: go_on.wait(PATIENCE))
    with running(node, engine):
        hub.deliver(a_lease(fresh_task(), hub.key))
        polls = lambda: [one.json()["running"] for one in hub.heard if one.path == "/v1/node/poll"]  # noqa: E731
        soon(lambda: polls().count(["task-1"]) >= 2, "two polls that renew")
        soon(lambda: "/v1/node/tasks/task-1/progress" in hub.paths(), "a stage")
        go_on.set()
        soon(lambda: hub.answers, "an answer")
    told = [one.json() for one in hub.heard if one.path.endswith("/progress")]
    assert {one["stage"] for one in told} <= {"verifying", "planning", "running", "clearing"}
    assert all(set(one) == {"task_id", "fence", "stage"} for one in told)


def test_a_cancelled_task_is_stopped_and_nothing_is_sent(node, hub):
    stopped = threading.Event()

    def run_until_stopped(engine: Counting) -> None:
        soon(lambda: engine.stopped, "the stop")
        stopped.set()

    with running(node, Counting(before=run_until_stopped)):
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: any(one.json().get("running") for one in hub.heard if one.path.endswith("poll")), "work")
        hub.deliver(Cancelled(task_id="task-1"))
        soon(stopped.is_set, "the engine's stop")
        soon(lambda: node.audit.entries()[-1].action == "task.cancelled", "the record")
    assert hub.answers == []


def test_a_deadline_that_passes_while_a_task_runs_stops_it(node, hub):
    now = datetime.now(UTC)
    task = a_task(issued_at=now, expires_at=now + timedelta(seconds=0.5))
    engine = Counting(before=lambda engine: soon(lambda: engine.stopped, "the stop"))
    with running(node, engine):
        hub.deliver(a_lease(task, hub.key))
        soon(lambda: hub.answers, "a refusal")
    assert hub.answers[0].outcome.code == "engine.deadline"


def test_a_request_for_a_permit_reaches_the_steward_and_the_decision_the_hub(node, hub):
    with running(node):
        hub.deliver(PermitApplication(request=a_request(permit_id="P-007.north", project="P-007")))
        soon(lambda: len(node.permits.all()) == 1, "the request")
        approve(node, a_permit(permit_id="P-007.north", project="P-007"))
        soon(lambda: hub.paths().count("/v1/node/permits") == 2, "both statements")
    assert node.outbox.waiting() == []
    token = [one for one in hub.heard if one.path == "/v1/node/permits"][-1].json()["token"]
    from atoll_node.keys import opened
    from atoll_schemas.permits import Permit

    said = Permit.model_validate_json(opened(token, kind="atoll-permit+jws", keys=[node.key.public_jwk()]))
    assert (said.permit_id, said.state, said.site) == ("P-007.north", "active", "north")


def test_a_token_that_the_hub_forgot_is_asked_for_again(node, hub):
    with running(node):
        soon(lambda: "/v1/node/poll" in hub.paths(), "a poll")
        hub.forget_tokens()
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: hub.answers, "an answer")
    assert hub.paths().count("/v1/token") >= 2


def test_a_token_is_renewed_before_it_ends(tmp_path, hub):
    node = a_real_node(tmp_path, hub.url)
    enrol_node(node, hub.code())
    hub.expires_in = 1
    with running(node):
        soon(lambda: hub.paths().count("/v1/token") >= 3, "renewals")
    assert not any(one.path.endswith("poll") and "authorization" not in one.headers for one in hub.heard)


def test_every_request_names_the_protocol(node, hub):
    with running(node):
        soon(lambda: "/v1/node/poll" in hub.paths(), "a poll")
    assert {one.headers["atoll-protocol"] for one in hub.heard} == {"1"}


def test_a_hub_that_is_away_is_tried_until_it_is_back(tmp_path):
    with scripted_hub() as first:
        node = a_real_node(tmp_path, first.url)
        enrol_node(node, first.code())
        permit_now(node)
        port = int(first.url.rpartition(":")[2])
    with running(node):
        soon(lambda: "hub.unreachable" in standing(node), "word that the hub is away")
        with scripted_hub(port=port, key=first.key, node_key=first.node_key) as second:
            soon(lambda: '"connected"' in standing(node), "contact")
            second.deliver(a_lease(fresh_task(), second.key))
            soon(lambda: second.answers, "an answer")


def test_an_answer_waits_for_a_hub_that_fails_and_is_sent_when_it_recovers(node, hub):
    path = "/v1/node/tasks/task-1/answer"
    hub.overrides[path] = (503, problem("hub.stopping", "the hub stops"))
    with running(node):
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: hub.paths().count(path) >= 2, "two attempts")
        del hub.overrides[path]
        soon(lambda: hub.answers, "an answer")


def test_an_answer_that_the_hub_will_not_have_is_dropped(node, hub):
    path = "/v1/node/tasks/task-1/answer"
    hub.overrides[path] = (409, problem("task.fenced", "claimed again"))
    with running(node):
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: path in hub.paths(), "an attempt")
        soon(lambda: hub.heard[-1].path.endswith("poll") and not hub.heard[-1].json()["running"], "rest")
    assert hub.paths().count(path) == 1


def test_another_protocol_stops_the_node_and_names_both_versions(node, hub):
    hub.protocol = "2"
    with running(node) as live:
        soon(lambda: live.failed, "the end")
    error = live.failed[0]
    assert error.code == "protocol.version"
    assert "1" in error.message
    assert "2" in error.message


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_clock_ten_minutes_off_is_named_with_its_fix(tmp_path, hub, minutes):
    node = a_real_node(tmp_path, hub.url, ahead=timedelta(minutes=minutes))
    enrol_node(node, hub.code())
    with running(node):
        soon(lambda: "clock.skew" in standing(node), "word of the clock")
        assert "NTP" in standing(node)
    assert "/v1/node/poll" not in hub.paths()


def test_a_private_ca_and_a_proxy_carry_everything(tmp_path):
    ca = private_ca(tmp_path / "ca")
    with scripted_hub(ca.server_file) as hub, connect_proxy() as proxy:
        extra = f'[network]\nproxy = "{proxy.url}"\nca_file = "{ca.ca_file}"\n{QUICK}'
        node = a_real_node(tmp_path, hub.url, extra)
        enrol_node(node, hub.code())
        permit_now(node)
        with running(node):
            hub.deliver(a_lease(fresh_task(), hub.key))
            soon(lambda: hub.answers, "an answer")
        assert set(proxy.asked) == {hub.url.removeprefix("https://")}


def test_the_environments_proxy_is_used(tmp_path, monkeypatch):
    ca = private_ca(tmp_path / "ca")
    with scripted_hub(ca.server_file) as hub, connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        node = a_real_node(tmp_path, hub.url, f'[network]\nca_file = "{ca.ca_file}"\n')
        enrol_node(node, hub.code())
        assert proxy.asked == [hub.url.removeprefix("https://")]


def test_a_hub_whose_certificate_is_not_trusted_hears_nothing(tmp_path):
    ca = private_ca(tmp_path / "ca")
    with scripted_hub(ca.server_file) as hub:
        node = a_real_node(tmp_path, hub.url, "")
        with pytest.raises(HubUnreachable) as refused:
            enrol_node(node, hub.code())
        assert refused.value.code == "hub.certificate"
        assert "ca_file" in (refused.value.next_step or "")
        assert hub.heard == []


def test_a_hub_with_another_key_than_the_codes_is_not_believed(tmp_path, hub):
    node = a_real_node(tmp_path, hub.url)
    hub.shown_key = a_hub_key()
    with pytest.raises(Refused) as refused:
        enrol_node(node, hub.code())
    assert refused.value.code == "enrolment.hub_key"
    assert not node.home.enrolment.exists()


def test_only_the_key_that_the_code_names_is_pinned(node, hub):
    from atoll_node.bootstrap import read_enrolment

    assert read_enrolment(node.home).hub_keys == (hub.key.public_jwk(),)


def test_a_code_for_another_site_says_what_to_change(tmp_path, hub):
    home = Home(tmp_path / "home")
    make_home(home, settings_text(hub.url).replace("north", "south", 1), real_world())
    with pytest.raises(SettingsError) as refused:
        enrol_node(open_node(home, real_world()), hub.code())
    assert refused.value.code == "enrolment.site"


def test_a_mistyped_code_is_refused_before_anything_is_sent(tmp_path, hub):
    with pytest.raises(SettingsError) as refused:
        enrol_node(a_real_node(tmp_path, hub.url), "atoll1-abc")
    assert refused.value.code == "enrolment.code"
    assert hub.heard == []


def test_a_refusal_of_the_hub_is_passed_on(tmp_path, hub):
    hub.overrides["/v1/node/enrol"] = (403, problem("enrolment.used", "the code was used by another key"))
    with pytest.raises(HubDeclined) as declined:
        enrol_node(a_real_node(tmp_path, hub.url), hub.code())
    assert declined.value.code == "enrolment.used"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://hub.example", "hub.not_https"),
        ("ftp://hub.example", "hub.address"),
        ("hub.example", "hub.address"),
        ("https://user:word@hub.example", "hub.address"),
    ],
)
def test_an_address_without_tls_or_sense_is_refused(tmp_path, address, code):
    node = a_real_node(tmp_path, address, "")
    with pytest.raises(SettingsError) as refused:
        enrol_node(node, ScriptedHub().code())
    assert refused.value.code == code


def test_a_redirect_is_not_followed(tmp_path, hub):
    hub.overrides["/v1/node/enrol"] = (307, None)
    with pytest.raises(HubDeclined):
        enrol_node(a_real_node(tmp_path, hub.url), hub.code())
    assert hub.paths() == ["/v1/node/enrol"]


def test_the_journal_holds_every_request_as_it_was_sent_but_no_secret(node, hub):
    with running(node):
        hub.deliver(a_lease(fresh_task(), hub.key))
        soon(lambda: hub.answers, "an answer")
    sent = list(reversed(node.journal.last(1000)))
    ours = [(one.path, node.journal.content(one.id)) for one in sent]
    for heard in hub.heard:
        if heard.path not in ("/v1/token", "/v1/node/enrol"):
            assert (heard.path, heard.body) in ours
    kept = b"".join(content for _, content in ours)
    secrets = [one.headers.get("authorization", "Bearer none").split()[1] for one in hub.heard]
    assertion = next(one for one in hub.heard if one.path == "/v1/token").body.rpartition(b"=")[2]
    assert not any(secret.encode() in kept for secret in secrets)
    assert assertion not in kept
    assert b"s" * 0 + hub.code().split("-")[1].encode() not in kept
    assert {one.bytes for one in sent if one.path == "/v1/token"} == {
        len(one.body) for one in hub.heard if one.path == "/v1/token"
    }


def test_standing_says_stopped_after_the_end(node):
    with running(node):
        soon(lambda: '"connected"' in standing(node), "contact")
    soon(lambda: '"stopped"' in standing(node), "the last word")


def test_a_client_that_was_not_introduced_sends_nothing(node, hub):
    client = HubClient(
        hub.url, node.settings.network, node.journal, clock=node.world.clock, new_id=node.world.new_id
    )
    before = len(hub.heard)
    with pytest.raises(SettingsError) as refused:
        client.call("poll", "/v1/node/poll", a_scope())
    assert refused.value.code == "node.not_enrolled"
    assert len(hub.heard) == before
    assert Standing("connected").code is None
