"""Say how each attribute of an event is read: a field of its record, its dates, or a fact of what it names.

``r`` is the record; ``{start}`` and ``{end}`` stand for the event's dates. What a record names is looked up.
Both emissions of the compiler read attributes here, so that an attribute means one thing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from atoll_node.engine.plan import Abnormal, CodeMatch, Compare, Events, Filter, Like, OneOf, Shift
from atoll_node.engine.sources import SOURCES, Source
from atoll_node.engine.sql import Binder, days_between, quoted


@dataclass(frozen=True)
class _Fact:
    value: str
    joins: tuple[str, ...] = ()


_FACTS: Mapping[str, _Fact] = MappingProxyType(
    {
        "start_date": _Fact("{start}"),
        "end_date": _Fact("{end}"),
        "length": _Fact(days_between("{start}", "{end}")),
        "age": _Fact("(year({start}) - p.year_of_birth)", ("person",)),
        "age_at_end": _Fact("(year({end}) - p.year_of_birth)", ("person",)),
        "gender": _Fact("p.gender_concept_id", ("person",)),
        "race": _Fact("p.race_concept_id", ("person",)),
        "ethnicity": _Fact("p.ethnicity_concept_id", ("person",)),
        "visit": _Fact("v.visit_concept_id", ("visit",)),
        "specialty": _Fact("pr.specialty_concept_id", ("provider",)),
        "place_of_service": _Fact("cs.place_of_service_concept_id", ("care_site",)),
        "range_low_ratio": _Fact("(r.value_as_number / nullif(r.range_low, 0))"),
        "range_high_ratio": _Fact("(r.value_as_number / nullif(r.range_high, 0))"),
        "image_modality": _Fact("io.modality_concept_id", ("image",)),
        "feature_value": _Fact("coalesce(fm.value_as_number, fo.value_as_number)", ("feature",)),
        "feature_value_concept": _Fact(
            "coalesce(fm.value_as_concept_id, fo.value_as_concept_id)", ("feature",)
        ),
        "feature_unit": _Fact("coalesce(fm.unit_concept_id, fo.unit_concept_id)", ("feature",)),
    }
)


@dataclass(frozen=True)
class _Join:
    tables: tuple[str, ...]
    sql: str


_JOINS: Mapping[str, _Join] = MappingProxyType(
    {
        "person": _Join(("person",), "LEFT JOIN person p ON p.person_id = r.person_id"),
        "visit": _Join(
            ("visit_occurrence",),
            "LEFT JOIN visit_occurrence v ON v.visit_occurrence_id = r.visit_occurrence_id "
            "AND v.person_id = r.person_id",
        ),
        "provider": _Join(("provider",), "LEFT JOIN provider pr ON pr.provider_id = r.provider_id"),
        "care_site": _Join(("care_site",), "LEFT JOIN care_site cs ON cs.care_site_id = r.care_site_id"),
        "image": _Join(
            ("image_occurrence",),
            "LEFT JOIN image_occurrence io ON io.image_occurrence_id = r.image_occurrence_id",
        ),
        # OMOP's concepts of the fields measurement.measurement_id and observation.observation_id.
        "feature": _Join(
            ("measurement", "observation"),
            "LEFT JOIN measurement fm ON r.image_feature_event_field_concept_id = 1147138 "
            "AND fm.measurement_id = r.image_feature_event_id "
            "LEFT JOIN observation fo ON r.image_feature_event_field_concept_id = 1147165 "
            "AND fo.observation_id = r.image_feature_event_id",
        ),
        "location": _Join(("location",), "LEFT JOIN location lo ON lo.location_id = r.location_id"),
    }
)
_REGION_TABLES = ("care_site", "location", "location_history")
_COMPARISONS = {"lt": "<", "lte": "<=", "eq": "=", "!eq": "<>", "gt": ">", "gte": ">="}


@dataclass(frozen=True)
class Dates:
    """The expressions of an event's own dates."""

    start: str
    end: str


def dates_of(source: Source, shift: Shift | None) -> Dates:
    """Return the dates of an event: those of its record, adjusted if asked.

    Days are whole numbers of the plan and stand as such: a statement that uses one date would not name the
    parameter of the other, which DuckDB refuses.
    """
    if shift is None:
        return Dates(source.start, source.end)
    start = source.start if shift.start_from == "start_date" else source.end
    end = source.start if shift.end_from == "start_date" else source.end
    return Dates(f"({start} + ({shift.start_days:d}))", f"({end} + ({shift.end_days:d}))")


def joins_sql(source: Source, filters: Iterable[Filter]) -> str:
    """Return the look-ups that records and filters need, in a fixed order."""
    needed = {join for item in filters for join in _fact(item).joins} | set(source.joins)
    return " ".join(_JOINS[name].sql for name in _JOINS if name in needed)


def tables_read(events: Events) -> frozenset[str]:
    """Return the tables that the events of one criterion read."""
    source = SOURCES[events.domain]
    needed = {join for item in events.filters for join in _fact(item).joins} | set(source.joins)
    found = {source.table, *(table for name in needed for table in _JOINS[name].tables)}
    if any(getattr(item, "attribute", None) == "place_of_service_region" for item in events.filters):
        found.update(_REGION_TABLES)
    return frozenset(found)


def _fact(item: Filter) -> _Fact:
    attribute = None if isinstance(item, Abnormal) else item.attribute
    return _FACTS.get(attribute or "", _Fact(""))


def filters_sql(filters: Iterable[Filter], dates: Dates, binder: Binder) -> str:
    """Return whether a record fulfils all filters; NULL where a fact is unknown."""
    return " AND ".join(_filter_sql(item, dates, binder) for item in filters) or "TRUE"


def _filter_sql(item: Filter, dates: Dates, binder: Binder) -> str:
    if isinstance(item, Abnormal):
        coded = f"r.value_as_concept_id IN {binder.members(item.concept_ids)}"
        return f"(r.value_as_number < r.range_low OR r.value_as_number > r.range_high OR {coded})"
    if item.attribute == "place_of_service_region" and isinstance(item, OneOf):
        return _in_region(item, dates, binder)
    return compared_sql(value_sql(item.attribute, dates), item, binder)


def _in_region(item: OneOf, dates: Dates, binder: Binder) -> str:
    """Whether the care site lay in one of the regions for the whole of the event."""
    if not item.concept_ids:
        return "FALSE"
    return (
        "EXISTS (SELECT 1 FROM care_site c JOIN location_history h ON h.entity_id = c.care_site_id "
        "JOIN location l ON l.location_id = h.location_id WHERE c.care_site_id = r.care_site_id "
        f"AND h.domain_id = 'CARE_SITE' AND {dates.start} >= h.start_date "
        f"AND {dates.end} <= coalesce(h.end_date, DATE '2099-12-31') "
        f"AND l.region_concept_id IN {binder.members(item.concept_ids)})"
    )


def value_sql(attribute: str, dates: Dates) -> str:
    """Return the expression of an attribute."""
    fact = _FACTS.get(attribute)
    return f"r.{quoted(attribute)}" if fact is None else fact.value.format(start=dates.start, end=dates.end)


def compared_sql(value: str, item: Compare | OneOf | Like, binder: Binder) -> str:
    """Return whether a value fulfils a filter."""
    opposite = "" if isinstance(item, Compare) or not item.negated else "NOT "
    if isinstance(item, Like):
        return f"{value} {opposite}LIKE {binder.bind(item.pattern)}"
    if isinstance(item, OneOf):
        if not item.concept_ids:
            return f"({value} IS NOT NULL)" if item.negated else "FALSE"
        return f"{value} {opposite}IN {binder.members(item.concept_ids)}"
    if item.op in _COMPARISONS:
        return f"{value} {_COMPARISONS[item.op]} {binder.bind(item.low)}"
    between = f"{value} BETWEEN {binder.bind(item.low)} AND {binder.bind(item.high)}"
    return f"NOT ({between})" if item.op == "!bt" else f"({between})"


def matches_sql(match: CodeMatch, source: Source, binder: Binder) -> str:
    """Return whether a record matches."""
    parts = []
    concept = source.concept if match.standard else source.source_concept
    if match.concept_ids and concept is not None:
        parts.append(f"{concept} IN {binder.members(match.concept_ids)}")
    if match.source_codes and source.source_value is not None:
        parts.append(f"{source.source_value} IN {binder.members(match.source_codes)}")
    return f"({' OR '.join(parts)})" if parts else "FALSE"


def counted_sql(name: str, source: Source) -> str | None:
    """Return the field of the record that a distinct count counts; ``None`` for what all events have."""
    if name in source.counted:
        return source.counted[name]
    if name in {"concept_id", "start_date", "end_date", "visit_id", "length"}:
        return None
    return source.source_concept if name == "source_concept_id" else f"r.{quoted(name)}"
