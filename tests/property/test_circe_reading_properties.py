"""Whatever the input, reading a cohort ends with an expression or with a refusal that has a path."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_schemas.circe import CohortError, CohortExpression, criteria
from atoll_schemas.circe.spelling import circe_name
from tests.support.circe_examples import ATTRIBUTES

_KEYS = st.sampled_from(sorted(ATTRIBUTES)) | st.text(max_size=8)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=25,
)
_OPS = st.sampled_from(["lt", "lte", "eq", "!eq", "gt", "gte"])
_RANGES = st.fixed_dictionaries({"Value": st.integers(0, 120), "Op": _OPS})
_DOMAINS = st.sampled_from(
    ["ConditionOccurrence", "DrugExposure", "ProcedureOccurrence", "Measurement", "VisitOccurrence"]
)


@st.composite
def _criteria(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"CodesetId": 1, "First": draw(st.booleans())}
    if draw(st.booleans()):
        body["Age"] = draw(_RANGES)
    return {draw(_DOMAINS): body}


@st.composite
def _correlated(draw: st.DrawFn) -> dict[str, Any]:
    end = st.fixed_dictionaries({"Days": st.integers(0, 999), "Coeff": st.sampled_from([-1, 1])})
    return {
        "Criteria": draw(_criteria()),
        "StartWindow": {"Start": draw(end), "End": draw(end), "UseIndexEnd": draw(st.booleans())},
        "Occurrence": {"Type": draw(st.integers(0, 2)), "Count": draw(st.integers(0, 3))},
    }


_GROUPS = st.recursive(
    st.builds(lambda items: {"Type": "ALL", "CriteriaList": items}, st.lists(_correlated(), max_size=2)),
    lambda inner: st.builds(
        lambda groups, count: {"Type": "AT_MOST", "Count": count, "Groups": groups},
        st.lists(inner, max_size=2),
        st.integers(0, 2),
    ),
    max_leaves=4,
)


@st.composite
def _expressions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "ConceptSets": [{"id": 1, "expression": {"items": [{"concept": {"CONCEPT_ID": 1}}]}}],
        "PrimaryCriteria": {"CriteriaList": draw(st.lists(_criteria(), min_size=1, max_size=3))},
        "AdditionalCriteria": draw(st.none() | _GROUPS),
        "InclusionRules": [
            {"name": name, "expression": draw(_GROUPS)}
            for name in draw(st.lists(st.text(max_size=5), max_size=2))
        ],
    }


def _refusal(content: Any) -> CohortError | None:
    try:
        CohortExpression.from_json(content)
    except CohortError as error:
        return error
    return None


@given(_VALUES)
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused_with_a_path(value: Any) -> None:
    refusal = _refusal(json.dumps(value))
    assert refusal is None or refusal.path.startswith("$")


@given(_expressions())
@settings(max_examples=100, deadline=None)
def test_an_expression_survives_the_wire_with_its_digest(content: dict[str, Any]) -> None:
    read = CohortExpression.from_json(content)
    again = CohortExpression.from_wire(json.loads(read.canonical()))
    assert again == read
    assert again.digest() == read.digest()


@given(_expressions(), st.sampled_from(sorted(ATTRIBUTES)), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_a_foreign_field_is_never_ignored(content: dict[str, Any], name: str, value: int) -> None:
    kind, body = next(iter(content["PrimaryCriteria"]["CriteriaList"][0].items()))
    fields = getattr(criteria, kind).model_fields.items()
    if name in {field.alias or circe_name(own) for own, field in fields}:
        return
    body[name] = value
    refusal = _refusal(content)
    assert refusal is not None
    assert name in refusal.path
