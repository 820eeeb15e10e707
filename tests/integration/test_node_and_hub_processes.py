"""One real hub and one real node, as processes: from an invitation to an answer, through kills."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from tests.support.hub import HubProcess, start_hub
from tests.support.node import NodeProcess, make_node

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PATIENTS = 60
MAPPING = """
format = "atoll-mapping@1"
[vocabularies]
LOCAL = "codes of a made-up hospital"
[[files]]
name = "patient"
path = "patient.csv"
person = "mrn"
key = ["mrn"]
delimiter = ","
encoding = "utf-8"
date_format = "yyyy-mm-dd"
[[records]]
file = "patient"
table = "person"
[records.fields]
person_source_value = "mrn"
gender_concept_id = { column = "sex", values = { "M" = 8507, "F" = 8532 } }
gender_source_value = "sex"
year_of_birth = { year_of = "seen", minus = "age" }
[[records]]
file = "patient"
table = "observation_period"
[records.fields]
observation_period_start_date = "seen"
observation_period_end_date = "last"
[[records]]
file = "patient"
table = "condition_occurrence"
vocabulary = "LOCAL"
[records.fields]
condition_start_date = "seen"
condition_concept_id = { constant = 4180790 }
condition_source_value = { constant = "C18" }
"""
COHORT = {
    "PrimaryCriteria": {
        "CriteriaList": [{"ConditionOccurrence": {}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    }
}


def soon(found: Callable[[], object], what: str, seconds: float = 40) -> object:
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.1)
    return result


@dataclass
class Consortium:
    """The hub, its one node, and a researcher with a project."""

    hub: HubProcess
    node: NodeProcess
    researcher: httpx.Client
    project: str

    def ask(self, dataset: str = "colon") -> str:
        query = {
            "project": self.project,
            "dataset": dataset,
            "cohort": COHORT,
            "analysis": {"method": "count"},
        }
        reply = self.researcher.post("/v1/queries", json={"query": query, "deadline_seconds": 60})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["query_id"])

    def result(self, query: str, wait: int = 40) -> dict:
        return dict(self.researcher.get(f"/v1/queries/{query}/result?wait={wait}").json())


@pytest.fixture(scope="module")
def consortium(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("consortium")
    rows = [f"m{n},{'MF'[n % 2]},{40 + n % 30},2020-01-{n % 28 + 1:02},2023-05-01" for n in range(PATIENTS)]
    (tmp / "files").mkdir()
    (tmp / "files" / "patient.csv").write_text("mrn,sex,age,seen,last\n" + "\n".join(rows) + "\n")
    (tmp / "mapping.toml").write_text(MAPPING)
    hub = start_hub(tmp)
    dataset = (
        f'[[datasets]]\nname = "colon"\ntitle = "Colon"\nformat = "flat"\n'
        f'path = "{tmp}/files"\nmapping = "{tmp}/mapping.toml"\n'
    )
    node = make_node(tmp, "north", hub.url, hub.invite("north"), dataset)
    try:
        node.cli("ingest")
        node.cli("release")
        node.start()
        researcher = hub.client(hub.add_user("ada"))
        application = {"title": "T", "purpose": "Count", "datasets": ["colon"], "methods": ["count"]}
        project = researcher.post("/v1/projects", json=application).json()["id"]
        node.approve(f"{project}.north")
        permits = lambda: researcher.get(f"/v1/projects/{project}").json()["permits"]  # noqa: E731
        soon(lambda: [one["state"] for one in permits()] == ["active"], "the statement at the hub")
        soon(lambda: researcher.get("/v1/datasets").json(), "the catalog at the hub")
        yield Consortium(hub, node, researcher, project)
    finally:
        node.stop()
        hub.stop()


def test_the_catalog_reaches_the_hub_and_is_on_the_list_of_what_left(consortium):
    (dataset,) = consortium.researcher.get("/v1/datasets").json()
    assert dataset["sites"][0]["release"] == "colon-0001"
    left = consortium.node.call("outbound", "--last", "1000")
    assert "catalog" in {one["why"] for one in left["messages"]}


def test_a_question_is_answered_and_its_answer_is_on_record(consortium):
    result = consortium.result(consortium.ask())
    assert result["state"] == "complete", result
    assert result["merged"]["persons"]["value"] == PATIENTS
    assert result["sites"][0]["release"] == "colon-0001"
    sent = [one for one in consortium.node.call("outbound")["messages"] if one["why"] == "answer to a task"]
    assert json.loads(sent[0]["content"])["outcome"]["site"] == "north"
    assert consortium.node.call("audit", "verify")["holds"]


def test_a_node_that_was_killed_answers_once_it_is_back(consortium):
    consortium.node.kill()
    query = consortium.ask()
    consortium.node.start()
    assert consortium.result(query)["state"] == "complete"
    assert consortium.node.call("audit", "verify")["holds"]


def test_a_hub_that_was_killed_is_found_again(consortium):
    consortium.hub.kill()
    consortium.node.wait_for("unreachable")
    consortium.hub.start()
    consortium.node.wait_for("connected")
    assert consortium.result(consortium.ask())["state"] == "complete"


def test_a_suspended_permit_stops_the_next_question(consortium):
    permit = f"{consortium.project}.north"
    consortium.node.call("permits", "suspend", permit, "--yes")
    try:
        permits = lambda: consortium.researcher.get(f"/v1/projects/{consortium.project}").json()["permits"]  # noqa: E731
        soon(lambda: permits()[0]["state"] == "suspended", "the suspension at the hub")
        query = {"project": consortium.project, "dataset": "colon", "cohort": COHORT}
        body = {"query": query | {"analysis": {"method": "count"}}}
        assert consortium.researcher.post("/v1/queries", json=body).status_code == 403
    finally:
        consortium.node.call("permits", "approve", permit, "--yes")
        soon(lambda: permits()[0]["state"] == "active", "the approval at the hub")


def test_what_the_node_logged_and_sent_names_no_patient(consortium):
    home = consortium.node.home
    logged = consortium.node.log() + "".join(file.read_text() for file in (home / "logs").iterdir())
    sent = json.dumps(consortium.node.call("outbound", "--polls", "--last", "100000"))
    for text in (logged, sent):
        assert not any(f"m{n}," in text or f'"m{n}"' in text for n in range(PATIENTS))
        assert "patient.csv" not in text
    assert "task claimed" in logged


def test_a_node_whose_clock_is_ten_minutes_off_says_the_fix(consortium, tmp_path):
    code = consortium.hub.invite("south")
    late = make_node(tmp_path, "south", consortium.hub.url, code, clock_shift=600)
    late.launch()
    try:
        said = late.wait_for("clock.skew")
        assert "NTP" in said["next_step"]
    finally:
        assert late.stop() == 0


def test_the_doctor_is_content_with_a_node_that_is_up_and_its_hub(consortium):
    done = consortium.node.cli("doctor", "--json", check=False)

    said = done.json()
    lines = {line["line"]: line for line in said["lines"]}
    assert (done.code, said["blockers"]) == (0, 0), said
    assert said["seconds"] < 30
    assert lines["listening ports"]["told"] == "the node takes no connection from other machines"
    assert "is enrolled there" in lines["hub"]["told"]
    assert {lines[name]["state"] for name in ("hub", "protocol version", "clock")} == {"ok"}


def test_the_doctor_finds_a_clock_that_is_ten_minutes_off(consortium, tmp_path):
    late = make_node(tmp_path, "east", consortium.hub.url, None, clock_shift=600)

    done = late.cli("doctor", "--json", check=False)

    (clock,) = [line for line in done.json()["lines"] if line["line"] == "clock"]
    assert done.code == 8
    assert clock["state"] == "blocker"
    assert "NTP" in clock["fix"]


def test_a_stopped_node_ends_in_order(consortium):
    assert consortium.node.stop() == 0
    assert consortium.node.standing()["state"] == "stopped"
    consortium.node.start()
