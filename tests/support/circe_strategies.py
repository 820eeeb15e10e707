"""Draw random cohort expressions over every construct of the language, from the model's own fields.

An attribute that is added to the model is drawn here without a change; a new kind of value fails.
"""

import json
import types
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from atoll_schemas.circe.criteria import Criteria, CriteriaBody
from atoll_schemas.circe.groups import DemographicCriteria
from atoll_schemas.circe.parts import (
    Concept,
    ConceptSetSelection,
    DateAdjustment,
    DateRange,
    NumericRange,
    Part,
    Period,
    TextFilter,
)
from tests.support.dense_sites import CONCEPTS, ENUMERATED, FIRST_DAY, TEXTS

Json = dict[str, Any]
Drawn = st.SearchStrategy[Any]
SETS: list[Json] = [
    {"id": 0, "name": "all", "expression": {"items": [{"concept": {"CONCEPT_ID": c}} for c in (0, 1, 2, 3)]}},
    {
        "id": 1,
        "name": "tree less a branch",
        "expression": {
            "items": [
                {"concept": {"CONCEPT_ID": 1}, "includeDescendants": True},
                {"concept": {"CONCEPT_ID": 2}, "isExcluded": True},
            ]
        },
    },
    {
        "id": 2,
        "name": "one and a code",
        "expression": {"items": [{"concept": {"CONCEPT_ID": 3}}]},
        "SourceCodes": [{"vocabulary": "local", "code": "A"}],
    },
    {
        "id": 3,
        "name": "mapped",
        "expression": {"items": [{"concept": {"CONCEPT_ID": 3}, "includeMapped": True}]},
    },
]
codesets = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
REFUSED = {
    ("Death", "cause_source_concept"),
    ("Specimen", "specimen_source_concept"),
    ("VisitOccurrence", "place_of_service_distance"),
    ("VisitDetail", "place_of_service_distance"),
    ("DrugExposure", "effective_drug_dose"),
    ("DrugExposure", "dose_unit"),
    ("DrugExposure", "dose_unit_cs"),
}
"""Attributes without a field in ``core@1``: no engine runs them."""
ELSEWHERE = {"codeset_id", "first", "correlated_criteria", "date_adjustment"}
KINDS: Mapping[str, type[CriteriaBody]] = {
    name: next(choice for choice in get_args(field.annotation) if choice is not type(None))
    for name, field in Criteria.model_fields.items()
    if name != "location_region"
}
"""The kinds of criteria. Regions of a person need ``location_history``, which ``core@1`` does not have."""
COUNTED: Mapping[str, Sequence[str]] = {
    "condition_occurrence": ("DURATION",),
    "drug_exposure": ("DURATION", "DAYS_SUPPLY", "QUANTITY", "REFILLS"),
    "procedure_occurrence": ("QUANTITY",),
    "device_exposure": ("QUANTITY", "DURATION"),
    "measurement": ("VALUE_AS_NUMBER", "RANGE_LOW", "RANGE_HIGH", "UNIT", "DOMAIN_SOURCE_CONCEPT"),
    "observation": ("VALUE_AS_NUMBER", "UNIT"),
    "visit_detail": ("VISIT_DETAIL_ID",),
    "condition_era": ("ERA_OCCURRENCES",),
    "drug_era": ("ERA_OCCURRENCES", "GAP_DAYS"),
    "dose_era": ("UNIT", "VALUE_AS_NUMBER"),
    "image_occurrence": ("IMAGE_STUDY",),
}
"""What the kinds may count besides concepts, dates and visits."""
operators = st.sampled_from(["lt", "lte", "eq", "!eq", "gt", "gte", "gte", "lte", "bt", "bt", "!bt"])
days = st.sampled_from([0, 1, 2, 10, 11, 20, 30, 31, 45, 60]).map(lambda n: FIRST_DAY + timedelta(days=n))


def _range(values: Drawn) -> Drawn:
    """A comparison; only ``bt`` has an extent."""

    def made(op: str, low: Any, high: Any) -> Json:
        return {"Op": op, "Value": low, **({"Extent": high} if op.endswith("bt") else {})}

    return st.builds(made, operators, values, values)


date_ranges = _range(days.map(date.isoformat))
concept_lists = st.lists(st.sampled_from((*CONCEPTS, 0)), min_size=1, max_size=3, unique=True).map(
    lambda found: [{"CONCEPT_ID": concept} for concept in found]
)
texts = st.builds(
    lambda text, op: {"Text": text, "Op": op},
    st.sampled_from((*TEXTS, "")),
    st.sampled_from(
        ["startsWith", "contains", "endsWith", "!startsWith", "!contains", "!endsWith", "eq", "!eq"]
    ),
)
adjustments = st.fixed_dictionaries(
    {
        "StartWith": st.sampled_from(["START_DATE", "END_DATE"]),
        "StartOffset": st.integers(-5, 5),
        "EndWith": st.sampled_from(["START_DATE", "END_DATE"]),
        "EndOffset": st.integers(-5, 10),
    }
)
periods = st.fixed_dictionaries(
    {}, optional={"StartDate": days.map(date.isoformat), "EndDate": days.map(date.isoformat)}
)
selections = st.fixed_dictionaries({"CodesetId": codesets}, optional={"IsExclusion": st.booleans()})


def _numbers(name: str) -> Drawn:
    if name.startswith("age"):
        return st.sampled_from([10, 20, 29.9, 30, 31])
    if name.endswith("length"):
        return st.sampled_from([0, 1, 5, 10, 70])
    return st.sampled_from([0, 1, 2, 2.5, 3, 0.00004, 1.9])


def _choices(field: FieldInfo) -> list[Any]:
    """The types of which a field's value may be, ``None`` left out."""
    annotation = field.annotation
    found = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [choice for choice in found if choice is not type(None)]


def value_of(name: str, field: FieldInfo) -> Drawn:
    """Return what a field of the model may be, in JSON."""
    choice = _bare(_choices(field)[0])
    plain: Mapping[Any, Drawn] = {
        DateRange: date_ranges,
        NumericRange: _range(_numbers(name)),
        TextFilter: texts,
        ConceptSetSelection: selections,
        DateAdjustment: adjustments,
        Period: periods,
        bool: st.booleans(),
        int: codesets,
    }
    if choice in plain:
        return plain[choice]
    if get_origin(choice) is tuple:
        return _list_of(name, _bare(get_args(choice)[0]))
    raise NotImplementedError(f"no values are drawn for {name}: {choice}")


def _bare(annotation: Any) -> Any:
    """A type without its marks."""
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _list_of(name: str, item: Any) -> Drawn:
    if item is Concept:
        return concept_lists
    if get_origin(item) is Literal:
        return st.lists(st.sampled_from(get_args(item)), min_size=1, max_size=2, unique=True)
    return st.lists(st.sampled_from(ENUMERATED.get(name, TEXTS)), min_size=1, max_size=3, unique=True)


def _attributes(kind: type[Part]) -> dict[str, Drawn]:
    """The attributes of criteria under their names in JSON."""
    return {
        field.alias or name: value_of(name, field)
        for name, field in kind.model_fields.items()
        if name not in ELSEWHERE and (kind.__name__, name) not in REFUSED
    }


ATTRIBUTES: Mapping[str, Mapping[str, Drawn]] = {name: _attributes(kind) for name, kind in KINDS.items()}
_PERSON = _attributes(DemographicCriteria)


@st.composite
def bodies(draw: st.DrawFn, name: str, depth: int) -> Json:
    """Draw the criteria of one kind, mostly with few attributes, now and then with a group of their own."""
    kind, own = KINDS[name], ATTRIBUTES[name]
    few = draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2]))
    chosen = draw(st.lists(st.sampled_from(sorted(own)), min_size=few, max_size=few, unique=True))
    body: Json = {key: draw(own[key]) for key in chosen}
    if "codeset_id" in kind.model_fields and draw(st.integers(0, 2)) == 0:
        body["CodesetId"] = draw(codesets)
    if "first" in kind.model_fields and draw(st.integers(0, 4)) == 0:
        body["First"] = True
    if draw(st.integers(0, 5)) == 0:
        body["DateAdjustment"] = draw(adjustments)
    if depth > 0 and draw(st.integers(0, 4)) == 0:
        body["CorrelatedCriteria"] = draw(groups(depth - 1))
    return body


@st.composite
def criteria(draw: st.DrawFn, depth: int = 1, name: str | None = None) -> Json:
    """Draw criteria of one kind under its name."""
    kind = name or draw(st.sampled_from(sorted(KINDS)))
    return {Criteria.model_fields[kind].alias or kind: draw(bodies(kind, depth))}


endpoints = st.fixed_dictionaries(
    {"Days": st.none() | st.sampled_from([0, 1, 10, 30, 60]), "Coeff": st.sampled_from([-1, 1])}
)
wide = st.just({"Start": {"Coeff": -1}, "End": {"Coeff": 1}})
windows = (
    wide
    | wide
    | st.fixed_dictionaries(
        {"Start": endpoints, "End": endpoints},
        optional={"UseIndexEnd": st.booleans(), "UseEventEnd": st.booleans()},
    )
)


@st.composite
def correlated(draw: st.DrawFn, depth: int = 1) -> Json:
    """Draw criteria that are counted around an index event."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    count = draw(st.sampled_from([0, 1, 1, 1, 2]))
    occurrence: Json = {"Type": draw(st.sampled_from([0, 1, 2, 2, 2, 2])), "Count": count}
    if draw(st.booleans()):
        occurrence["IsDistinct"] = draw(st.booleans())
        columns = ("DOMAIN_CONCEPT", "START_DATE", "END_DATE", "VISIT_ID", *COUNTED.get(kind, ()))
        occurrence["CountColumn"] = draw(st.sampled_from(columns))
    found: Json = {
        "Criteria": draw(criteria(depth, kind)),
        "Occurrence": occurrence,
        "StartWindow": draw(windows),
    }
    if draw(st.integers(0, 2)) == 0:
        found["EndWindow"] = draw(windows)
    for flag in ("RestrictVisit", "IgnoreObservationPeriod"):
        if draw(st.integers(0, 5)) == 0:
            found[flag] = True
    return found


@st.composite
def demographics(draw: st.DrawFn) -> Json:
    """Draw facts of the person."""
    few = draw(st.sampled_from([0, 1, 1, 2]))
    chosen = draw(st.lists(st.sampled_from(sorted(_PERSON)), min_size=few, max_size=few, unique=True))
    return {key: draw(_PERSON[key]) for key in chosen}


@st.composite
def groups(draw: st.DrawFn, depth: int = 1) -> Json:
    """Draw a group, with groups within it while there is depth left."""
    kind = draw(st.sampled_from(["ALL", "ANY", "ANY", "AT_LEAST", "AT_MOST"]))
    found: Json = {
        "Type": kind,
        "CriteriaList": draw(st.lists(correlated(depth), max_size=2)),
        "DemographicCriteriaList": draw(st.lists(demographics(), max_size=1)),
        "Groups": draw(st.lists(groups(depth - 1), max_size=2)) if depth > 0 else [],
    }
    if kind.startswith("AT_"):
        found["Count"] = draw(st.sampled_from([0, 1, 1, 2]))
    return found


limits = st.fixed_dictionaries({"Type": st.sampled_from(["All", "All", "First", "Last"])})
endings = st.one_of(
    st.fixed_dictionaries(
        {
            "DateOffset": st.fixed_dictionaries(
                {"DateField": st.sampled_from(["StartDate", "EndDate"]), "Offset": st.integers(-3, 30)}
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "CustomEra": st.fixed_dictionaries(
                {
                    "DrugCodesetId": codesets,
                    "GapDays": st.sampled_from([0, 1, 10]),
                    "Offset": st.sampled_from([0, 0, 1, 9]),
                    "DaysSupplyOverride": st.none() | st.sampled_from([0, 1, 10]),
                }
            )
        }
    ),
)


def _some(draw: st.DrawFn, item: Drawn, sizes: Sequence[int]) -> list[Any]:
    """Draw a list of one of the sizes; the first is the simplest."""
    size = draw(st.sampled_from(sizes))
    return [draw(item) for _ in range(size)]


@st.composite
def expressions(draw: st.DrawFn) -> Json:
    """Draw a cohort expression as JSON; every construct comes now and then."""
    window = st.sampled_from([0, 0, 0, 1, 20])
    expression: Json = {
        "ConceptSets": SETS,
        "PrimaryCriteria": {
            "CriteriaList": _some(draw, criteria(1), (1, 2, 2, 3)),
            "ObservationWindow": {"PriorDays": draw(window), "PostDays": draw(window)},
            "PrimaryCriteriaLimit": draw(limits),
        },
        "QualifiedLimit": draw(limits),
        "ExpressionLimit": draw(limits),
        "InclusionRules": [
            {"name": f"rule {number}", "expression": group}
            for number, group in enumerate(_some(draw, groups(1), (0, 0, 1, 1, 2, 3)))
        ],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": draw(st.sampled_from([0, 0, 1, 7, 30]))},
    }
    if draw(st.integers(0, 2)) == 0:
        expression["AdditionalCriteria"] = draw(groups(1))
    if draw(st.booleans()):
        expression["EndStrategy"] = draw(endings)
    if draw(st.integers(0, 3)) == 0:
        expression["CensoringCriteria"] = draw(st.lists(criteria(1), max_size=2))
    if draw(st.integers(0, 5)) == 0:
        expression["CensorWindow"] = draw(periods)
    return expression


def tables_read(expression: Json) -> set[str]:
    """Return the tables of records that an expression may look into."""
    text = json.dumps(expression)
    names = {name for name in KINDS if f'"{Criteria.model_fields[name].alias}"' in text}
    found = {"trial_subject" if name == "trial_participation" else name for name in names}
    found |= {"visit_occurrence"} if '"VisitType' in text or '"RestrictVisit"' in text else set()
    found |= {"drug_exposure"} if '"CustomEra"' in text else set()
    found |= {"image_occurrence", "measurement", "observation"} if "image_feature" in found else set()
    return found
