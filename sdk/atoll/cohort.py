"""Define who a question is about, as OHDSI's Circe states it: read from ATLAS, or written step by step."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, Unpack

from atoll.callers import invalid
from atoll.concept_sets import ConceptSet, read_set
from atoll.errors import Invalid
from atoll.events import Condition, Event, Group, Side, all_of, endpoint
from atoll_schemas.circe import CohortError, CohortExpression, SourceCode, UnsupportedCohort
from atoll_schemas.circe.reading import json_value

_DOMAINS = {
    "condition": "ConditionOccurrence",
    "drug": "DrugExposure",
    "procedure": "ProcedureOccurrence",
    "device": "DeviceExposure",
    "measurement": "Measurement",
    "observation": "Observation",
    "visit": "VisitOccurrence",
    "specimen": "Specimen",
}
Kept = Literal["all", "first", "last"]
_SEXES = {"male": 8507, "m": 8507, "female": 8532, "f": 8532}
_FIRST = {"Type": "First"}
CodeLike = int | SourceCode
Wanted = CodeLike | Iterable[CodeLike]


class Wants(TypedDict, total=False):
    """The domain in which a record is looked for, with its concept ids or source codes. Name exactly one."""

    condition: Wanted
    drug: Wanted
    procedure: Wanted
    device: Wanted
    measurement: Wanted
    observation: Wanted
    visit: Wanted
    specimen: Wanted


def code(vocabulary: str, value: str) -> SourceCode:
    """Return a code as the hospitals' systems write it, such as ``code("ICD10", "C18.9")``."""
    return SourceCode(vocabulary=vocabulary, code=value)


@dataclass
class Sets:
    """The concept sets of a cohort that is being written; one that is there already keeps its number."""

    written: list[Any]

    def number(self, concepts: ConceptSet) -> int:
        """Return the number of a concept set, which is added when it is new."""
        for item in self.written:
            if read_set(item) == concepts:
                return int(item["id"])
        self.written.append(concepts.circe(_next_id(self.written)))
        return int(self.written[-1]["id"])


@dataclass(frozen=True)
class Cohort:
    """Persons with start and end dates, as a rule that each site applies itself."""

    expression: CohortExpression

    @classmethod
    def from_circe(cls, source: str | Path | Mapping[str, Any]) -> Self:
        """Read a cohort from a file, a JSON text or a mapping. Raises ``Invalid`` with the JSON path.

        What OHDSI's WebAPI wraps around an expression (``id``, ``name``, ``expression``) is taken off.
        """
        try:
            return cls(CohortExpression.from_json(_unwrapped(_text(source))))
        except CohortError as error:
            kind = "unsupported" if isinstance(error, UnsupportedCohort) else "invalid"
            raise Invalid(f"cohort.{kind}", str(error)) from None

    @classmethod
    def of(
        cls,
        *,
        descendants: bool = True,
        prior_days: int = 0,
        title: str = "entry events",
        **event: Unpack[Wants],
    ) -> Self:
        """Start with each person's first record of the codes, observed for ``prior_days`` before it.

        ``Cohort.of(condition=4180790)`` or ``Cohort.of(condition=code("ICD10", "C18.9"))``.
        """
        domain, wanted = _one(event)
        return cls.from_circe(
            {
                "Title": title,
                "ConceptSets": [_concept_set(0, title, wanted, descendants)],
                "PrimaryCriteria": {
                    "CriteriaList": [{domain: {"CodesetId": 0}}],
                    "ObservationWindow": {"PriorDays": prior_days, "PostDays": 0},
                    "PrimaryCriteriaLimit": _FIRST,
                },
                "QualifiedLimit": _FIRST,
                "ExpressionLimit": _FIRST,
                "InclusionRules": [],
                "CensoringCriteria": [],
                "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
                "CensorWindow": {},
            }
        )

    @classmethod
    def starting(
        cls,
        *events: Event,
        prior_days: int = 0,
        post_days: int = 0,
        keep: Kept = "first",
        title: str = "entry events",
    ) -> Self:
        """Start with the events of which ``keep`` counts per person, observed so many days around them."""
        if not events:
            raise invalid(
                "cohort.events", "a cohort starts with events", 'Such as event("condition", colon).'
            )
        sets = Sets([])
        value: dict[str, Any] = {
            "Title": title,
            "PrimaryCriteria": {
                "CriteriaList": [event.circe(sets.number) for event in events],
                "ObservationWindow": {"PriorDays": prior_days, "PostDays": post_days},
                "PrimaryCriteriaLimit": _kept(keep),
            },
            "QualifiedLimit": _kept(keep),
            "ExpressionLimit": _kept(keep),
            "InclusionRules": [],
            "CensoringCriteria": [],
            "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
            "CensorWindow": {},
        }
        return cls._checked(value, sets)

    def restricted(self, *conditions: Condition, keep: Kept = "all") -> Self:
        """Keep the entry events around which all conditions hold, before any rule is looked at."""
        sets = self._sets()
        group = all_of(*conditions).circe(sets.number)
        return self._changed(sets, AdditionalCriteria=group, QualifiedLimit=_kept(keep))

    def keeping(self, keep: Kept) -> Self:
        """Keep all of a person's events that pass the rules, or the first or last of them."""
        return self._changed(self._sets(), ExpressionLimit=_kept(keep))

    def where(
        self,
        name: str,
        *conditions: Condition,
        age: tuple[int | None, int | None] | None = None,
        sex: str | None = None,
        days: tuple[int | None, int | None] = (None, 0),
        at_least: int = 1,
        number: tuple[float | None, float | None] | None = None,
        descendants: bool = True,
        **event: Unpack[Wants],
    ) -> Self:
        """Keep persons for whom the rule holds; its name stands in the attrition.

        ``age`` (years, both ends included) and ``sex`` are facts at the index date. A domain with codes
        asks for ``at_least`` records that start within ``days`` of the index date, whose value, if
        ``number`` is given, lies within it (both ends included). ``conditions`` of ``atoll.event`` and
        ``atoll.person`` say everything else that Circe can; they are not mixed with the short forms.
        """
        if conditions:
            return self._ruled(name, conditions)
        rule: dict[str, Any] = {"Type": "ALL"}
        facts = _facts(age, sex)
        sets = list(self.to_circe().get("ConceptSets") or [])
        if facts:
            rule["DemographicCriteriaList"] = [facts]
        if event:
            domain, wanted = _one(event)
            body: dict[str, Any] = {"CodesetId": _next_id(sets)}
            sets.append(_concept_set(_next_id(sets), name, wanted, descendants))
            if number is not None:
                body["ValueAsNumber"] = _range(number)
            rule["CriteriaList"] = [_correlated({domain: body}, days, {"Type": 2, "Count": at_least})]
        if len(rule) == 1:
            raise Invalid("cohort.rule", "the rule states nothing", "Give age, sex or a domain with codes.")
        return self._with(name, rule, sets)

    def without(
        self,
        name: str,
        *,
        days: tuple[int | None, int | None] = (None, 0),
        descendants: bool = True,
        **event: Unpack[Wants],
    ) -> Self:
        """Keep persons who have no record of the codes that starts within ``days`` of the index date."""
        domain, wanted = _one(event)
        sets = list(self.to_circe().get("ConceptSets") or [])
        body = {domain: {"CodesetId": _next_id(sets)}}
        sets.append(_concept_set(_next_id(sets), name, wanted, descendants))
        rule = {"Type": "ALL", "CriteriaList": [_correlated(body, days, {"Type": 0, "Count": 0})]}
        return self._with(name, rule, sets)

    def ends(self, days: int, *, after: Side = "start") -> Self:
        """End each person's time in the cohort ``days`` after the start (or end) of its event."""
        field = "StartDate" if after == "start" else "EndDate"
        strategy = {"DateOffset": {"DateField": field, "Offset": days}}
        return self._changed(self._sets(), EndStrategy=strategy)

    def ends_with_exposure(
        self, drug: ConceptSet, *, gap_days: int = 30, days_after: int = 0, days_supply: int | None = None
    ) -> Self:
        """End each person's time with the continuous exposure to a drug, over gaps of ``gap_days``."""
        sets = self._sets()
        era = {"DrugCodesetId": sets.number(drug), "GapDays": gap_days, "Offset": days_after}
        if days_supply is not None:
            era["DaysSupplyOverride"] = days_supply
        return self._changed(sets, EndStrategy={"CustomEra": era})

    def until(self, *events: Event) -> Self:
        """End each person's time at the first of these events, if it comes earlier."""
        sets = self._sets()
        return self._changed(sets, CensoringCriteria=[event.circe(sets.number) for event in events])

    def between(self, start: date | str | None = None, end: date | str | None = None) -> Self:
        """Count only the days from ``start`` to ``end``, both included."""
        days = {"StartDate": start, "EndDate": end}
        window = {key: str(day) for key, day in days.items() if day is not None}
        return self._changed(self._sets(), CensorWindow=window)

    def joined(self, days: int) -> Self:
        """Make one of a person's periods that lie at most so many days apart."""
        return self._changed(self._sets(), CollapseSettings={"CollapseType": "ERA", "EraPad": days})

    def titled(self, title: str) -> Self:
        """Give the cohort a title, which changes no answer."""
        return self._changed(self._sets(), Title=title)

    @property
    def concept_sets(self) -> dict[str, ConceptSet]:
        """The concept sets by name, to be united and subtracted in further steps."""
        found = (read_set(item) for item in self.to_circe().get("ConceptSets") or [])
        return {item.name: item for item in found}

    def to_circe(self) -> dict[str, Any]:
        """Return the Circe expression as a mapping."""
        return self.expression.to_circe()

    def to_json(self) -> str:
        """Return the Circe JSON, as ATLAS reads it."""
        return json.dumps(self.to_circe(), indent=2, ensure_ascii=False)

    def save(self, path: str | Path) -> Path:
        """Write the Circe JSON to a file."""
        target = Path(path)
        target.write_text(self.to_json() + "\n", "utf-8")
        return target

    def digest(self) -> str:
        """Return the SHA-256 of the canonical form; equal cohorts have equal digests."""
        return self.expression.digest()

    def _ruled(self, name: str, conditions: tuple[Condition, ...]) -> Self:
        sets = self._sets()
        alone = conditions[0] if len(conditions) == 1 and isinstance(conditions[0], Group) else None
        group = (alone or all_of(*conditions)).circe(sets.number)
        rules = [*(self.to_circe().get("InclusionRules") or []), {"name": name, "expression": group}]
        return self._changed(sets, InclusionRules=rules)

    def _sets(self) -> Sets:
        return Sets(list(self.to_circe().get("ConceptSets") or []))

    def _changed(self, sets: Sets, **parts: Any) -> Self:
        return self._checked({**self.to_circe(), **parts}, sets)

    @classmethod
    def _checked(cls, value: dict[str, Any], sets: Sets) -> Self:
        try:
            return cls(CohortExpression.from_json({**value, "ConceptSets": sets.written}))
        except CohortError as error:
            raise invalid("cohort.invalid", str(error)) from None

    def _with(self, name: str, rule: Mapping[str, Any], sets: list[Any]) -> Self:
        value = self.to_circe()
        value["ConceptSets"] = sets
        value["InclusionRules"] = [*(value.get("InclusionRules") or []), {"name": name, "expression": rule}]
        return self.from_circe(value)

    def __repr__(self) -> str:
        rules = [rule.name for rule in self.expression.inclusion_rules]
        return f"<atoll.Cohort {self.digest()[7:19]}{' · ' if rules else ''}{' · '.join(rules)}>"


def _kept(keep: Kept) -> dict[str, str]:
    return {"Type": keep.capitalize()}


def _text(source: str | Path | Mapping[str, Any]) -> str | bytes | Mapping[str, Any]:
    if isinstance(source, Mapping) or (isinstance(source, str) and source.lstrip().startswith("{")):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Invalid(
            "cohort.file", f"the cohort file {source} cannot be read", "Give a path to Circe JSON."
        ) from error


def _unwrapped(source: str | bytes | Mapping[str, Any]) -> str | bytes | Mapping[str, Any]:
    """Return the expression of a definition as WebAPI keeps it: an object, or a text within the text."""
    value = json_value(source)
    if "expression" not in value or "PrimaryCriteria" in value:
        return value
    inner = value["expression"]
    if not isinstance(inner, (str, Mapping)):
        return value
    found = json_value(inner)
    named = value.get("name")
    return {"Title": named, **found} if isinstance(named, str) else found


def _one(event: Wants) -> tuple[str, tuple[CodeLike, ...]]:
    named = [(name, value) for name, value in event.items() if value is not None]
    if len(named) != 1 or named[0][0] not in _DOMAINS:
        raise Invalid("cohort.domain", "name exactly one domain", f"One of: {', '.join(_DOMAINS)}.")
    name, value = named[0]
    codes = (value,) if isinstance(value, (int, SourceCode)) else tuple(_iterable(value))
    if not codes or not all(isinstance(item, (int, SourceCode)) for item in codes):
        raise Invalid(
            "cohort.codes",
            f"{name} takes concept ids and codes",
            'Such as 4180790 or code("ICD10", "C18.9").',
        )
    return _DOMAINS[name], codes


def _iterable(value: Any) -> Iterable[CodeLike]:
    return value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _concept_set(number: int, name: str, wanted: tuple[CodeLike, ...], descendants: bool) -> dict[str, Any]:
    items = [
        {"concept": {"CONCEPT_ID": item}, "includeDescendants": descendants}
        for item in wanted
        if isinstance(item, int)
    ]
    codes = [item.wire() for item in wanted if isinstance(item, SourceCode)]
    found: dict[str, Any] = {"id": number, "name": name, "expression": {"items": items}}
    return {**found, "SourceCodes": codes} if codes else found


def _next_id(sets: list[Any]) -> int:
    return max((int(item["id"]) for item in sets), default=-1) + 1


def _facts(age: tuple[int | None, int | None] | None, sex: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if age is not None:
        facts["Age"] = _range(age)
    if sex is not None:
        if sex.lower() not in _SEXES:
            raise Invalid("cohort.sex", "sex is 'female' or 'male'", "For other concepts, write Circe JSON.")
        facts["Gender"] = [{"CONCEPT_ID": _SEXES[sex.lower()]}]
    return facts


def _range(ends: tuple[float | None, float | None]) -> dict[str, Any]:
    low, high = ends
    if low is not None and high is not None:
        return {"Value": low, "Op": "bt", "Extent": high}
    if low is not None:
        return {"Value": low, "Op": "gte"}
    if high is not None:
        return {"Value": high, "Op": "lte"}
    raise Invalid("cohort.range", "a range needs at least one end", "Such as (18, None).")


def _correlated(
    criteria: Mapping[str, Any], days: tuple[int | None, int | None], occurrence: Mapping[str, int]
) -> dict[str, Any]:
    start, end = days
    window = {"Start": endpoint(start, -1), "End": endpoint(end, 1), "UseEventEnd": False}
    return {"Criteria": criteria, "StartWindow": window, "Occurrence": occurrence}
