"""The SDK against a real hub process: sign in, find data, ask, follow, read, cancel, survive a kill."""

import asyncio
import base64
import json
import threading
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

import atoll
from atoll.cli import app
from atoll_schemas.catalog import CatalogPush
from atoll_schemas.cells import Pooled
from atoll_schemas.people import ProjectApplication
from atoll_schemas.protocol import Answer, Task
from atoll_schemas.query import Death, KaplanMeier, Level, Outcome, TrialArm, Variable
from atoll_schemas.results import AttritionStep, MergedKaplanMeier, SiteCount, SiteKaplanMeier
from tests.support.answers import curve
from tests.support.cleared import cell, cleared, log_rank_of
from tests.support.hub import PlainNode, start_hub
from tests.support.hub_consortium import catalog

pytestmark = pytest.mark.slow
SITES = ("east", "north", "south")
COHORT = atoll.Cohort.of(condition=4180790).where("adults", age=(18, None))
ARMS = ("Obs", "Lev")


def arm(code="1"):
    levels = (Level(label="Obs", values=(code,)), Level(label="Lev", values=("2",)))
    return Variable(name="arm", definition=TrialArm(trial="colon", levels=levels))


class House:
    """A hub process, three nodes without data, and a researcher with a permitted project."""

    def __init__(self, folder):
        self.process = start_hub(folder)
        self.token = self.process.add_user("ada")
        self.nodes = {site: self.enrolled(site) for site in SITES}
        with self.hub() as hub:
            application = ProjectApplication(
                title="Colon", purpose="learn", datasets=("colon",), methods=("count", "kaplan_meier")
            )
            self.project = hub.apply(application).id
        for node in self.nodes.values():
            for request in node.applications():
                assert node.state_permit(node.decide(request)).status_code == 204

    def hub(self):
        return atoll.Hub(self.process.url, self.token)

    def enrolled(self, site):
        node = PlainNode.at(self.process.url)
        assert node.enrol(self.process.invite(site)).status_code == 200
        node.sign_in()
        # The third hospital codes its arms in another way.
        self.offer(node, site, arm("9" if site == "south" else "1"))
        return node

    def offer(self, node, site, variable):
        outcome = Outcome(name="death", definition=Death())
        push = CatalogPush(
            site=site,
            entries=catalog(site, variables=(variable,), outcomes=(outcome,)).entries,
            pushed_at=datetime.now(UTC),
        )
        assert node.post("catalog", push.wire()).status_code == 204

    def answer(self, *sites):
        """Let these sites' nodes answer what waits for them."""
        for site in sites:
            for lease in self.nodes[site].leases(wait=5):
                payload = lease.token.split(".")[1]
                task = Task.from_wire(
                    json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
                )
                outcome = cleared(site, task.query, answer_to(task.query.analysis))
                answer = Answer(task_id=lease.task_id, fence=lease.fence, outcome=outcome)
                reply = self.nodes[site].post(f"tasks/{lease.task_id}/answer", answer.wire())
                assert reply.status_code == 200, reply.text


def answer_to(analysis):
    if isinstance(analysis, KaplanMeier):
        rows = [(day, day % 3 > 0, ARMS[day % 2]) for day in range(1, 60)]
        curves = tuple(curve(group, (100, 300)) for group in ARMS)
        return SiteKaplanMeier(outcome=analysis.outcome.name, curves=curves, log_rank=log_rank_of(ARMS, rows))
    steps = tuple(AttritionStep(name=name, persons=cell(120)) for name in ("entry events", "adults"))
    return SiteCount(persons=cell(120), attrition=steps)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    built = House(tmp_path_factory.mktemp("house"))
    yield built
    built.process.kill()


@pytest.fixture
def hub(house):
    with house.hub() as opened:
        yield opened


def test_a_researcher_finds_out_who_and_what_there_is(house, hub):
    assert hub.me().name == "ada"
    assert [site.site for site in hub.sites()] == list(SITES)
    assert [it.dataset for it in hub.datasets("colon")] == ["colon"]
    assert hub.datasets("no such words") == ()
    assert {it.variable.name for it in hub.variables("colon").variables} == {"arm"}
    assert [it.id for it in hub.projects()] == [house.project]


def test_two_of_three_sites_answer_and_the_result_says_so(house, hub):
    run = hub.count(COHORT, project=house.project, deadline=4)
    house.answer("east", "north")
    kinds = [event.kind for event in run.events()]
    assert kinds[0] == "submitted"
    assert kinds[-1] == "finished"
    result = run.result(timeout=20)
    assert (result.headline, result.state) == ("2 of 3 sites", "partial")
    assert result.merged.persons == Pooled(value=240, half_width=4, sites=2)
    assert "late" in result._repr_html_()


def test_definitions_that_differ_between_hospitals_are_named_before_anything_is_asked(house, hub):
    before = hub.queries(house.project)
    with pytest.raises(atoll.Invalid, match="one definition at east, north; one definition at south"):
        hub.kaplan_meier(COHORT, outcome="death", by="arm", project=house.project)
    assert hub.queries(house.project) == before


def test_survival_is_asked_of_the_sites_that_agree(house, hub, tmp_path):
    run = hub.kaplan_meier(
        COHORT, outcome="death", by="arm", project=house.project, sites=["east", "north"], deadline=60
    )
    house.answer("east", "north")
    result = run.result(timeout=20)
    assert result.complete
    assert isinstance(result.merged, MergedKaplanMeier)
    assert result.log_rank.sites == ("east", "north")
    assert "<svg" in result.save_svg(tmp_path / "km.svg").read_text()
    assert list(result.to_pandas()["group"].unique()) == list(ARMS)


def test_a_cancelled_query_ends_at_once(house, hub):
    run = hub.count(COHORT, project=house.project, deadline=60)
    with pytest.raises(atoll.StillRunning, match="0 of 3 sites so far"):
        run.result(timeout=0)
    assert run.cancel().state == "cancelled"
    assert run.result(timeout=10).state == "cancelled"
    assert [event.kind for event in run.events()][-1] == "finished"


def test_the_asynchronous_hub_asks_the_same_question(house):
    async def story():
        async with atoll.AsyncHub(house.process.url, house.token) as hub:
            run = await hub.count(COHORT, project=house.project, deadline=60)
            await asyncio.to_thread(house.answer, *SITES)
            return [event.kind async for event in run.events()][-1], await run.result(timeout=20)

    last, result = asyncio.run(story())
    assert (last, result.headline) == ("finished", "3 of 3 sites")


def test_refusals_of_the_hub_arrive_as_errors(house, hub):
    with pytest.raises(atoll.Refused, match="not among its people"):
        hub.count(COHORT, project="P-999", dataset="colon")
    with pytest.raises(atoll.NotFound):
        hub.query("q-0000000000000000")
    with pytest.raises(atoll.SignInError), atoll.Hub(house.process.url, "wrong") as stranger:
        stranger.me()
    with pytest.raises(atoll.Invalid):
        hub.count(COHORT, project=house.project, dataset="colon", sites=["nowhere"])


def test_the_command_tells_the_same_story(house, tmp_path):
    given = {"ATOLL_CREDENTIALS": str(tmp_path / "credentials.json"), "ATOLL_HUB": "", "ATOLL_TOKEN": ""}
    COHORT.save(tmp_path / "cohort.json")

    def shell(*words, stdin=None):
        return CliRunner().invoke(app, [str(word) for word in words], env=given, input=stdin)

    assert shell("login", "--hub", house.process.url, stdin=house.token + "\n").exit_code == 0
    for words in (["sites"], ["datasets", "colon"], ["variables", "colon"], ["projects"], ["queries"]):
        said = shell(*words)
        assert said.exit_code == 0, said.output
        assert json.loads(shell(*words, "--json").stdout)
    asked = shell("count", tmp_path / "cohort.json", "-p", house.project, "--no-wait")
    house.answer(*SITES)
    said = shell("show", asked.stdout.strip())
    assert said.exit_code == 0, said.output
    assert "3 of 3 sites · complete" in said.stdout
    assert shell("show", "q-0000000000000000").exit_code == 6


def test_a_cohort_is_checked_against_what_each_site_holds(house, hub, tmp_path):
    """The nodes' catalogs name one table, person: the sites lack what the cohort reads."""
    entries = hub.entries("colon")
    assert [entry.site for entry in entries] == list(SITES)
    given = {
        "ATOLL_CREDENTIALS": str(tmp_path / "none.json"),
        "ATOLL_HUB": house.process.url,
        "ATOLL_TOKEN": house.token,
        "ATOLL_TOKEN_FILE": "",
    }
    file = COHORT.save(tmp_path / "cohort.json")
    said = CliRunner().invoke(app, ["cohort", "check", str(file), "--json"], env=given)
    assert said.exit_code == 1, said.output
    found = json.loads(said.stdout)
    assert found["digest"] == COHORT.digest()
    assert {site["site"] for site in found["sites"]} == set(SITES)
    for site in found["sites"]:
        reasons = " ".join(obstacle["reason"] for obstacle in site["obstacles"])
        assert "no table condition_occurrence" in reasons
        assert "no concept_ancestor" in reasons


def test_the_asynchronous_hub_lists_the_same_entries(house, hub):
    async def listed():
        async with atoll.AsyncHub(house.process.url, house.token) as opened:
            return await opened.entries("colon")

    assert asyncio.run(listed()) == hub.entries("colon")


def test_following_survives_a_killed_hub(house, hub):
    run = hub.count(COHORT, project=house.project, deadline=60)
    first_seen, seen = threading.Event(), []

    def follow():
        for event in run.events():
            seen.append(event)
            first_seen.set()

    following = threading.Thread(target=follow)
    following.start()
    assert first_seen.wait(10)
    house.process.kill()
    house.process.start()
    house.answer(*SITES)
    following.join(30)
    assert not following.is_alive()
    assert [event.sequence for event in seen] == sorted({event.sequence for event in seen})
    assert seen[-1].kind == "finished"
    assert run.result(timeout=20).headline == "3 of 3 sites"
