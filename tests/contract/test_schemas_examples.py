"""Every wire type has an example; each reads back, keeps its digest, stays closed, frozen and typed."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from atoll_schemas.contract import Contract
from tests.contract.test_schemas_wire import wire_types
from tests.support.examples import EXAMPLES, example

GOLDEN = Path(__file__).with_name("golden_digests.txt")
"""One line a type: its name and the digest of its example. A change here changes every signature."""
FREE = {("Enrolment", "public_key"), ("Enrolled", "hub_keys"), ("AuditEntry", "detail")}
"""Fields that hold JSON of others' making (JWKs, details of an audit entry)."""
each = pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: f"{kind.__module__[14:]}.{kind.__name__}")
Path_ = tuple[str | int, ...]


def test_every_wire_type_has_an_example_and_no_example_is_of_anything_else():
    assert set(EXAMPLES) == set(wire_types())


@each
def test_it_reads_its_example_and_writes_it_again(kind: type[Contract]):
    assert example(kind).wire() == EXAMPLES[kind]


@each
def test_it_survives_json_text_with_its_digest(kind: type[Contract]):
    first = example(kind)
    again = kind.from_wire(json.loads(json.dumps(first.wire())))
    assert again == first
    assert again.canonical() == first.canonical()
    assert again.digest() == first.digest()


@each
def test_its_canonical_form_is_json_that_reads_back(kind: type[Contract]):
    assert kind.from_wire(json.loads(example(kind).canonical())) == example(kind)


@each
def test_the_order_of_fields_does_not_change_its_digest(kind: type[Contract]):
    turned = json.loads(json.dumps(EXAMPLES[kind]), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert kind.from_wire(turned).digest() == example(kind).digest()


@each
def test_no_field_can_be_set(kind: type[Contract]):
    value = example(kind)
    for name in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, None)


@each
def test_nothing_absent_is_written(kind: type[Contract]):
    open_end = {("Window", "end")}
    for place, value in walk(example(kind).wire()):
        if isinstance(value, dict):
            assert all(item is not None or (kind.__name__, key) in open_end for key, item in value.items()), (
                place
            )


def golden() -> dict[str, str]:
    lines = GOLDEN.read_text("utf-8").splitlines()
    return dict(line.split(" ") for line in lines)


def test_the_golden_digests_are_of_all_types():
    assert sorted(golden()) == sorted(f"{kind.__module__}.{kind.__name__}" for kind in EXAMPLES)


@each
def test_its_digest_is_the_one_that_was_signed_before(kind: type[Contract]):
    assert example(kind).digest() == golden()[f"{kind.__module__}.{kind.__name__}"]


def walk(value: Any, place: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield every value within a JSON value with its place."""
    yield place, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from walk(item, (*place, key))


def planted(kind: type[Contract], place: Path_, plant: Any) -> Any:
    """Return the example of ``kind``, changed by ``plant(holder, key)`` at a place."""
    value = copy.deepcopy(EXAMPLES[kind])
    holder: Any = {"root": value}
    for key in ("root", *place)[:-1]:
        holder = holder[key]
    plant(holder, ("root", *place)[-1])
    return value


def without_tags(place: tuple[Any, ...], known: Path_) -> tuple[Any, ...]:
    """Return an error's place without the names of the union members that pydantic puts between."""
    found: list[Any] = []
    for step in place:
        if len(found) < len(known) and step == known[len(found)]:
            found.append(step)
    return tuple(found)


def add_unknown(holder: Any, key: Any) -> None:
    holder[key]["no_such_field_"] = 1


def objects(kind: type[Contract]) -> list[Path_]:
    """Return the places of all objects in an example, those of others' making left out."""
    return [
        place
        for place, value in walk(EXAMPLES[kind])
        if isinstance(value, dict)
        and not any((kind.__name__, step) in FREE for step in place)
        and not (place and place[-1] in ("public_key", "detail"))
    ]


@each
def test_an_unknown_field_at_any_depth_is_refused_by_its_place(kind: type[Contract]):
    for place in objects(kind):
        with pytest.raises(ValidationError) as caught:
            kind.from_wire(planted(kind, place, add_unknown))
        wanted = (*place, "no_such_field_")
        assert any(
            error["type"] == "extra_forbidden" and without_tags(error["loc"], wanted) == wanted
            for error in caught.value.errors()
        ), place


@each
def test_a_required_field_that_is_left_out_is_named(kind: type[Contract]):
    for name, field in kind.model_fields.items():
        if field.is_required():
            spelled = field.alias or name
            value = {key: item for key, item in EXAMPLES[kind].items() if key != spelled}
            with pytest.raises(ValidationError) as caught:
                kind.from_wire(value)
            assert ("missing", (spelled,)) in [(it["type"], it["loc"]) for it in caught.value.errors()]


@each
def test_a_required_field_is_never_null(kind: type[Contract]):
    for name, field in kind.model_fields.items():
        if field.is_required():
            with pytest.raises(ValidationError):
                kind.from_wire({**EXAMPLES[kind], field.alias or name: None})


def faults(kind: type[Contract], value: Any) -> list[tuple[Any, ...]]:
    """Return the places of what is wrong with a value; an empty list when it is taken."""
    try:
        kind.from_wire(value)
    except ValidationError as error:
        return [detail["loc"] for detail in error.errors()]
    return []


RULES_OVER_FIELDS = {
    "Criteria": "exactly one domain",
    "CriteriaGroup": "AT_LEAST needs a Count",
    "EndStrategy": "exactly one strategy",
    "NumericRange": "Op bt needs an Extent",
    "DateRange": "Op bt needs an Extent",
}


@each
def test_an_optional_field_may_be_left_out(kind: type[Contract]):
    for name, field in kind.model_fields.items():
        if field.default is None:
            spelled = field.alias or name
            wrong = faults(kind, {key: item for key, item in EXAMPLES[kind].items() if key != spelled})
            assert wrong in ([], [()])
            assert not wrong or kind.__name__ in RULES_OVER_FIELDS, spelled


FOREIGN: list[Any] = [{"surprise": 1}, [[1]], 1e400, True, "\x00surprise"]


@each
def test_a_value_of_a_foreign_kind_is_refused_under_its_field(kind: type[Contract]):
    for name, field in kind.model_fields.items():
        if (kind.__name__, name) in FREE:
            continue
        spelled = field.alias or name
        told = [faults(kind, {**EXAMPLES[kind], spelled: foreign}) for foreign in FOREIGN]
        assert sum(map(bool, told)) >= 3, name
        assert all(place[:1] in ((spelled,), ()) for places in told for place in places), name


@each
@pytest.mark.parametrize("value", [None, [], "text", 0, True, [{}]], ids=repr)
def test_what_is_no_object_is_refused(kind: type[Contract], value: Any):
    with pytest.raises(ValidationError):
        kind.from_wire(value)


def numbers(kind: type[Contract]) -> list[Path_]:
    return [
        place
        for place, value in walk(EXAMPLES[kind])
        if isinstance(value, float) and not any((kind.__name__, step) in FREE for step in place)
    ]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")], ids=str)
@each
def test_a_number_that_is_none_is_refused_wherever_it_stands(kind: type[Contract], odd: float):
    for place in numbers(kind):
        with pytest.raises(ValidationError):
            kind.from_wire(planted(kind, place, lambda holder, key: holder.__setitem__(key, odd)))


def test_equal_values_have_equal_digests_and_others_do_not():
    digests = {}
    for kind in EXAMPLES:
        canonical = example(kind).canonical()
        assert digests.setdefault(canonical, example(kind).digest()) == example(kind).digest()
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize(
    "name, canonical",
    [
        ("Withheld", b'{"kind":"withheld","reason":"protected"}'),
        ("Counted", b'{"half_width":2,"kind":"counted","value":1250}'),
        ("Measured", b'{"kind":"measured","value":60.25}'),
        ("SourceCode", b'{"code":"C18.9","vocabulary":"ICD10"}'),
        ("Occurrence", b'{"Count":1,"CountColumn":"VISIT_DETAIL_ID","IsDistinct":true,"Type":2}'),
        ("query.Window", b'{"end":0,"start":-365}'),
        ("Tighten", b'{"minimum_persons":20,"round_to":10}'),
        ("Quantile", b'{"half_width":2.5,"probability":0.5,"value":61}'),
        ("Part", b"{}"),
    ],
)
def test_the_signed_bytes_are_these(name: str, canonical: bytes):
    (kind,) = [it for it in EXAMPLES if f".{it.__module__}.{it.__name__}".endswith(f".{name}")]
    assert example(kind).canonical() == canonical


def test_a_time_of_another_zone_is_the_same_moment():
    from atoll_schemas.permits import Scope

    offset = {**EXAMPLES[Scope], "valid_from": "2026-03-04T13:00:00+01:00"}
    assert Scope.from_wire(offset) == example(Scope)
    assert example(Scope).wire()["valid_from"] == "2026-03-04T12:00:00Z"


@pytest.mark.parametrize(
    "kind_name, place, value, loc",
    [
        ("Query", ("analysis", "method"), "median", ("analysis",)),
        ("Query", ("analysis", "by", 0, "name"), "Sex", ("analysis", "by", 0, "name")),
        ("Query", ("analysis", "by", 0, "definition", "field"), "name", ("analysis", "by", 0, "definition")),
        (
            "Query",
            ("cohort", "PrimaryCriteria", "CriteriaList"),
            [],
            ("cohort", "PrimaryCriteria", "CriteriaList"),
        ),
        (
            "Submission",
            ("query", "cohort", "ConceptSets", 0, "id"),
            -1,
            ("query", "cohort", "ConceptSets", 0, "id"),
        ),
        (
            "Answer",
            ("outcome", "payload", "persons", "value"),
            -1,
            ("outcome", "payload", "persons", "value"),
        ),
        ("Answer", ("outcome", "payload", "method"), "sql", ("outcome", "payload")),
        ("Answer", ("outcome", "kind"), "raw", ("outcome",)),
        ("Inbox", ("deliveries", 0, "fence"), 0, ("deliveries", 0, "fence")),
        ("Inbox", ("deliveries", 2, "kind"), "rows", ("deliveries", 2)),
        ("Result", ("merged", "persons", "kind"), "counted", ("merged", "persons")),
        (
            "Result",
            ("merged", "by", "cells", 1, "persons", "value"),
            -5,
            ("merged", "by", "cells", 1, "persons", "value"),
        ),
        ("Result", ("sites", 1, "state"), "asleep", ("sites", 1, "state")),
        ("CatalogEntry", ("concepts", 0, "persons", "kind"), "exact", ("concepts", 0, "persons")),
        ("CatalogEntry", ("quality", 0, "severity"), "fatal", ("quality", 0, "severity")),
        ("ProjectView", ("permits", 0, "state"), "granted", ("permits", 0, "state")),
        ("DataModel", ("tables", 0, "fields", 0, "content"), "secret", ("tables", 0, "fields", 0, "content")),
    ],
)
def test_a_fault_deep_inside_is_told_by_its_place(kind_name: str, place: Path_, value: Any, loc: Path_):
    (kind,) = [it for it in EXAMPLES if it.__name__ == kind_name]
    with pytest.raises(ValidationError) as caught:
        kind.from_wire(planted(kind, place, lambda holder, key: holder.__setitem__(key, value)))
    assert any(without_tags(error["loc"], loc) == loc for error in caught.value.errors())
