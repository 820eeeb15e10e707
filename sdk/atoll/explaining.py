"""Tell a cohort in plain words, in English or French: who enters, who stays, and when it ends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from atoll import words
from atoll.words import Language
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.concepts import ConceptSet, ConceptSetItem
from atoll_schemas.circe.criteria import CorrelatedCriteria, Criteria, CriteriaBody, CriteriaGroup
from atoll_schemas.circe.endings import EndStrategy
from atoll_schemas.circe.groups import DemographicCriteria, Endpoint, Occurrence, Window
from atoll_schemas.circe.parts import (
    Concept,
    ConceptSetSelection,
    DateAdjustment,
    DateRange,
    NumericRange,
    Period,
    ResultLimit,
    TextFilter,
)

MOST_NAMED = 8
"""Concepts that are named in a line; the others are counted."""
_STRUCTURE = frozenset({"codeset_id", "correlated_criteria", "date_adjustment"})


def explain(expression: CohortExpression, language: Language = "en") -> str:
    """Return the cohort in words, some lines of text."""
    return "\n".join(_Teller(expression, language).lines()) + "\n"


@dataclass(frozen=True)
class _Teller:
    expression: CohortExpression
    language: Language
    sets: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        named = {item.id: item.name or f"{item.id}" for item in self.expression.concept_sets}
        object.__setattr__(self, "sets", named)

    def say(self, key: str, *values: object) -> str:
        return words.word(words.PHRASES, key, self.language, *values)

    def lines(self) -> Iterator[str]:
        expression = self.expression
        yield expression.title or self.say("untitled")
        yield from self._entry()
        if expression.additional_criteria is not None and not expression.additional_criteria.empty:
            yield from self._section("additional")
            yield from self.group(expression.additional_criteria, 1)
            yield _line(1, self.say("keep", self.limit(expression.qualified_limit)))
        yield from self._rules()
        yield from self._end()
        yield from self._sets()

    def _section(self, key: str) -> Iterator[str]:
        yield ""
        yield self.say(key)

    def _entry(self) -> Iterator[str]:
        primary = self.expression.primary_criteria
        yield from self._section("entry")
        for criteria in primary.criteria_list:
            yield from self.criteria(criteria, 1)
        window = primary.observation_window
        if window.prior_days or window.post_days:
            yield _line(1, self.say("observed", window.prior_days, window.post_days))
        yield _line(1, self.limit(primary.primary_criteria_limit))

    def _rules(self) -> Iterator[str]:
        yield from self._section("rules")
        rules = self.expression.inclusion_rules
        if not rules:
            yield _line(1, self.say("no_rule"))
            return
        for number, rule in enumerate(rules, 1):
            name = rule.name or self.say("rule", number)
            yield _line(1, f"{number}. {name}")
            if rule.description:
                yield from (_line(2, f"({text})") for text in rule.description.splitlines() if text.strip())
            yield from self.group(rule.expression, 2)
        yield _line(1, self.say("keep", self.limit(self.expression.expression_limit)))

    def _end(self) -> Iterator[str]:
        expression = self.expression
        yield from self._section("end")
        yield _line(1, self._strategy(expression.end_strategy))
        for criteria in expression.censoring_criteria:
            first, *rest = self.criteria(criteria, 1)
            yield _line(1, self.say("censored", first.removeprefix("  - ")))
            yield from rest
        if expression.collapse_settings.era_pad:
            yield _line(1, self.say("collapse", expression.collapse_settings.era_pad))
        window = expression.censor_window
        if window.start_date is not None:
            yield _line(1, self.say("window_from", window.start_date))
        if window.end_date is not None:
            yield _line(1, self.say("window_to", window.end_date))

    def _strategy(self, strategy: EndStrategy | None) -> str:
        if strategy is None:
            return self.say("end_observation")
        if strategy.date_offset is not None:
            offset = strategy.date_offset
            side = self.say("start" if offset.date_field == "StartDate" else "END")
            return self.say("end_offset", offset.offset, side)
        era = strategy.custom_era
        if era is None:
            return ""
        told = self.say("end_era", self.sets[era.drug_codeset_id], era.gap_days, era.offset)
        if era.days_supply_override is None:
            return told
        return f"{told}; {self.say('end_supply', era.days_supply_override)}"

    def limit(self, limit: ResultLimit) -> str:
        return self.say(f"limit_{limit.type}")

    def group(self, group: CriteriaGroup, depth: int) -> Iterator[str]:
        if group.empty:
            yield _line(depth, self.say("nothing"))
            return
        members = len(group.criteria_list) + len(group.demographic_criteria_list) + len(group.groups)
        if members > 1 or group.type not in ("ALL", "ANY"):
            yield _line(depth, self.say(group.type, group.count) + ":")
            depth += 1
        for item in group.criteria_list:
            yield from self.counted(item, depth)
        for facts in group.demographic_criteria_list:
            yield _line(depth, "; ".join((self.say("person"), *self.attributes(facts))))
        for inner in group.groups:
            yield from self.group(inner, depth)

    def counted(self, item: CorrelatedCriteria, depth: int) -> Iterator[str]:
        noun = self.noun(item.criteria)
        body = item.criteria.body
        parts = [self.how_many(item.occurrence, noun), *self.attributes(body)]
        parts += self.windows(item)
        yield from self._with_inner(parts, body, depth)

    def how_many(self, occurrence: Occurrence, noun: str) -> str:
        if occurrence.count == 0 and occurrence.type in (0, 1):
            return self.say("none", noun)
        times = self.say("once") if occurrence.count == 1 else self.say("times", occurrence.count)
        told = f"{self.say(f'count_{occurrence.type}', times)} {noun}"
        if not occurrence.is_distinct:
            return told
        column = occurrence.count_column or "DOMAIN_CONCEPT"
        what = words.word(words.DISTINCT, column, self.language)
        return f"{told}, {self.say('distinct', what)}"

    def windows(self, item: CorrelatedCriteria) -> Iterator[str]:
        for window, by_end in ((item.start_window, False), (item.end_window, True)):
            if window is not None:
                yield self.window(window, by_end=by_end)
        if item.restrict_visit:
            yield self.say("same_visit")
        if item.ignore_observation_period:
            yield self.say("unobserved")

    def window(self, window: Window, *, by_end: bool) -> str:
        use_end = by_end if window.use_event_end is None else window.use_event_end
        anchor = self.say("index_end" if window.use_index_end else "index_start")
        verb = self.say("ends" if use_end else "starts")
        start, end = self.side(window.start, anchor), self.side(window.end, anchor)
        return self.say("on_day", verb, start) if start == end else self.say("window", verb, start, end)

    def side(self, end: Endpoint, anchor: str) -> str:
        before = end.coeff < 0
        if end.days is None:
            return self.say("all_before" if before else "all_after", anchor)
        if end.days == 0:
            return self.say("day_zero", anchor if self.language == "en" else _of_french(anchor))
        return self.say("days_before" if before else "days_after", end.days, anchor)

    def criteria(self, criteria: Criteria, depth: int) -> Iterator[str]:
        parts = [self.noun(criteria), *self.attributes(criteria.body)]
        yield from self._with_inner(parts, criteria.body, depth)

    def _with_inner(self, parts: Iterable[str], body: CriteriaBody, depth: int) -> Iterator[str]:
        told = "; ".join(parts)
        group = body.correlated_criteria
        if group is None or group.empty:
            yield _line(depth, told)
            return
        kind = self.say(group.type, group.count)
        yield _line(depth, f"{told}; {self.say('around', kind)}")
        plain = group.model_copy(update={"type": "ALL", "count": None})
        lines = list(self.group(plain, depth + 1))
        yield from lines[1:] if lines[0].endswith(":") and len(lines) > 1 else lines

    def noun(self, criteria: Criteria) -> str:
        noun = words.word(words.DOMAINS, criteria.domain, self.language)
        codeset: int | None = getattr(criteria.body, "codeset_id", None)
        if codeset is not None:
            return self.say("of", noun, self.sets[codeset])
        if "codeset_id" in type(criteria.body).model_fields and criteria.domain != "death":
            return self.say("any", noun)
        return noun

    def attributes(self, body: CriteriaBody | DemographicCriteria) -> Iterator[str]:
        """Tell every attribute that says something, in the order of the model."""
        for name, info in type(body).model_fields.items():
            value = getattr(body, name)
            if name in _STRUCTURE or value == info.get_default():
                continue
            yield self.attribute(name, value)
        adjustment = getattr(body, "date_adjustment", None)
        if adjustment is not None:
            yield self.adjusted(adjustment)

    def attribute(self, name: str, value: Any) -> str:
        if name == "first":
            return self.say("first")
        base = name.removesuffix("_cs").removesuffix("_exclude")
        label = words.word(words.ATTRIBUTES, base, self.language)
        if name.endswith("_exclude"):
            return self.say("exclude", label)
        if isinstance(value, bool):
            return self.say("yes" if value else "no", label)
        if isinstance(value, int):
            return self.say("in_set", label, self.sets[value])
        if isinstance(value, ConceptSetSelection):
            key = "not_in_set" if value.is_exclusion else "in_set"
            return self.say(key, label, self.sets[value.codeset_id])
        if isinstance(value, tuple):
            return self.say("among", label, _listed(value))
        if isinstance(value, Period):
            start, end = (day or self.say("open") for day in (value.start_date, value.end_date))
            return f"{label} {self.say('period', start, end)}"
        told = self.compared(value)
        return f"{label} {told}" if isinstance(value, TextFilter) else self.say("is", label, told)

    def compared(self, value: NumericRange | DateRange | TextFilter) -> str:
        if isinstance(value, TextFilter):
            return words.word(words.TEXTS, value.op, self.language, value.text)
        table = words.NUMBERS if isinstance(value, NumericRange) else words.DATES
        low, high = (_number(end) for end in (value.value, value.extent))
        return words.word(table, value.op, self.language, low, high)

    def adjusted(self, adjustment: DateAdjustment) -> str:
        start = self.moved(adjustment.start_with, adjustment.start_offset)
        return self.say("adjusted", start, self.moved(adjustment.end_with, adjustment.end_offset))

    def moved(self, side: str, days: int) -> str:
        end = self.say("start" if side == "START_DATE" else "END")
        if days == 0:
            return self.say("day_of", self.say("same_day"), end)
        return self.say("after_of" if days > 0 else "before_of", abs(days), end)

    def _sets(self) -> Iterator[str]:
        if self.expression.concept_sets:
            yield from self._section("sets")
        for item in self.expression.concept_sets:
            yield _line(1, f"«{self.sets[item.id]}»: {'; '.join(self.contents(item))}")

    def contents(self, concept_set: ConceptSet) -> Iterator[str]:
        items = concept_set.expression.items
        taken = [item for item in items if not item.is_excluded]
        found = False
        for key, chosen in (
            ("set_concepts", [item for item in taken if not item.include_descendants]),
            ("set_descendants", [item for item in taken if item.include_descendants]),
            ("set_mapped", [item for item in taken if item.include_mapped]),
            ("set_excluded", [item for item in items if item.is_excluded]),
        ):
            if chosen:
                found = True
                yield self.say(key, self.some([_concept(item) for item in chosen]))
        if concept_set.source_codes:
            found = True
            yield self.say(
                "set_codes",
                self.some([f"{code.vocabulary} {code.code}" for code in concept_set.source_codes]),
            )
        if not found:
            yield self.say("set_empty")

    def some(self, names: list[str]) -> str:
        shown = ", ".join(names[:MOST_NAMED])
        left = len(names) - MOST_NAMED
        return self.say("more", shown, left) if left > 0 else shown


def _concept(item: ConceptSetItem) -> str:
    return _named(item.concept)


def _named(concept: Concept) -> str:
    return (
        f"{concept.concept_name} ({concept.concept_id})" if concept.concept_name else str(concept.concept_id)
    )


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(_named(item) if isinstance(item, Concept) else str(item) for item in values)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _of_french(noun: str) -> str:
    return f"de {noun}" if noun.startswith("l") else f"d’{noun}"


def _line(depth: int, text: str) -> str:
    return f"{'  ' * depth}- {text}"
