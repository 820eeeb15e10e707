"""Every bound of every field: the last value inside is taken, the first outside is refused by its place.

The bounds stand here as they were decided. A bound that is added, moved or dropped fails this page.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from atoll_schemas.circe.parts import Part
from atoll_schemas.contract import Contract
from tests.support.examples import EXAMPLES, SEX

KINDS = {kind.__name__: kind for kind in EXAMPLES if kind.__name__ not in ("Death", "Event", "Window")} | {
    f"{kind.__module__.rsplit('.', 1)[-1]}.{kind.__name__}": kind for kind in EXAMPLES
}
MOST = 2**53 - 1

NUMBERS: dict[tuple[float | None, float | None], str] = {
    (0, None): (
        "AuditHead.sequence Counted.value Counted.half_width Pooled.value Pooled.half_width Pooled.withheld "
        "SitePermit.revision Moments.m2 CurveStep.day CurveStep.std_err ClearedResult.engine_milliseconds "
        "Quantile.half_width StratifiedLogRank.chi_square"
    ),
    (1, None): (
        "AuditEntry.sequence CatalogEntry.gate_minimum_persons Pooled.sites Lease.fence "
        "Tighten.minimum_persons Tighten.round_to Moments.n StratifiedLogRank.degrees_of_freedom"
    ),
    (0, 1): "CurveStep.survival StratifiedLogRank.p",
    (0, 60): "Poll.wait_seconds",
    (1, 300): "TokenReply.expires_in",
    (1, 366): "NewPerson.token_days",
    (1, 720): "NewInvitation.valid_hours",
    (1, 36_525): "KaplanMeier.max_days",
    (1, 86_400): "Submission.deadline_seconds",
    (1, 2**31 - 1): "Answer.fence",
    (1, MOST): "Permit.revision",
    (-36_525, 36_525): "query.Window.start query.Window.end",
}
LENGTHS: dict[tuple[int, int], str] = {
    (1, 120): (
        "ConceptEntry.vocabulary ConceptEntry.code ConceptEntry.name CatalogEntry.title "
        "CatalogEntry.vocabulary_version SiteView.title SourceCode.vocabulary SourceCode.code "
        "NewInvitation.title DatasetView.title ProjectApplication.title ProjectView.title "
        "PermitRequest.title PermitRequest.people[] Permit.decided_by Level.label Level.values[] "
        "TrialArm.trial Variable.label Variable.unit Outcome.label Dimension.levels[] TableCell.levels[] "
        "AttritionStep.name NumberGroup.group NumberSummary.unit Curve.group LogRank.groups[] Gate.rules[] "
        "MergedTableCell.levels[] MergedStep.name MergedNumberGroup.group MergedNumber.unit "
        "StratifiedLogRank.groups[]"
    ),
    (1, 4_000): "ProjectApplication.purpose PermitRequest.purpose",
    (8, 80): "ProjectApplication.idempotency_key Submission.idempotency_key",
}
LISTS: dict[tuple[int, int | None], str] = {
    (1, None): ("ProjectApplication.methods Scope.datasets Scope.methods Level.values"),
    (2, None): "AnyOf.outcomes",
    (0, 2): "Count.by",
    (2, 3): "Crosstab.variables",
    (1, 50): "TrialArm.levels",
    (1, 100): "ProjectApplication.datasets Table1.variables",
    (0, 101): "Variable.edges",
    (1, 200): "CategoryValue.levels",
    (0, 200): "ProjectApplication.people",
    (0, 1_000): "ProjectApplication.sites",
    (0, 10_000): "Codes.concept_ids Codes.source_codes Poll.running",
}
PATTERNS: dict[str, tuple[list[str], list[str], str]] = {
    "name": (
        ["a", "a1", "a_1", "stage_iii", "a" * 63],
        ["", "A", "1a", "_a", "a-b", "a b", "a.b", "ä", "a" * 64, "a\n", "\na", "a\x00", "a'", 'a"', "a;--"],
        "FieldEntry.name TableEntry.name YearEntry.table ConceptEntry.table DeidentificationEntry.rule "
        "QualityEntry.check CatalogEntry.dataset CatalogEntry.shared_tables[] SiteView.datasets[] "
        "DatasetView.dataset "
        "DatasetVariables.dataset ProjectApplication.datasets[] Scope.datasets[] QuerySummary.dataset "
        "Variable.name Outcome.name Query.dataset Dimension.name NumberSummary.variable "
        "CategorySummary.variable SiteKaplanMeier.outcome MergedNumber.variable MergedCategory.variable "
        "MergedKaplanMeier.outcome Result.dataset",
    ),
    "site": (
        ["n", "north", "north-2", "n-", "n" * 31],
        [
            "",
            "North",
            "2north",
            "-north",
            "north_2",
            "north.example",
            "n" * 32,
            "north\n",
            "../north",
            "nörd",
        ],
        "CatalogEntry.site CatalogPush.site SiteView.site Invitation.site DatasetAtSite.site "
        "VariableAtSites.sites[] OutcomeAtSites.sites[] ProjectApplication.sites[] SitePermit.site "
        "Permit.site Enrolled.site Task.site QueryEvent.site Submission.sites[] ClearedResult.site "
        "SiteCurves.site StratifiedLogRank.sites[] SiteOutcome.site",
    ),
    "project": (
        ["P-001", "A-0", "COLON3-123456789", "A" * 16 + "-1"],
        [
            "",
            "P001",
            "p-001",
            "P-",
            "-1",
            "P-1234567890",
            "A" * 17 + "-1",
            "1-1",
            "P-1\n",
            "P-١",
            "P--1",
            "P 1",
        ],
        "Me.projects[] ProjectView.id PermitRequest.project Permit.project Task.project QuerySummary.project "
        "Query.project Result.project",
    ),
    "release": (
        ["colon-0001", "a-0000", "a_1-123456789", "a" * 63 + "-0001"],
        [
            "",
            "colon",
            "colon-1",
            "Colon-0001",
            "colon-0001\n",
            "../colon-0001",
            "colon-0001.json",
            "-0001",
            "a" * 64 + "-0001",
            "colon-1234567890",
            "colon-٠٠٠١",
        ],
        "Query.release Refusal.successor",
    ),
    "person": (
        ["a", "Ada", "ada@north.example", "ada.l-1_x", "0", "a" * 80],
        ["", "@ada", ".ada", "-ada", "ada l", "ada\n", "ada/..", "a" * 81, "ädä", "ada\u202e", "<ada>"],
        "Me.name NewPerson.name Person.name PersonToken.name ProjectApplication.people[] "
        "ProjectView.people[] ProjectView.applied_by",
    ),
    "model": (
        ["core@1", "a@0", "core@10"],
        ["", "core", "core@", "@1", "Core@1", "core@1.0", "core@1\n", "core1@1", "core@-1"],
        "DataModel.name",
    ),
}
BETWEEN = "Quantile.probability"
"""0 and 1 themselves are outside."""


def spelled(table: dict[Any, str]) -> Iterator[tuple[Any, str]]:
    for bounds, fields in table.items():
        for field in fields.split():
            yield bounds, field


def put(field: str, value: Any) -> tuple[type[Contract], dict[str, Any], tuple[Any, ...]]:
    """Return the type, its example with ``value`` in the field (``[]``: as the only item), and the place."""
    kind_name, _, name = field.removesuffix("[]").rpartition(".")
    kind = KINDS[kind_name]
    item = field.endswith("[]")
    changed = {**copy.deepcopy(EXAMPLES[kind]), name: [value] if item else value}
    return kind, changed, (name, 0) if item else (name,)


def takes(field: str, value: Any) -> bool:
    kind, changed, _ = put(field, value)
    return kind.from_wire(changed) is not None


def refusal(field: str, value: Any) -> str:
    """Return the type of the error at the field's own place."""
    kind, changed, place = put(field, value)
    with pytest.raises(ValidationError) as caught:
        kind.from_wire(changed)
    told = [error["type"] for error in caught.value.errors() if error["loc"] == place]
    assert told, caught.value.errors()
    return told[0]


@pytest.mark.parametrize(
    "bounds, field", list(spelled(NUMBERS)), ids=lambda it: it if type(it) is str else ""
)
def test_a_number_ends_at_its_bounds(bounds: tuple[float | None, float | None], field: str):
    low, high = bounds
    if low is not None:
        assert takes(field, low)
        assert refusal(field, low - 1) == "greater_than_equal"
    if high is not None:
        assert takes(field, high)
        assert refusal(field, high + 1) == "less_than_equal"


@pytest.mark.parametrize("field", ["CurveStep.survival", "StratifiedLogRank.p", "Poll.wait_seconds"])
def test_a_fraction_ends_at_its_bounds_too(field: str):
    assert refusal(field, -1e-9) == "greater_than_equal"
    assert takes(field, 0.5)


@pytest.mark.parametrize("edge, error", [(0, "greater_than"), (1, "less_than"), (-0.0, "greater_than")])
def test_a_quantile_lies_strictly_between(edge: float, error: str):
    assert refusal(BETWEEN, edge) == error
    assert takes(BETWEEN, 1e-9)
    assert takes(BETWEEN, 1 - 1e-9)


WHOLE = [
    field
    for bounds, field in spelled(NUMBERS)
    if field
    not in {
        "Moments.m2", "CurveStep.std_err", "CurveStep.survival", "Quantile.half_width", "Poll.wait_seconds",
        "StratifiedLogRank.chi_square", "StratifiedLogRank.p",
    }
]  # fmt: skip


@pytest.mark.parametrize("field", WHOLE)
def test_a_whole_number_is_no_fraction_no_word_and_no_list(field: str):
    for odd in (1.5, "one", "", [], {}):
        assert refusal(field, odd)


@pytest.mark.parametrize(
    "bounds, field", list(spelled(LENGTHS)), ids=lambda it: it if type(it) is str else ""
)
def test_a_text_is_neither_too_short_nor_too_long(bounds: tuple[int, int], field: str):
    low, high = bounds
    assert takes(field, "ä" * low)
    assert takes(field, "ä" * high)
    assert refusal(field, "ä" * (high + 1)) == "string_too_long"
    if low:
        assert refusal(field, "ä" * (low - 1)) == "string_too_short"


def items(field: str, count: int) -> list[Any]:
    """Return ``count`` items that a list of this field may hold."""
    kind_name, _, name = field.rpartition(".")
    if field == "Variable.edges":
        return [float(number) for number in range(count)]
    if field == "Count.by":
        return [SEX] * count
    found = EXAMPLES[KINDS[kind_name]][name]
    return [found[0]] * count


@pytest.mark.parametrize("bounds, field", list(spelled(LISTS)), ids=lambda it: it if type(it) is str else "")
def test_a_list_is_neither_too_short_nor_too_long(bounds: tuple[int, int | None], field: str):
    low, high = bounds
    assert takes(field, items(field, low))
    if low:
        assert refusal(field, items(field, low - 1)) == "too_short"
    if high is not None:
        assert takes(field, items(field, high))
        assert refusal(field, items(field, high + 1)) == "too_long"


PATTERNED = [(field, good, bad) for good, bad, fields in PATTERNS.values() for field in fields.split()]


@pytest.mark.parametrize("field, good, bad", PATTERNED, ids=[field for field, _, _ in PATTERNED])
def test_a_name_has_its_form(field: str, good: list[str], bad: list[str]):
    assert all(takes(field, name) for name in good)
    assert {refusal(field, name) for name in bad} == {"string_pattern_mismatch"}


LIMITS = (
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
)


def stated(schema: dict[str, Any]) -> set[str]:
    """Return which bounds a field's own schema states."""
    if "$ref" in schema:
        return set()
    own = {
        key
        for key in (
            *(key for pair in LIMITS for key in pair), "pattern", "exclusiveMinimum", "exclusiveMaximum",
        )
        if key in schema
    }  # fmt: skip
    return own.union(*(stated(choice) for choice in schema.get("anyOf", ())))


def bounded_fields() -> set[str]:
    found = set()
    for kind in EXAMPLES:
        if issubclass(kind, Part):
            continue
        schema = kind.model_json_schema()
        own = schema.get("properties") or schema.get("$defs", {}).get(kind.__name__, {}).get("properties", {})
        clash = sum(other.__name__ == kind.__name__ for other in EXAMPLES) > 1
        name = f"{kind.__module__.rsplit('.', 1)[-1]}.{kind.__name__}" if clash else kind.__name__
        for field, what in own.items():
            if stated(what):
                found.add(f"{name}.{field}")
            for choice in (what, *what.get("anyOf", ())):
                if "items" in choice and stated(choice["items"]):
                    found.add(f"{name}.{field}[]")
    return found


def test_every_bounded_field_stands_on_this_page():
    here = {field for table in (NUMBERS, LENGTHS, LISTS) for _, field in spelled(table)}
    here |= {field for field, _, _ in PATTERNED} | {BETWEEN}
    assert here == bounded_fields()


RULES = [
    ("Codes", {"concept_ids": [], "source_codes": []}, "at least one concept id or source code"),
    ("Variable", {"edges": [1.0]}, "at least two and strictly ascending"),
    ("Variable", {"edges": [1.0, 1.0]}, "at least two and strictly ascending"),
    ("Variable", {"edges": [2.0, 1.0]}, "at least two and strictly ascending"),
]


@pytest.mark.parametrize("kind_name, change, words", RULES, ids=[f"{name} {say}" for name, _, say in RULES])
def test_a_rule_over_fields_refuses_in_words(kind_name: str, change: dict[str, Any], words: str):
    kind = KINDS[kind_name]
    with pytest.raises(ValidationError, match=words):
        kind.from_wire({**EXAMPLES[kind], **change})


CHOICES = {
    "Demographic.field": "sex race ethnicity age birth_year index_year",
    "NumberValue.domain": "measurement observation",
    "Presence.domain": "condition drug procedure device measurement observation visit specimen",
    "NumberValue.take": "first latest",
    "Permit.state": "requested active suspended rejected",
    "SiteOutcome.state": "waiting running answered refused failed late no_permit cancelled",
    "Result.state": "running complete partial failed cancelled",
    "Result.method": "count table1 crosstab kaplan_meier",
    "QueryEvent.kind": (
        "submitted queued claimed stage answered refused failed late cancelled finished"
    ),
    "QueryEvent.stage": "verifying planning running clearing",
    "Progress.stage": "verifying planning running clearing",
    "SiteView.state": "invited online offline incompatible",
    "QualityEntry.severity": "info warning blocker",
    "Person.role": "researcher partner steward operator",
    "Withheld.reason": "protected dominance too_few_events edge not_available",
    "ResultLimit.Type": "All First Last",
    "CriteriaGroup.Type": "ALL ANY AT_LEAST AT_MOST",
    "NumericRange.Op": "lt lte eq !eq gt gte bt !bt",
    "DateOffset.DateField": "StartDate EndDate",
    "TokenReply.token_type": "Bearer",
    "Query.data_model": "core@1",
}  # fmt: skip


@pytest.mark.parametrize("field", CHOICES)
def test_a_choice_is_of_its_closed_list(field: str):
    kind_name, _, _ = field.rpartition(".")
    extra = {"Count": 1} if kind_name == "Group" else {}
    for word in CHOICES[field].split():
        kind, changed, _ = put(field, word)
        assert kind.from_wire({**changed, **extra})
    for odd in ("", "unknown", f"{CHOICES[field].split()[0]} ", 7):
        assert refusal(field, odd)


@pytest.mark.parametrize(
    "text", ["2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "yesterday", "", "2026-03-04T25:00:00Z", {}, []]
)
@pytest.mark.parametrize(
    "field", ["Scope.valid_from", "Result.submitted_at", "QueryEvent.at", "Task.issued_at"]
)
def test_a_time_that_is_none_is_refused(field: str, text: Any):
    assert refusal(field, text).startswith("datetime_")


@pytest.mark.parametrize("text", ["2026-13-01", "2026-02-30", "04.03.2026", "soon", "2026-03-04T12:00:00Z"])
@pytest.mark.parametrize("field", ["CatalogPush.last_ingest"])
def test_a_day_that_is_none_is_refused(field: str, text: str):
    assert refusal(field, text).startswith("date_")
