"""Over the whole language: what is read is written again, and its meaning has one form."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.differing import differences
from atoll.explaining import explain
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.criteria import Criteria
from atoll_schemas.circe.needs import ALWAYS, needs_of
from tests.support.circe_examples import CONCEPT_SET, FACTS, OCCURRENCE, PARTS, WINDOW, body

KINDS = {
    kind.__name__: body(kind)
    for kind in PARTS
    if kind.__name__ in {"".join(map(str.capitalize, name.split("_"))) for name in Criteria.model_fields}
}
_NOTHING = st.sampled_from([None, "left out"])


def _decapitalised(key: str) -> str:
    return key[0].lower() + key[1:]


@st.composite
def _number(draw: st.DrawFn) -> Any:
    whole = draw(st.integers(0, 100))
    return draw(st.sampled_from([whole, float(whole), str(whole), f"{whole}.5", whole + 0.25]))


@st.composite
def _attribute(draw: st.DrawFn, key: str, example: Any) -> Any:
    if isinstance(example, dict) and example.get("Op") == "bt" and not isinstance(example["Value"], str):
        return {"Value": draw(_number()), "Op": draw(st.sampled_from(["lt", "gte", "eq", "!eq"]))}
    if key == "CorrelatedCriteria":
        return draw(st.none() | _groups())
    return draw(st.sampled_from([example, None]))


@st.composite
def _criteria(draw: st.DrawFn, depth: int = 1) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    keys = [key for key in sorted(KINDS[kind]) if depth or key != "CorrelatedCriteria"]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True, max_size=4)) if keys else []
    small = draw(st.booleans())
    found = {key: draw(_attribute(key, KINDS[kind][key])) for key in chosen}
    return {kind: {_decapitalised(key) if small else key: value for key, value in found.items()}}


@st.composite
def _counted(draw: st.DrawFn) -> dict[str, Any]:
    found = {
        "Criteria": draw(_criteria(depth=0)),
        "Occurrence": draw(st.sampled_from([OCCURRENCE, {"Type": "2", "Count": 1}])),
    }
    for key in ("StartWindow", "EndWindow"):
        if draw(st.booleans()):
            found[key] = draw(
                st.sampled_from([WINDOW, None, {"Start": {"Days": "3", "Coeff": -1}, "End": {"Coeff": 1}}])
            )
    return found


@st.composite
def _groups(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["ALL", "any", "AT_LEAST", "at_most"]))
    found: dict[str, Any] = {"Type": kind, "CriteriaList": draw(st.lists(_counted(), max_size=2))}
    if kind.lower().startswith("at_"):
        found["Count"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        found["DemographicCriteriaList"] = draw(st.lists(st.just(FACTS), max_size=1))
    return found


@st.composite
def expressions(draw: st.DrawFn) -> dict[str, Any]:
    """Return an expression over every construct, in any of its spellings."""
    found: dict[str, Any] = {
        "ConceptSets": [CONCEPT_SET],
        "PrimaryCriteria": {"CriteriaList": draw(st.lists(_criteria(), min_size=1, max_size=2))},
    }
    optional = {
        "AdditionalCriteria": st.none() | _groups(),
        "InclusionRules": st.lists(
            st.builds(lambda group: {"name": "r", "expression": group}, _groups()), max_size=2
        ),
        "CensoringCriteria": st.none() | st.lists(_criteria(), max_size=1),
        "ExpressionLimit": st.sampled_from([None, {}, {"Type": "ALL"}, {"Type": "last"}]),
        "CollapseSettings": st.sampled_from(
            [None, {"CollapseType": "era", "EraPad": "3"}, {"EraPadUnit": "day"}]
        ),
        "CensorWindow": st.sampled_from([None, {}, {"StartDate": "2020-1-5", "EndDate": None}]),
        "EndStrategy": st.sampled_from([None, {"DateOffset": {}}, {"CustomEra": {"DrugCodesetId": 1}}]),
        "Title": st.none() | st.text(max_size=5),
    }
    for key, values in optional.items():
        if draw(st.booleans()):
            found[key] = draw(values)
    return found


@given(expressions())
@settings(max_examples=200, deadline=None)
def test_every_spelling_is_written_as_it_was_read(content: dict[str, Any]) -> None:
    text = json.dumps(content, sort_keys=True)
    assert json.dumps(CohortExpression.from_json(text).to_circe(), sort_keys=True) == text


@given(expressions())
@settings(max_examples=200, deadline=None)
def test_every_spelling_has_one_canonical_form(content: dict[str, Any]) -> None:
    read = CohortExpression.from_json(content)
    again = CohortExpression.from_json(read.canonical())
    assert again == read
    assert again.digest() == read.digest()
    assert again.wire() == read.wire()
    assert differences(read, again) == ()


@given(expressions())
@settings(max_examples=100, deadline=None)
def test_everything_can_be_told_and_needs_its_tables(content: dict[str, Any]) -> None:
    read = CohortExpression.from_json(content)
    assert len(explain(read).splitlines()) == len(explain(read, "fr").splitlines())
    assert needs_of(read).tables >= ALWAYS
