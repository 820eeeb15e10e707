"""Hold a researcher's question: a cohort, variables at the index date, and a method. Typed, never SQL.

Every label that an answer can carry stands in the query or in the data model, so that no text of a
patient's record becomes a label: values outside a variable's declared levels are counted as ``other``.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe import SourceCode as SourceCode
from atoll_schemas.contract import Contract

MISSING = "missing"
"""The level of persons for whom a variable has no value."""
OTHER = "other"
"""The level of persons whose value is outside the declared levels."""
TOTAL = "*"
"""Stands in a table for the sum over a dimension."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
ReleaseName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}-[0-9]{4,9}$")]
ProjectId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{0,15}-[0-9]{1,9}$")]
SiteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Label = Annotated[str, Field(min_length=1, max_length=120)]
Domain = Literal[
    "condition", "drug", "procedure", "device", "measurement", "observation", "visit", "specimen"
]
ValueDomain = Literal["measurement", "observation"]


class Codes(Contract):
    """What to look for: OMOP concepts (with their descendants where asked) or source codes."""

    concept_ids: tuple[int, ...] = Field(default=(), max_length=10_000)
    descendants: bool = False
    source_codes: tuple[SourceCode, ...] = Field(default=(), max_length=10_000)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.concept_ids and not self.source_codes:
            raise ValueError("name at least one concept id or source code")
        return self


class Window(Contract):
    """Days relative to the index date, both ends included; an absent end is unbounded."""

    start: int | None = Field(default=None, ge=-36_525, le=36_525)
    end: int | None = Field(default=0, ge=-36_525, le=36_525)

    @model_serializer(mode="wrap")
    def _write_an_open_end(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An end that is left out means day 0, so an open end is written as null."""
        written: dict[str, Any] = write(self)
        return {**written, "end": self.end}


class Level(Contract):
    """One category: its label and the values that count as it.

    Values are compared with ``value_as_concept_id`` (decimal digits) and with the source value, as text.
    """

    label: Label
    values: tuple[Label, ...] = Field(min_length=1)


class Demographic(Contract):
    """A fact of the person. ``age`` is whole years at the index date; those over 89 are 90 by rule."""

    kind: Literal["demographic"] = "demographic"
    field: Literal["sex", "race", "ethnicity", "age", "birth_year", "index_year"]


class NumberValue(Contract):
    """``value_as_number`` of the first or latest record in the window."""

    kind: Literal["number"] = "number"
    domain: ValueDomain
    codes: Codes
    window: Window = Window()
    take: Literal["first", "latest"] = "latest"


class CategoryValue(Contract):
    """The coded value of the first or latest record in the window, as one of ``levels``."""

    kind: Literal["category"] = "category"
    domain: ValueDomain
    codes: Codes
    levels: tuple[Level, ...] = Field(min_length=1, max_length=200)
    window: Window = Window()
    take: Literal["first", "latest"] = "latest"


class Presence(Contract):
    """``yes`` when a record of the codes starts in the window, else ``no``."""

    kind: Literal["presence"] = "presence"
    domain: Domain
    codes: Codes
    window: Window = Window()


class TrialArm(Contract):
    """The arm in which the person takes part in a trial (``trial_subject.arm_code``)."""

    kind: Literal["trial_arm"] = "trial_arm"
    trial: Label
    levels: tuple[Level, ...] = Field(min_length=1, max_length=50)


VariableDefinition = Annotated[
    Demographic | NumberValue | CategoryValue | Presence | TrialArm, Field(discriminator="kind")
]
NUMERIC_FIELDS = frozenset({"age", "birth_year", "index_year"})


class Variable(Contract):
    """A named variable at the index date. ``edges`` bin a number: ascending, at most 100 bins."""

    name: Name
    definition: VariableDefinition
    label: Label | None = None
    unit: Label | None = None
    edges: tuple[float, ...] = Field(default=(), max_length=101)

    @property
    def numeric(self) -> bool:
        """Whether the variable yields a number rather than a level."""
        definition = self.definition
        if isinstance(definition, Demographic):
            return definition.field in NUMERIC_FIELDS
        return isinstance(definition, NumberValue)

    @model_validator(mode="after")
    def _edges_ascend(self) -> Self:
        if self.edges and (
            len(self.edges) < 2 or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False))
        ):
            raise ValueError("bin edges must be at least two and strictly ascending")
        return self


class Death(Contract):
    """Death from any cause (``death.death_date``)."""

    kind: Literal["death"] = "death"


class Event(Contract):
    """The first record of the codes that starts after the index date."""

    kind: Literal["event"] = "event"
    domain: Domain
    codes: Codes


class AnyOf(Contract):
    """The earliest of several outcomes, such as recurrence or death."""

    kind: Literal["any_of"] = "any_of"
    outcomes: tuple[Annotated[Death | Event, Field(discriminator="kind")], ...] = Field(min_length=2)


OutcomeDefinition = Annotated[Death | Event | AnyOf, Field(discriminator="kind")]


class Outcome(Contract):
    """A named outcome."""

    name: Name
    definition: OutcomeDefinition
    label: Label | None = None


class Count(Contract):
    """Persons with attrition per inclusion rule, and by up to two categorical variables."""

    method: Literal["count"] = "count"
    attrition: Literal["best_event"] | None = None
    """Without it a person stays as long as some event passes the rules so far. ``best_event`` follows the one
    event of each person that passes the most rules, then the earliest rule, then is the earliest: OHDSI's
    person view (mode 1)."""
    by: tuple[Variable, ...] = Field(default=(), max_length=2)


class Table1(Contract):
    """Baseline characteristics: persons per level, mean and SD, quantiles from declared bins."""

    method: Literal["table1"] = "table1"
    variables: tuple[Variable, ...] = Field(min_length=1, max_length=100)
    by: Variable | None = None


class Crosstab(Contract):
    """Persons by two or three categorical (or binned) variables, with totals."""

    method: Literal["crosstab"] = "crosstab"
    variables: tuple[Variable, ...] = Field(min_length=2, max_length=3)


class KaplanMeier(Contract):
    """Time from index to outcome by group; censored at the end of observation or ``max_days``."""

    method: Literal["kaplan_meier"] = "kaplan_meier"
    outcome: Outcome
    by: Variable | None = None
    max_days: int | None = Field(default=None, ge=1, le=36_525)


Analysis = Annotated[Count | Table1 | Crosstab | KaplanMeier, Field(discriminator="method")]
Method = Literal["count", "table1", "crosstab", "kaplan_meier"]
METHODS: tuple[Method, ...] = ("count", "table1", "crosstab", "kaplan_meier")


class Tighten(Contract):
    """Stricter disclosure settings that a researcher or the hub asks for; looser ones are refused."""

    minimum_persons: int | None = Field(default=None, ge=1)
    round_to: int | None = Field(default=None, ge=1)


class Query(Contract):
    """One question to one dataset under one project; its digest names it everywhere."""

    data_model: Literal["core@1"] = "core@1"
    project: ProjectId
    dataset: Name
    cohort: CohortExpression
    analysis: Analysis
    tighten: Tighten | None = None
    release: ReleaseName | None = None
    """One release of the dataset; absent means each site's newest."""


class Submission(Contract):
    """What a researcher sends to the hub: the query, and where and how long to ask."""

    query: Query
    sites: tuple[SiteName, ...] | None = None
    """Sites to ask; absent means every site that offers the dataset."""
    deadline_seconds: int = Field(default=300, ge=1, le=86_400)
    idempotency_key: Annotated[str, Field(min_length=8, max_length=80)] | None = None
