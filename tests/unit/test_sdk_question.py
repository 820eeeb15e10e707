"""Names become the definitions that the asked sites share; where they differ, the sites are named."""

import pytest

import atoll
from atoll import calls, flows
from atoll.options import asking
from atoll.question import Catalogued
from atoll_schemas.people import DatasetVariables, DatasetView, OutcomeAtSites, ProjectView, VariableAtSites
from atoll_schemas.query import AnyOf, Codes, Death, Demographic, Event, Level, Outcome, TrialArm, Variable
from atoll_schemas.results import Result
from tests.support import answers
from tests.support.small_hub import project

COHORT = atoll.Cohort.of(condition=4180790)
KEY = "k" * 32
ALL = ("east", "north", "south")


def arm(label="Obs"):
    trial = TrialArm(trial="colon", levels=(Level(label=label, values=("1",)),))
    return Variable(name="arm", definition=trial)


def number(name="weight"):
    return Variable(name=name, definition=Demographic(field="age"))


RELAPSE = Outcome(
    name="relapse",
    definition=AnyOf(outcomes=(Death(), Event(domain="condition", codes=Codes(concept_ids=(1,))))),
)


def catalogued(*variables, outcomes=(), offering=ALL):
    declared = DatasetVariables(
        dataset="colon",
        variables=tuple(VariableAtSites(variable=it, sites=sites) for it, sites in variables),
        outcomes=tuple(OutcomeAtSites(outcome=it, sites=sites) for it, sites in outcomes),
    )
    return Catalogued(declared, offering)


def submission(method, catalog=None, *, options=None, **asked):
    given = {"project": "P-001", **(options or {})}
    return asking(COHORT, method, given, **asked).submission("colon", catalog, KEY)


def refused(*args, **kwargs):
    with pytest.raises(atoll.Invalid) as caught:
        submission(*args, **kwargs)
    return caught.value


def test_names_become_the_definitions_of_the_catalog():
    asked = submission("kaplan_meier", catalogued((arm(), ALL)), outcome="death", by="arm")
    assert asked.query.analysis.by == arm()
    assert asked.query.analysis.outcome.definition == Death()
    assert asked.idempotency_key == KEY


def test_outcomes_are_looked_up_too():
    asked = submission("kaplan_meier", catalogued(outcomes=((RELAPSE, ALL),)), outcome="relapse")
    assert asked.query.analysis.outcome == RELAPSE


def test_built_in_variables_need_no_declaration():
    asked = submission("table1", catalogued(), variables=["sex", "age", "race"], by="ethnicity")
    assert [it.name for it in asked.query.analysis.variables] == ["sex", "age", "race"]
    assert asked.query.analysis.variables[1].edges


def test_a_sites_own_declaration_goes_before_a_built_in_one():
    own = Variable(name="age", definition=Demographic(field="age"), edges=(0.0, 65.0))
    assert submission("table1", catalogued((own, ALL)), variables=["age"]).query.analysis.variables == (own,)


def test_a_variable_object_is_taken_as_it_is():
    assert submission("count", None, by=[arm()]).query.analysis.by == (arm(),)


def test_definitions_that_differ_are_refused_and_the_sites_named():
    error = refused(
        "count", catalogued((arm("Obs"), ("east", "north")), (arm("Lev"), ("south",))), by=["arm"]
    )
    assert error.code == "variable.differs"
    assert "one definition at east, north; one definition at south" in error.message
    assert "['east', 'north']" in error.next_step


def test_sites_that_do_not_declare_a_variable_are_named():
    error = refused("count", catalogued((arm(), ("east",))), by=["arm"])
    assert "none at north, south" in error.message


def test_only_the_asked_sites_must_agree():
    catalog = catalogued((arm("Obs"), ("east", "north")), (arm("Lev"), ("south",)))
    asked = submission("count", catalog, by=["arm"], options={"sites": ["south"]})
    assert asked.query.analysis.by == (arm("Lev"),)
    assert asked.sites == ("south",)


def test_an_unknown_name_is_refused_with_the_known_ones():
    error = refused("count", catalogued((arm(), ALL)), by=["arms"])
    assert error.code == "variable.unknown"
    assert "arm, birth_year, ethnicity" in error.next_step.replace("age, ", "")
    assert refused("kaplan_meier", catalogued(), outcome="cure").code == "outcome.unknown"


def test_a_number_forms_groups_only_with_edges():
    assert refused("count", catalogued((number(), ALL)), by=["weight"]).code == "variable.not_binned"
    asked = submission(
        "count", catalogued((number(), ALL)), by=["weight"], options={"edges": {"weight": [50, 70]}}
    )
    assert asked.query.analysis.by[0].edges == (50.0, 70.0)


def test_edges_that_do_not_ascend_are_refused():
    error = refused("table1", catalogued(), variables=["age"], options={"edges": {"age": [70, 50]}})
    assert "strictly ascending" in error.message


@pytest.mark.parametrize(
    "method, asked",
    [
        ("count", {"by": ["sex", "sex"]}),
        ("table1", {"variables": ["age", "sex"], "by": "sex"}),
        ("crosstab", {"variables": ["sex", "sex"]}),
    ],
)
def test_a_variable_is_not_crossed_with_itself(method, asked):
    assert refused(method, catalogued(), **asked).code == "variable.twice"


def test_a_wrong_option_is_named_before_anything_is_asked():
    assert refused("count", None, options={"project": "colon"}).message.startswith("project")
    assert "deadline_seconds" in refused("count", None, options={"deadline": 0}).message
    assert "variables" in refused("crosstab", catalogued(), variables=["sex"]).message


def test_attrition_follows_any_event_unless_the_best_is_asked_for():
    assert "attrition" not in submission("count", None).query.analysis.wire()
    assert submission("count", None, attrition="best_event").query.analysis.attrition == "best_event"
    assert refused("count", None, attrition="worst").code == "question.invalid"


def test_a_researcher_can_only_ask_for_stricter_cells():
    asked = submission("count", None, options={"minimum_persons": 20})
    assert asked.query.tighten.minimum_persons == 20


def played(flow, *replies):
    """Send replies into a flow; return the calls that it made and its value."""
    wanted, left = [], list(replies)
    try:
        step = flow.send(None)
        while True:
            wanted.append(step)
            reply = left.pop(0)
            step = flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply)
    except StopIteration as end:
        return wanted, end.value


def test_a_project_with_one_dataset_needs_no_dataset():
    ask = asking(COHORT, "count", {"project": "P-001"})
    wanted, _ = played(flows.asked(ask, KEY), ProjectView.from_wire(project()), "summary")
    assert [call.path for call in wanted] == ["/v1/projects/P-001", "/v1/queries"]
    assert wanted[-1].body.query.dataset == "colon"


def test_a_project_with_several_datasets_asks_which():
    flow = flows.asked(asking(COHORT, "count", {"project": "P-001"}), KEY)
    with pytest.raises(atoll.Invalid, match="colon, lung"):
        played(flow, ProjectView.from_wire(project(("colon", "lung"))))


def test_a_count_by_name_reads_variables_and_sites_first():
    ask = asking(COHORT, "count", {"project": "P-001", "dataset": "colon"}, by="arm")
    view = DatasetView.from_wire(
        {
            "dataset": "colon",
            "title": "Colon",
            "description": "",
            "sites": [
                {
                    "site": "east",
                    "release": "colon-1",
                    "released_at": "2026-01-01T00:00:00Z",
                    "persons": {"kind": "counted", "value": 100},
                    "synthetic": False,
                    "date_shift": False,
                }
            ],
        }
    )
    declared = catalogued((arm(), ("east",))).declared
    wanted, _ = played(flows.asked(ask, KEY), declared, (view,), "summary")
    assert [call.path for call in wanted] == ["/v1/datasets/colon/variables", "/v1/datasets", "/v1/queries"]


def test_a_submission_is_sent_again_with_the_same_key():
    ask = asking(COHORT, "count", {"project": "P-001", "dataset": "colon"})
    away = atoll.Unreachable("hub.unreachable", "away")
    wanted, value = played(flows.asked(ask, KEY), away, None, "summary")
    assert isinstance(wanted[1], flows.Pause)
    assert wanted[0].content() == wanted[2].content()
    assert value == "summary"


def test_patience_with_a_hub_that_stays_away_ends():
    ask = asking(COHORT, "count", {"project": "P-001", "dataset": "colon"})
    away = atoll.Unreachable("hub.unreachable", "away")
    with pytest.raises(atoll.Unreachable):
        played(flows.asked(ask, KEY), away, None, away, None, away, None, away, None, away)


def test_a_refusal_is_not_tried_again():
    ask = asking(COHORT, "count", {"project": "P-001", "dataset": "colon"})
    with pytest.raises(atoll.Refused):
        played(flows.asked(ask, KEY), atoll.Refused("permit.missing", "no permit"))


def running():
    return Result.from_wire({**answers.result(None).wire(), "state": "running", "answered": 1})


def test_waiting_for_a_result_asks_again_until_it_is_finished():
    done = answers.result(answers.COUNT, silent=("south",))
    wanted, value = played(flows.finished("Q-1", None, lambda: 0.0), running(), running(), done)
    assert value.headline == "2 of 3 sites"
    assert {call.query["wait"] for call in wanted} == {"30"}


def test_a_timeout_says_how_far_the_query_is_and_leaves_it_running():
    clock = iter([0.0, 0.0, 5.0]).__next__
    with pytest.raises(atoll.StillRunning, match="1 of 3 sites so far"):
        played(flows.finished("Q-1", 5.0, clock), running())


def test_names_in_paths_are_quoted():
    assert calls.query("../x?y").path == "/v1/queries/..%2Fx%3Fy"
