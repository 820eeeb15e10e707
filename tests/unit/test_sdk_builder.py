"""The builder writes the whole language in Python's words; what is wrong is told at the line that made it."""

from datetime import date
from typing import Any

import pytest

import atoll
from atoll.events import DOMAINS
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.expression import codeset_fields
from atoll_schemas.circe.spelling import form_of
from tests.support.circe_examples import CONCEPTS, NUMBER, SELECTION, SINCE, TEXT, attribute

COLON = atoll.concepts(4180790, name="colon cancer")
LEV = atoll.concepts(1318011, descendants=False, name="levamisole")


def only(cohort: atoll.Cohort) -> dict[str, Any]:
    (criteria,) = cohort.to_circe()["PrimaryCriteria"]["CriteriaList"]
    return dict(criteria)


def spoken(kind: Any, name: str, key: str) -> Any:
    """Return an example of an attribute in Python's words."""
    example = attribute(kind, key)
    if name in codeset_fields(kind):
        return COLON
    if example == SELECTION:
        return atoll.without(COLON)
    if example == NUMBER:
        return (3.5, 5)
    if example == SINCE:
        return (date(2015, 1, 1), "2019-12-31")
    if example == TEXT:
        return ~atoll.starting("p.Val600Glu")
    if key == "UserDefinedPeriod":
        return (date(2015, 1, 1), date(2019, 12, 31))
    return [concept["CONCEPT_ID"] for concept in example] if example == CONCEPTS else example


KINDS = {name: Criteria.model_fields[name].annotation.__args__[0] for name in Criteria.model_fields}


@pytest.mark.parametrize("domain", KINDS)
def test_every_attribute_of_every_domain_can_be_said(domain: str) -> None:
    kind = KINDS[domain]
    for field in form_of(kind).fields:
        if field.name in ("correlated_criteria", "date_adjustment"):
            continue
        value = spoken(kind, field.name, field.key)
        said = only(atoll.Cohort.starting(atoll.event(domain, **{field.name: value})))
        wanted = attribute(kind, field.key)
        if field.name in codeset_fields(kind):
            wanted = 0
        elif wanted == SELECTION:
            wanted = {"CodesetId": 0, "IsExclusion": True}
        assert said == {kind.__name__: {field.key: wanted}}


def test_short_names_stand_for_circes() -> None:
    assert set(DOMAINS.values()) == set(Criteria.model_fields)
    assert only(atoll.Cohort.starting(atoll.event("drug", LEV))) == {"DrugExposure": {"CodesetId": 0}}


def test_a_concept_set_in_the_place_of_a_list_is_a_selection() -> None:
    (body,) = only(atoll.Cohort.starting(atoll.event("condition", COLON, gender=LEV))).values()
    assert body == {"CodesetId": 0, "GenderCS": {"CodesetId": 1, "IsExclusion": False}}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ((18, None), {"Value": 18, "Op": "gte"}),
        ((None, 65), {"Value": 65, "Op": "lte"}),
        ((18, 65), {"Value": 18, "Op": "bt", "Extent": 65}),
        (40, {"Value": 40, "Op": "eq"}),
        (atoll.above(18), {"Value": 18, "Op": "gt"}),
        (~atoll.below(18), {"Value": 18, "Op": "gte"}),
    ],
)
def test_a_range_is_a_pair_or_a_comparison(value: Any, wanted: dict[str, Any]) -> None:
    assert only(atoll.Cohort.starting(atoll.event("death", age=value))) == {"Death": {"Age": wanted}}


@pytest.mark.parametrize(
    ("value", "op"),
    [("x", "eq"), (atoll.containing("x"), "contains"), (~atoll.ending("x"), "!endsWith")],
)
def test_a_text_is_compared_whole_or_in_part(value: Any, op: str) -> None:
    (body,) = only(atoll.Cohort.starting(atoll.event("variant", hgvs_p=value))).values()
    assert body == {"HgvsP": {"Text": "x", "Op": op}}


def test_events_are_counted_within_days_of_start_or_end() -> None:
    counted = atoll.event("drug", LEV).occurs(
        at_most=2,
        days=(-30, 0),
        ends=(0, None),
        relative_to="end",
        same_visit=True,
        outside_observation=True,
        distinct="VISIT_ID",
    )
    cohort = atoll.Cohort.starting(atoll.event("condition", COLON)).where("treated", counted)
    (rule,) = cohort.to_circe()["InclusionRules"]
    assert rule == {
        "name": "treated",
        "expression": {
            "Type": "ALL",
            "CriteriaList": [
                {
                    "Criteria": {"DrugExposure": {"CodesetId": 1}},
                    "StartWindow": {
                        "Start": {"Days": 30, "Coeff": -1},
                        "End": {"Days": 0, "Coeff": 1},
                        "UseIndexEnd": True,
                        "UseEventEnd": False,
                    },
                    "EndWindow": {
                        "Start": {"Days": 0, "Coeff": -1},
                        "End": {"Coeff": 1},
                        "UseIndexEnd": True,
                        "UseEventEnd": True,
                    },
                    "Occurrence": {"Type": 1, "Count": 2, "IsDistinct": True, "CountColumn": "VISIT_ID"},
                    "RestrictVisit": True,
                    "IgnoreObservationPeriod": True,
                }
            ],
            "DemographicCriteriaList": [],
            "Groups": [],
        },
    }


def test_groups_nest_and_hold_persons() -> None:
    drug = atoll.event("drug", LEV)
    group = atoll.any_of(
        atoll.person(age=(18, None)),
        atoll.at_least(1, drug.never()),
        atoll.at_most(0, atoll.all_of(drug.occurs())),
    )
    cohort = atoll.Cohort.starting(atoll.event("condition", COLON)).restricted(group, keep="last")
    written = cohort.to_circe()
    assert written["QualifiedLimit"] == {"Type": "Last"}
    (inner,) = written["AdditionalCriteria"]["Groups"]
    assert inner["Type"] == "ANY"
    assert [item["Type"] for item in inner["Groups"]] == ["AT_LEAST", "AT_MOST"]
    assert inner["Groups"][1]["Count"] == 0
    assert inner["Groups"][0]["CriteriaList"][0]["Occurrence"] == {"Type": 0, "Count": 0}


def test_criteria_nest_and_move_their_dates() -> None:
    inner = atoll.event("variant", gene=["BRAF"]).occurs(days=(-90, 90))
    scan = atoll.event("image", modality=4013636).given(inner).moved(start=-7, end=3, end_from="start")
    (body,) = only(atoll.Cohort.starting(scan)).values()
    assert body["CorrelatedCriteria"]["CriteriaList"][0]["Criteria"] == {
        "VariantOccurrence": {"Gene": ["BRAF"]}
    }
    assert body["DateAdjustment"] == {
        "StartWith": "START_DATE",
        "StartOffset": -7,
        "EndWith": "START_DATE",
        "EndOffset": 3,
    }


def test_a_cohort_ends_as_circe_knows_it() -> None:
    cohort = atoll.Cohort.starting(atoll.event("condition", COLON), keep="all", prior_days=365, post_days=1)
    written = (
        cohort.keeping("last")
        .ends_with_exposure(LEV, gap_days=7, days_after=3, days_supply=28)
        .until(atoll.event("death"))
        .between("2015-01-01", date(2019, 12, 31))
        .joined(30)
        .titled("Colon")
        .to_circe()
    )
    era = {"DrugCodesetId": 1, "GapDays": 7, "Offset": 3, "DaysSupplyOverride": 28}
    assert written["EndStrategy"] == {"CustomEra": era}
    assert written["CensoringCriteria"] == [{"Death": {}}]
    assert written["CensorWindow"] == {"StartDate": "2015-01-01", "EndDate": "2019-12-31"}
    assert written["CollapseSettings"]["EraPad"] == 30
    assert written["Title"] == "Colon"
    assert written["ExpressionLimit"] == {"Type": "Last"}
    assert written["PrimaryCriteria"]["ObservationWindow"] == {"PriorDays": 365, "PostDays": 1}
    assert cohort.ends(30, after="end").to_circe()["EndStrategy"]["DateOffset"]["DateField"] == "EndDate"


def test_a_set_that_is_named_twice_is_written_once() -> None:
    cohort = atoll.Cohort.starting(atoll.event("condition", COLON), atoll.event("observation", COLON))
    cohort = cohort.where("again", atoll.event("procedure", COLON).occurs())
    assert [item["id"] for item in cohort.to_circe()["ConceptSets"]] == [0]
    assert cohort.concept_sets == {"colon cancer": COLON}


def test_what_was_built_is_read_again_and_built_further(tmp_path: Any) -> None:
    built = atoll.Cohort.starting(atoll.event("condition", COLON, first=True)).where(
        "treated", atoll.event("drug", LEV).occurs()
    )
    read = atoll.Cohort.from_circe(built.save(tmp_path / "cohort.json"))
    assert read == built
    assert read.to_circe() == built.to_circe()
    wider = read.where("other", atoll.event("drug", read.concept_sets["levamisole"] | COLON).occurs())
    assert [item["name"] for item in wider.to_circe()["ConceptSets"]] == [
        "colon cancer",
        "levamisole",
        "levamisole",
    ]


class TestConceptSets:
    def test_union_holds_what_is_in_either(self) -> None:
        both = COLON | LEV | atoll.codes("ICD10", "C18.9") | COLON
        assert [line.concept_id for line in both.lines] == [4180790, 1318011]
        assert [line.descendants for line in both.lines] == [True, False]
        assert [code.code for code in both.codes] == ["C18.9"]
        assert both.name == "colon cancer"

    def test_difference_excludes_concepts_and_drops_codes(self) -> None:
        left = atoll.concepts(1, 2) | atoll.codes("ICD10", "C18.9", "C19")
        less = left - (atoll.concepts(2, descendants=False) | atoll.codes("ICD10", "C19"))
        assert [(line.concept_id, line.excluded) for line in less.lines] == [
            (1, False),
            (2, False),
            (2, True),
        ]
        assert [code.code for code in less.codes] == ["C18.9"]
        assert less.circe(4)["expression"]["items"][2]["isExcluded"] is True

    def test_descendants_and_mapped_concepts_are_flags(self) -> None:
        found = (LEV.with_descendants().with_mapped() - COLON).named("x")
        assert [(line.descendants, line.mapped) for line in found.lines] == [(True, True), (True, False)]
        assert found.name == "x"

    @pytest.mark.parametrize("wrong", [lambda: (COLON - LEV) | LEV, lambda: COLON - (LEV - COLON)])
    def test_what_circe_cannot_say_is_refused_with_the_way_out(self, wrong: Any) -> None:
        with pytest.raises(atoll.Invalid, match=r"a - b - c|subtract last"):
            wrong()

    def test_a_set_is_made_of_ids_and_codes(self) -> None:
        with pytest.raises(atoll.Invalid, match="concept ids"):
            atoll.concepts()
        with pytest.raises(atoll.Invalid, match="concept ids"):
            atoll.concepts("C18.9")  # type: ignore[arg-type]
        with pytest.raises(atoll.Invalid, match="a vocabulary and codes"):
            atoll.codes("ICD10")
        with pytest.raises(TypeError):
            _ = COLON | 1  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = COLON - 1  # type: ignore[operator]


WRONG = {
    "an attribute": (lambda: atoll.event("condition", agee=3), "Did you mean age"),
    "a domain": (lambda: atoll.event("conditon"), "Did you mean condition"),
    "a value": (lambda: atoll.event("death", age=("x", 3)), r"Death\.Age\.Value: "),
    "a count column": (lambda: atoll.event("drug").occurs(distinct="START"), "Did you mean START_DATE"),
    "two counts": (lambda: atoll.event("drug").occurs(at_least=1, at_most=2), "one of at_least"),
    "an open range": (lambda: atoll.person(age=(None, None)), "at least one end"),
    "no condition": (lambda: atoll.all_of(atoll.event("drug")), "Say how often"),
    "a set for codes": (lambda: atoll.event("trial", arm=COLON), "no such concept set"),
    "no events": (lambda: atoll.Cohort.starting(), "starts with events"),
    "an end too far": (
        lambda: atoll.Cohort.starting(atoll.event("death")).ends(10**9),
        "EndStrategy.DateOffset.Offset",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_at_the_line_that_made_it(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(atoll.Invalid, match=words) as caught:
        make()
    line = make.__code__.co_firstlineno
    assert f"(at test_sdk_builder.py:{line})" in str(caught.value)
