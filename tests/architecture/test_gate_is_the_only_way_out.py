"""Only the gate makes what may leave, and only few modules read what may not (law 4)."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import atoll_node
from atoll_node import raw
from atoll_schemas import results

NODE = Path(atoll_node.__file__).parent
MADE_BY_THE_GATE = {
    name
    for name, kind in inspect.getmembers(results, inspect.isclass)
    if name.startswith("Site") and name not in {"SiteOutcome", "SiteName", "SiteCurves"}
} | {"ClearedResult", "Gate", "Moments", "LogRank", "CurveStep", "TableCell", "AttritionStep", "CountTable"}
CELLS = {"Counted", "Measured"}
READERS = ("raw.py", "answer.py", "engine", "disclosure", "catalog", "reference")
RAW_TYPES = {name for name, kind in inspect.getmembers(raw, inspect.isclass) if name.startswith("Raw")}
PARSERS = {"from_wire", "model_validate", "model_validate_json"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(NODE.rglob("*.py")):
        yield file.relative_to(NODE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def called(tree: ast.Module) -> set[str]:
    """Return the names that a module calls, plain, dotted or through ``model_construct``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for part in ast.walk(node.func):
                if isinstance(part, ast.Name):
                    found.add(part.id)
                elif isinstance(part, ast.Attribute) and part.attr not in PARSERS:
                    found.add(part.attr)
            # Reading back a stored answer of one's own is not making one.
            if isinstance(node.func, ast.Attribute) and node.func.attr in PARSERS:
                found -= {part.id for part in ast.walk(node.func) if isinstance(part, ast.Name)}
    return found


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return found


def from_elsewhere(tree: ast.Module) -> set[str]:
    """Return imported names that are not of the wire, though they may be spelled as one."""
    return {name.rsplit(".", 1)[1] for name in imported(tree) if "." in name and "atoll_schemas" not in name}


def makers(names: set[str]) -> dict[str, set[str]]:
    return {
        place: made
        for place, tree in modules()
        if not place.startswith("disclosure/") and (made := (called(tree) - from_elsewhere(tree)) & names)
    }


def test_nobody_else_makes_a_cleared_result_or_a_part_of_one() -> None:
    assert makers(MADE_BY_THE_GATE) == {}


def test_nobody_else_makes_a_counted_cell() -> None:
    assert makers(CELLS) == {}


def test_few_modules_read_raw_aggregates() -> None:
    readers = {
        place for place, tree in modules() if any(n.startswith("atoll_node.raw") for n in imported(tree))
    }
    assert {place for place in readers if not place.startswith(READERS)} == set()


def test_the_scan_sees_a_planted_breach() -> None:
    planted = ast.parse("from atoll_schemas import results\nresults.ClearedResult.model_construct(site='a')")
    assert called(planted) & MADE_BY_THE_GATE == {"ClearedResult"}


def test_the_scan_knows_the_types_it_guards() -> None:
    assert {"SiteCount", "SiteTable1", "SiteCrosstab", "SiteKaplanMeier"} <= MADE_BY_THE_GATE
    assert {"RawAggregate", "RawTable"} <= RAW_TYPES


def test_the_gate_knows_no_other_stage() -> None:
    stages = ("engine", "sources", "deidentify", "tables", "catalog", "permits", "agent", "reference")
    for place, tree in modules():
        room = place.split("/")[0]
        if room in {"disclosure", "catalog"}:
            others = {f"atoll_node.{stage}" for stage in (*stages, "disclosure") if stage != room}
            assert not [name for name in imported(tree) if name.startswith(tuple(others))], place
