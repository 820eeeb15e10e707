"""A raw aggregate has no way out of the process but the gate: nothing writes, copies or prints it."""

import copy
import dataclasses
import io
import json
import logging
import marshal
import pickle
import shelve
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from atoll_node import raw
from atoll_node.disclosure import Figure, Remembered
from atoll_node.disclosure.footprints import of_persons
from atoll_node.disclosure.ledger import Verdict
from atoll_node.disclosure.rules import Case
from atoll_node.disclosure.sheet import Held, Sheet
from atoll_node.disclosure.survival import Step
from atoll_node.logs import OneLine
from atoll_node.settings import GateSettings
from atoll_schemas.canonical import canonical_json
from atoll_schemas.protocol import Refusal
from atoll_schemas.query import Count
from atoll_schemas.results import Dimension
from tests.support.cleared import question

SECRET = 4711
TABLE = raw.RawTable((Dimension(name="sex", levels=("F", "M")),), {("F",): SECRET, ("M",): SECRET})
BIN = raw.RawBin(0.0, 10.0, SECRET)
GROUP = raw.RawNumberGroup("*", SECRET, SECRET, 1.5, 2.5, 3.5, (4711.0,), (BIN,))
NUMBER = raw.RawNumber("size", None, (GROUP,))
STEP = raw.RawStep("entry events", SECRET)
COUNT = raw.RawCount(SECRET, (STEP,), TABLE)
CURVE = raw.RawCurve("*", SECRET, SECRET, (SECRET,), (SECRET,), (SECRET,), (0,))
TEST = raw.RawLogRank(("a",), (4711.0,), (4711.0,), ((4711.0,),))
AGGREGATE = raw.RawAggregate(COUNT, np.array([SECRET], dtype=np.int64), 7)
SHEET = Sheet(figures={(): SECRET})
RAW = [
    TABLE,
    STEP,
    COUNT,
    BIN,
    GROUP,
    NUMBER,
    raw.RawCategory("sex", TABLE),
    raw.RawTable1(SECRET, TABLE, (NUMBER,)),
    raw.RawCrosstab(SECRET, TABLE),
    CURVE,
    TEST,
    raw.RawKaplanMeier("death", (CURVE,), TEST),
    AGGREGATE,
    raw.RawContributions(np.array([SECRET], dtype=np.int64)),
    of_persons(np.array([SECRET], dtype=np.int64)),
    Figure(of_persons(np.array([SECRET], dtype=np.int64)), 5, True),
    Remembered(np.array([SECRET], dtype=np.int64), (SECRET,)),
    Verdict(False, False, (SECRET,)),
    SHEET,
    Step(7, SECRET, 0.5, 0.1, SECRET),
]
each = pytest.mark.parametrize("value", RAW, ids=lambda value: type(value).__name__)

WAYS_OUT: dict[str, Callable[[object], object]] = {
    "pickle": pickle.dumps,
    "pickle, oldest protocol": lambda value: pickle.dumps(value, protocol=0),
    "pickle inside a list": lambda value: pickle.dumps([value]),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy inside a dict": lambda value: copy.deepcopy({"answer": value}),
    "json": json.dumps,
    "json inside a dict": lambda value: json.dumps({"answer": value}),
    "canonical json": lambda value: canonical_json({"answer": value}),
    "marshal": marshal.dumps,
    "bytes": lambda value: bytes(value),  # type: ignore[call-overload]
    "iteration": lambda value: list(value),  # type: ignore[call-overload]
}


@each
@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_common_way_out_takes_it(value: object, way: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        WAYS_OUT[way](value)
    assert str(SECRET) not in str(refused.value)


@each
@pytest.mark.parametrize("shape", ["{}", "{!r}", "{!s}", "{:>80}"])
def test_no_format_shows_its_figures(value: object, shape: str) -> None:
    try:
        text = shape.format(value)
    except TypeError as refused:
        text = str(refused)
    assert str(SECRET) not in text


@each
def test_print_percent_and_f_strings_show_only_its_kind(
    value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    print(value, [value], {"a": value})
    shown = capsys.readouterr().out + f"{value} {value!r}" + "%s %r" % (value, value)  # noqa: UP031
    assert str(SECRET) not in shown
    assert type(value).__name__ in shown
    assert "not shown" in shown


@each
def test_an_exception_that_carries_it_does_not_tell_it(value: object) -> None:
    assert str(SECRET) not in f"{ValueError(value)!r} {KeyError(value)}"


@each
def test_a_log_line_about_it_holds_no_figure(value: object) -> None:
    record = logging.LogRecord("atoll_node.answer", logging.DEBUG, "x.py", 1, "cleared %s", (value,), None)
    record.__dict__["task"] = value
    assert str(SECRET) not in OneLine().format(record)


@each
def test_a_wire_type_does_not_take_it(value: object) -> None:
    with pytest.raises(ValidationError):
        Refusal(code="x", detail=value)  # type: ignore[arg-type]


def test_a_shelf_does_not_take_it(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "shelf")) as shelf, pytest.raises(TypeError):
        shelf["answer"] = AGGREGATE


def test_a_pickler_of_a_file_does_not_take_it() -> None:
    stream = io.BytesIO()
    with pytest.raises(TypeError):
        pickle.Pickler(stream).dump(AGGREGATE)
    assert str(SECRET).encode() not in stream.getvalue()


def test_a_case_of_the_gate_prints_no_figure() -> None:
    case = Case(AGGREGATE, SHEET, question(Count()), GateSettings(), False)
    assert str(SECRET) not in f"{case} {case!r}"


def test_what_the_rules_decided_names_counts_and_holds_none() -> None:
    held = Held().holding([(("sex", "F"),)])
    assert str(SECRET) not in repr(held)


@each
def test_it_cannot_be_changed(value: object) -> None:
    first = next(iter(dataclasses.fields(value)))  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first.name, 0)


def test_every_type_of_the_module_is_one_of_these() -> None:
    """A new raw type is tested here, or this fails."""
    types = {
        kind
        for kind in vars(raw).values()
        if isinstance(kind, type) and kind.__module__ == raw.__name__ and kind is not raw.Unserialisable
    }
    assert types <= {type(value) for value in RAW}
    assert all(issubclass(kind, raw.Unserialisable) for kind in types)
