"""Draw small random sites and random questions about them, for tests that compare engines."""

from collections.abc import Mapping
from datetime import date, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from atoll_schemas.circe import CohortExpression
from atoll_schemas.query import Query
from atoll_schemas.tables import DOMAIN_OF_TABLE, DOMAINS, core_1

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]

FIRST_DAY = date(2020, 1, 1)
CONCEPTS = (1, 2, 3, 4)
CODES = ("A", "B", "C", None)
ANCESTORS = ((1, 2), (1, 3), (3, 4))
EVENT_TABLES = (
    "condition_occurrence", "drug_exposure", "procedure_occurrence", "device_exposure", "measurement",
    "observation", "visit_occurrence", "specimen", "condition_era", "drug_era",
)  # fmt: skip

days = st.integers(0, 60).map(lambda n: FIRST_DAY + timedelta(days=n))
concepts = st.sampled_from(CONCEPTS)


def sites(most_persons: int = 10) -> st.SearchStrategy[Tables]:
    """Draw the tables of a site; every table that the queries below ask of is present.

    The rows come from a seed, so that sites are full; a failure names the seed by printing the tables.
    """
    return st.builds(
        lambda seed, count: site(Random(seed), count),
        st.integers(0, 2**32),
        st.integers(0, most_persons),
    )


def site(chance: Random, count: int) -> Tables:
    """Make up the tables of a site with so many persons."""
    persons = [_person(chance, number) for number in range(1, count + 1)]
    tables: Tables = {name: [] for name in EVENT_TABLES}
    tables |= {"person": persons, "observation_period": [], "death": [], "trial_subject": []}
    tables["concept"] = [{"concept_id": c, "invalid_reason": "D" if c == 4 else None} for c in CONCEPTS]
    tables["concept_ancestor"] = [
        {
            "ancestor_concept_id": a,
            "descendant_concept_id": d,
            "min_levels_of_separation": 1,
            "max_levels_of_separation": 1,
        }
        for a, d in (*ANCESTORS, *((c, c) for c in CONCEPTS))
    ]
    for person in persons:
        _fill(chance, tables, person["person_id"])
    return tables


def _person(chance: Random, number: int) -> dict[str, Any]:
    return {
        "person_id": number,
        "gender_concept_id": chance.choice([8507, 8532, 8507, 8532, 0, 8521]),
        "year_of_birth": chance.choice([None, *range(1925, 2021)]),
        "race_concept_id": chance.choice([8527, 8516, 0, 7]),
        "ethnicity_concept_id": chance.choice([38003563, 38003564, 0]),
    }


def _day(chance: Random) -> date:
    return FIRST_DAY + timedelta(days=chance.randint(0, 60))


def _fill(chance: Random, tables: Tables, person_id: int) -> None:
    for _ in range(chance.choice([0, 1, 1, 1, 2])):
        first = FIRST_DAY + timedelta(days=chance.randint(-60, 50))
        _add(
            tables,
            "observation_period",
            person_id,
            observation_period_start_date=first,
            observation_period_end_date=first + timedelta(days=chance.randint(0, 130)),
            period_type_concept_id=1,
        )
    for table in chance.choices(EVENT_TABLES, k=chance.randint(0, 14)):
        _add(tables, table, person_id, **_event(chance, table))
    if chance.random() < 0.4:
        death = {"death_date": _day(chance), "cause_concept_id": chance.choice(CONCEPTS)}
        tables["death"].append({"person_id": person_id, **death})
    for _ in range(chance.choice([0, 1, 2])):
        _add(
            tables,
            "trial_subject",
            person_id,
            trial_code=chance.choice(["T1", "T2"]),
            arm_code=chance.choice([None, "X", "Y", "Z"]),
            start_date=_day(chance),
        )


def _add(tables: Tables, table: str, person_id: int, **values: Any) -> None:
    key = DOMAINS[DOMAIN_OF_TABLE[table]].key
    tables[table].append({key: 1 + len(tables[table]), "person_id": person_id, **values})


def _event(chance: Random, table: str) -> dict[str, Any]:
    domain, spec = DOMAINS[DOMAIN_OF_TABLE[table]], core_1().table(table)
    start = _day(chance)
    values: dict[str, Any] = {domain.start_date: start, domain.concept or "": chance.choice(CONCEPTS)}
    if domain.source_value is not None:
        values[domain.source_value] = chance.choice(CODES)
    if domain.end_date is not None:
        ends = chance.random() < 0.7 or table.endswith("_era")
        values[domain.end_date] = start + timedelta(days=chance.randint(0, 20)) if ends else None
    if table == "drug_exposure":
        values["days_supply"] = chance.choice([None, 0, 5, 15])
        values["drug_source_concept_id"] = chance.choice([None, *CONCEPTS])
    if spec.has("visit_occurrence_id") and table != "visit_occurrence":
        values["visit_occurrence_id"] = chance.choice([None, 1, 2, 3])
    if domain.value_number is not None:
        amounts = [None, 0.0, 1.5, -2.0, 0.1, 1e9, 7.0, chance.uniform(-100, 100)]
        values[domain.value_number] = chance.choice(amounts)
        values["value_as_concept_id"] = chance.choice([None, 0, 11, 12])
        values["value_source_value"] = chance.choice([None, "pos", "neg", "11"])
    return values


NAMES = {
    "condition_occurrence": "ConditionOccurrence",
    "drug_exposure": "DrugExposure",
    "procedure_occurrence": "ProcedureOccurrence",
    "device_exposure": "DeviceExposure",
    "measurement": "Measurement",
    "observation": "Observation",
    "visit_occurrence": "VisitOccurrence",
    "specimen": "Specimen",
    "condition_era": "ConditionEra",
    "drug_era": "DrugEra",
    "death": "Death",
    "observation_period": "ObservationPeriod",
}
"""The criteria of Circe by their table."""

operators = st.sampled_from(["lt", "lte", "eq", "!eq", "gt", "gte"])


def _concept_list(*ids: int) -> st.SearchStrategy[list[dict[str, int]]]:
    chosen = st.lists(st.sampled_from(ids), min_size=1, max_size=2)
    return chosen.map(lambda found: [{"CONCEPT_ID": concept} for concept in found])


def numeric_ranges(low: int, high: int) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a comparison with a number."""
    single = st.fixed_dictionaries({"Value": st.integers(low, high), "Op": operators})
    double = st.fixed_dictionaries(
        {
            "Value": st.integers(low, high),
            "Extent": st.integers(low, high),
            "Op": st.sampled_from(["bt", "!bt"]),
        }
    )
    return single | double


date_ranges = st.fixed_dictionaries(
    {"Value": days.map(date.isoformat), "Op": operators}
) | st.fixed_dictionaries(
    {
        "Value": days.map(date.isoformat),
        "Extent": days.map(date.isoformat),
        "Op": st.sampled_from(["bt", "!bt"]),
    }
)
genders = _concept_list(8507, 8532)
ages = numeric_ranges(0, 95)


@st.composite
def criteria(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the criteria of one domain, mostly with few attributes."""
    table = draw(st.sampled_from(list(NAMES)))
    optional: dict[str, st.SearchStrategy[Any]] = {}
    if table == "observation_period":
        optional = {"First": st.booleans(), "PeriodStartDate": date_ranges}
    else:
        optional["CodesetId"] = st.integers(0, 2)
        optional["Gender"] = genders
    if table in {"condition_era", "drug_era"}:
        optional |= {"First": st.booleans(), "EraStartDate": date_ranges, "EraEndDate": date_ranges}
    elif table == "death":
        optional |= {"OccurrenceStartDate": date_ranges, "Age": ages}
    elif table != "observation_period":
        optional |= {
            "First": st.booleans(),
            "OccurrenceStartDate": date_ranges,
            "OccurrenceEndDate": date_ranges,
            "Age": ages,
        }
    if table in {"measurement", "observation"}:
        optional |= {"ValueAsNumber": numeric_ranges(-2, 7), "ValueAsConcept": _concept_list(11, 12)}
    few = draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
    chosen = draw(st.lists(st.sampled_from(sorted(optional)), min_size=few, max_size=few, unique=True))
    return {NAMES[table]: {name: draw(optional[name]) for name in chosen}}


endpoints = st.fixed_dictionaries({"Days": st.none() | st.integers(0, 30), "Coeff": st.sampled_from([-1, 1])})
windows = st.fixed_dictionaries(
    {"Start": endpoints, "End": endpoints},
    optional={"UseIndexEnd": st.booleans(), "UseEventEnd": st.booleans()},
)
correlated = st.fixed_dictionaries(
    {
        "Criteria": criteria(),
        "Occurrence": st.fixed_dictionaries(
            {"Type": st.integers(0, 2), "Count": st.integers(0, 2)}, optional={"IsDistinct": st.booleans()}
        ),
    },
    optional={
        "StartWindow": windows,
        "EndWindow": windows,
        "RestrictVisit": st.booleans(),
        "IgnoreObservationPeriod": st.booleans(),
    },
)
demographics = st.fixed_dictionaries(
    {},
    optional={
        "Age": ages,
        "Gender": genders,
        "Race": _concept_list(8527, 8516),
        "Ethnicity": _concept_list(38003563),
        "OccurrenceStartDate": date_ranges,
        "OccurrenceEndDate": date_ranges,
    },
)
_plain_groups = st.fixed_dictionaries(
    {"Type": st.sampled_from(["ALL", "ANY", "AT_LEAST", "AT_MOST"]), "Count": st.integers(0, 2)},
    optional={
        "CriteriaList": st.lists(correlated, max_size=2),
        "DemographicCriteriaList": st.lists(demographics, max_size=1),
    },
)
groups = _plain_groups | st.builds(
    lambda group, inner: {**group, "Groups": inner}, _plain_groups, st.lists(_plain_groups, max_size=2)
)
limits = st.fixed_dictionaries({"Type": st.sampled_from(["All", "First", "Last"])})
end_strategies = st.fixed_dictionaries(
    {
        "DateOffset": st.fixed_dictionaries(
            {"DateField": st.sampled_from(["StartDate", "EndDate"]), "Offset": st.integers(-5, 40)}
        )
    }
) | st.fixed_dictionaries(
    {
        "CustomEra": st.fixed_dictionaries(
            {
                "DrugCodesetId": st.integers(0, 2),
                "GapDays": st.integers(0, 10),
                "Offset": st.integers(0, 5),
                "DaysSupplyOverride": st.none() | st.integers(0, 10),
            }
        )
    }
)
CONCEPT_SETS = [
    {"id": 0, "name": "one", "expression": {"items": [{"concept": {"CONCEPT_ID": 1}}]}},
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
        "name": "codes",
        "expression": {"items": [{"concept": {"CONCEPT_ID": 3}}]},
        "SourceCodes": [{"vocabulary": "local", "code": "A"}],
    },
]


@st.composite
def cohorts(draw: st.DrawFn) -> CohortExpression:
    """Draw a cohort expression with every construct of the slice now and then."""
    expression: dict[str, Any] = {
        "ConceptSets": CONCEPT_SETS,
        "PrimaryCriteria": {
            "CriteriaList": draw(st.lists(criteria(), min_size=1, max_size=3)),
            "ObservationWindow": draw(
                st.just({})
                | st.fixed_dictionaries({"PriorDays": st.integers(0, 20), "PostDays": st.integers(0, 20)})
            ),
            "PrimaryCriteriaLimit": draw(limits),
        },
        "QualifiedLimit": draw(limits),
        "ExpressionLimit": draw(limits),
        "InclusionRules": [
            {"name": f"rule {letter}", "expression": group}
            for letter, group in zip("abc", draw(st.lists(groups, max_size=3)), strict=False)
        ],
        "CollapseSettings": {"EraPad": draw(st.sampled_from([0, 0, 7, 30]))},
    }
    if draw(st.booleans()):
        expression["AdditionalCriteria"] = draw(groups)
    if draw(st.booleans()):
        expression["EndStrategy"] = draw(end_strategies)
    if draw(st.integers(0, 3)) == 0:
        expression["CensoringCriteria"] = draw(st.lists(criteria(), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        expression["CensorWindow"] = draw(
            st.fixed_dictionaries(
                {},
                optional={"StartDate": days.map(date.isoformat), "EndDate": days.map(date.isoformat)},
            )
        )
    return CohortExpression.from_json(expression)


code_lists = st.fixed_dictionaries(
    {"concept_ids": st.lists(concepts, min_size=1, max_size=2)},
    optional={
        "descendants": st.booleans(),
        "source_codes": st.lists(st.sampled_from("ABC"), max_size=2).map(
            lambda found: [{"vocabulary": "local", "code": code} for code in found]
        ),
    },
)
variable_windows = st.fixed_dictionaries(
    {}, optional={"start": st.none() | st.integers(-40, 10), "end": st.none() | st.integers(-10, 40)}
)
takes = st.sampled_from(["first", "latest"])
value_domains = st.sampled_from(["measurement", "observation"])
event_domains = st.sampled_from(
    ["condition", "drug", "procedure", "device", "measurement", "observation", "visit", "specimen"]
)
value_levels = st.sampled_from(
    [
        [{"label": "positive", "values": ["pos", "11"]}],
        [{"label": "positive", "values": ["11"]}, {"label": "negative", "values": ["neg", "12"]}],
        [{"label": "no concept", "values": ["0"]}],
    ]
)
number_definitions = st.fixed_dictionaries(
    {"kind": st.just("demographic"), "field": st.sampled_from(["age", "birth_year", "index_year"])}
) | st.fixed_dictionaries(
    {
        "kind": st.just("number"),
        "domain": value_domains,
        "codes": code_lists,
        "window": variable_windows,
        "take": takes,
    }
)
category_definitions = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("demographic"), "field": st.sampled_from(["sex", "race", "ethnicity"])}
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("category"),
            "domain": value_domains,
            "codes": code_lists,
            "levels": value_levels,
            "window": variable_windows,
            "take": takes,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("presence"),
            "domain": event_domains,
            "codes": code_lists,
            "window": variable_windows,
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("trial_arm"),
            "trial": st.sampled_from(["T1", "T2"]),
            "levels": st.just([{"label": "control", "values": ["X"]}, {"label": "treated", "values": ["Y"]}]),
        }
    ),
)
edges = st.sampled_from([[0, 7], [0, 50, 65.5], [-1.5, 0, 2020], [1980, 2000, 2020.25]])


def categories(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a variable that yields levels."""
    plain = st.fixed_dictionaries({"name": st.just(name), "definition": category_definitions})
    binned = st.fixed_dictionaries({"name": st.just(name), "definition": number_definitions, "edges": edges})
    return plain | binned


def numbers(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a variable that yields a number."""
    return st.fixed_dictionaries(
        {"name": st.just(name), "definition": number_definitions}, optional={"edges": edges}
    )


outcomes = st.one_of(
    st.just({"kind": "death"}),
    st.fixed_dictionaries({"kind": st.just("event"), "domain": event_domains, "codes": code_lists}),
)
outcome_definitions = outcomes | st.builds(
    lambda one, two: {"kind": "any_of", "outcomes": [one, two]}, outcomes, outcomes
)


def _named(count: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.tuples(*(categories(f"c{number}") for number in range(count))).map(list)


analyses: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "count": st.fixed_dictionaries(
        {"method": st.just("count"), "by": _named(0) | _named(1) | _named(2)},
        optional={"attrition": st.just("best_event")},
    ),
    "crosstab": st.fixed_dictionaries({"method": st.just("crosstab"), "variables": _named(2) | _named(3)}),
    "table1": st.fixed_dictionaries(
        {
            "method": st.just("table1"),
            "variables": st.tuples(numbers("n0"), categories("c1"), numbers("n2")).map(list),
        },
        optional={"by": categories("g")},
    ),
    "kaplan_meier": st.fixed_dictionaries(
        {
            "method": st.just("kaplan_meier"),
            "outcome": st.fixed_dictionaries({"name": st.just("outcome"), "definition": outcome_definitions}),
        },
        optional={"by": categories("g"), "max_days": st.integers(1, 60)},
    ),
}
"""An analysis of each method."""


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Draw a question of any method."""
    cohort = draw(cohorts())
    analysis = draw(analyses[draw(st.sampled_from(sorted(analyses)))])
    return Query.from_wire(
        {"project": "P-1", "dataset": "test", "cohort": cohort.wire(), "analysis": analysis}
    )
