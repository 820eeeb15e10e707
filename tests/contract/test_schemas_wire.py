"""Every wire type is frozen, closed, and reads back what it wrote; withheld is never a number."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

import atoll_schemas
from atoll_schemas.cells import Cell, Counted, Figure, Measured, Pooled, PooledCell, Withheld, WithholdReason
from atoll_schemas.contract import Contract
from atoll_schemas.problems import ExitCode


def wire_types() -> list[type[Contract]]:
    """Return every contract that atoll_schemas defines, in the order of their names."""
    found: dict[str, type[Contract]] = {}
    for module in pkgutil.walk_packages(atoll_schemas.__path__, "atoll_schemas."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, Contract) and member is not Contract and "[" not in member.__name__:
                found[f"{member.__module__}.{member.__name__}"] = member
    return [found[name] for name in sorted(found)]


WIRE_TYPES = wire_types()
each_wire_type = pytest.mark.parametrize("wire_type", WIRE_TYPES, ids=lambda t: t.__name__)


def test_there_are_wire_types():
    assert len(WIRE_TYPES) > 80


@each_wire_type
def test_it_is_frozen_and_closed(wire_type):
    assert wire_type.model_config["frozen"] is True
    assert wire_type.model_config["extra"] == "forbid"
    assert wire_type.model_config["allow_inf_nan"] is False


@each_wire_type
def test_an_unknown_field_is_refused_by_name(wire_type):
    with pytest.raises(ValidationError) as caught:
        wire_type.from_wire({"no_such_field_": 1})
    assert ("extra_forbidden", ("no_such_field_",)) in [
        (error["type"], error["loc"]) for error in caught.value.errors()
    ]


@each_wire_type
def test_it_says_what_it_is_for(wire_type):
    assert wire_type.__doc__
    assert wire_type.__doc__.strip()


@each_wire_type
def test_it_has_a_json_schema(wire_type):
    assert wire_type.model_json_schema()


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "withheld", "value": 0},
        {"kind": "withheld", "reason": "protected", "value": None},
        {"kind": "withheld", "reason": None},
        {"kind": "withheld", "reason": "few"},
        {"kind": "counted", "value": None},
        {"kind": "counted", "value": -1},
        {"kind": "counted", "value": float("nan")},
        {"kind": "counted"},
        {"value": 3},
        {},
        0,
        None,
        float("nan"),
        "<10",
    ],
)
def test_no_number_stands_for_a_withheld_cell(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Cell).validate_python(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None])
def test_a_figure_is_finite_or_withheld(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Figure).validate_python({"kind": "measured", "value": value})


@pytest.mark.parametrize("reason", list(WithholdReason))
@pytest.mark.parametrize("union", [Cell, PooledCell, Figure])
def test_a_withheld_number_has_its_reason_and_nothing_else(union, reason):
    cell = TypeAdapter(union).validate_python({"kind": "withheld", "reason": reason.value})
    assert cell == Withheld(reason=reason)
    assert set(cell.wire()) == {"kind", "reason"}


@pytest.mark.parametrize(
    "union, cell",
    [
        (Cell, Counted(value=15)),
        (PooledCell, Pooled(value=40, half_width=6, sites=3)),
        (Figure, Measured(value=1.5)),
    ],
)
def test_a_shown_number_keeps_its_type(union, cell):
    assert TypeAdapter(union).validate_python(cell.wire()) == cell


def test_a_pooled_cell_cannot_be_read_as_a_site_cell():
    with pytest.raises(ValidationError):
        TypeAdapter(Cell).validate_python(Pooled(value=1, half_width=0, sites=1).wire())


def test_exit_codes_are_those_of_the_design():
    assert [(code.name.lower(), code.value) for code in ExitCode] == [
        ("ok", 0),
        ("error", 1),
        ("usage", 2),
        ("partial", 3),
        ("sign_in", 4),
        ("refused", 5),
        ("not_found", 6),
        ("unreachable", 7),
        ("blocker", 8),
    ]


def test_schemas_import_only_pydantic_and_the_standard_library():
    code = (
        "import sys, pkgutil, importlib, atoll_schemas\n"
        "for m in pkgutil.walk_packages(atoll_schemas.__path__, 'atoll_schemas.'):\n"
        "    importlib.import_module(m.name)\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "allowed = {'atoll_schemas', 'pydantic', 'pydantic_core', 'annotated_types', 'typing_extensions',"
        " 'typing_inspection', '_virtualenv', 'sitecustomize', 'usercustomize'}\n"
        "extra = {t for t in tops if t not in sys.stdlib_module_names and t not in allowed"
        " and not t.startswith(('_', 'a1_'))}\n"
        "print(sorted(extra))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_a_window_without_an_end_stays_open_on_the_wire():
    from atoll_schemas.query import Window

    assert Window.from_wire(Window(end=None).wire()) == Window(end=None)
    assert Window(end=None).digest() != Window().digest()
