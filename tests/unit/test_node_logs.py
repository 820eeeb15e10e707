"""A log line tells what happened, and holds no value of a patient, no token and no file name."""

import ast
import json
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import atoll_node
from atoll_node.logs import FIELDS, OneLine, set_up_logs

SECRET = "Sophie Zweig 1961-04-12"


@pytest.fixture
def lines(tmp_path):
    """Log to a folder, and return a reader of its lines."""
    before = logging.getLogger().handlers[:]
    set_up_logs(tmp_path / "logs", "debug")
    yield lambda: [json.loads(line) for line in (tmp_path / "logs" / "node.log").read_text().splitlines()]
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in before:
        root.addHandler(handler)


def formatted(record: logging.LogRecord) -> str:
    return OneLine().format(record)


def test_an_event_is_one_json_line_with_its_fields(lines):
    logging.getLogger("atoll_node.agent.loop").info("task claimed", extra={"task": "task-1", "fence": 2})
    (line,) = lines()
    assert line["text"] == "task claimed"
    assert (line["task"], line["fence"], line["level"]) == ("task-1", 2, "info")


def test_arguments_of_a_text_are_never_written(lines):
    logging.getLogger("atoll_node.ingest").debug("read %s of %s", SECRET, "/data/zweig.csv")
    assert lines()[0]["text"] == "read %s of %s"


def test_a_field_that_is_not_listed_is_not_written(lines):
    logging.getLogger("atoll_node.ingest").debug("read", extra={"patient": SECRET})
    assert "patient" not in lines()[0]
    assert SECRET not in json.dumps(lines())


@pytest.mark.parametrize(
    "value",
    [SECRET, "/data/zweig.csv", "a b", "x\ny", "ä", "t" * 81, "AAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB.CC"],
)
def test_a_listed_field_with_another_kind_of_value_is_withheld(lines, value):
    logging.getLogger("atoll_node.agent.loop").info("task claimed", extra={"task": value})
    assert lines()[0]["task"] == "withheld"


def test_an_exception_shows_its_type_and_place_but_not_its_message(lines):
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("atoll_node.answer").exception("task failed")
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert line["where"].startswith("test_node_logs:")
    assert SECRET not in json.dumps(line)


def test_what_other_libraries_say_is_not_repeated(lines):
    logging.getLogger("httpx").warning("HTTP Request: POST https://hub %s", SECRET)
    logging.getLogger("httpcore").debug("Authorization: Bearer abc")
    (line,) = lines()
    assert (line["logger"], line["text"]) == ("httpx", "withheld")


@given(st.text(), st.dictionaries(st.sampled_from(sorted(FIELDS)), st.text()))
def test_a_line_is_always_one_line_of_json(text, fields):
    record = logging.LogRecord("atoll_node.x", logging.INFO, "x.py", 1, text, (), None)
    record.__dict__.update(fields)
    line = formatted(record)
    assert "\n" not in line
    assert json.loads(line)["level"] == "info"


def logging_calls() -> list[tuple[str, ast.Call]]:
    found = []
    for file in sorted(Path(atoll_node.__file__).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in ("debug", "info", "warning", "error", "exception", "critical")
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id in ("log", "logger")
            ):
                found.append((f"{file.name}:{call.lineno}", call))
    return found


@pytest.mark.parametrize(("place", "call"), logging_calls(), ids=[place for place, _ in logging_calls()])
def test_every_text_that_the_node_logs_is_a_constant(place, call):
    assert isinstance(call.args[0], ast.Constant), f"{place} builds its text"
    assert "{" not in str(call.args[0].value)
