"""What the SDK offers: its names, its error tree, its command with examples, its quick start."""

import json
import subprocess
import sys
import tomllib
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import atoll
from atoll.cli import app
from atoll.errors import error_of
from atoll_schemas.problems import ExitCode, Problem


def leaves(commands, before=""):
    """Return every command that does something, by the words that are typed for it."""
    found = {}
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        found |= leaves(inner, f"{before}{name} ") if inner else {before + name: command}
    return found


COMMANDS = leaves(typer.main.get_command(app).commands)


def test_every_name_that_is_offered_is_there():
    assert [getattr(atoll, name).__name__ for name in atoll.__all__] == atoll.__all__
    assert set(atoll.__all__) <= set(dir(atoll))


def test_another_name_is_not():
    with pytest.raises(AttributeError, match="no attribute 'Lagoon'"):
        _ = atoll.Lagoon


def loaded_by(statement, *modules):
    """Return those of ``modules`` that a new Python has loaded after ``statement``."""
    script = f"import sys, atoll; {statement}; print([it for it in {modules!r} if it in sys.modules])"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_import_loads_no_network_and_no_frames():
    assert loaded_by("pass", "httpx", "pydantic", "rich", "pandas", "altair") == "[]\n"


def test_asking_loads_no_frames_and_no_charts():
    assert loaded_by("atoll.Hub; atoll.Result", "pandas", "altair", "vl_convert") == "[]\n"


def test_a_researcher_installs_little():
    settings = tomllib.loads(Path("sdk/pyproject.toml").read_text())["project"]
    names = {item.split(">")[0].split("=")[0] for item in settings["dependencies"]}
    assert names == {"atoll-schemas", "httpx", "pydantic", "rich", "typer"}


@pytest.mark.parametrize("ours, mirrored", [("Hub", "AsyncHub"), ("Run", "AsyncRun")])
def test_the_asynchronous_hub_mirrors_the_blocking_one(ours, mirrored):
    def public(name):
        return {key for key in vars(getattr(atoll, name)) if not key.startswith("_")}

    assert public(ours) == public(mirrored)
    waiting = {"url", "of", "from_env", "run"}
    for name in public(mirrored) - waiting:
        method = getattr(getattr(atoll, mirrored), name)
        assert iscoroutinefunction(method) or isasyncgenfunction(method), name


def test_every_error_is_one_tree_with_an_exit_code():
    kinds = [getattr(atoll, name) for name in atoll.__all__]
    errors = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) == 12
    assert all(issubclass(kind, atoll.AtollError) and isinstance(kind.exit_code, ExitCode) for kind in errors)


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (401, "token.expired", "SignInError"),
        (403, "permit.missing", "Refused"),
        (404, "query.unknown", "NotFound"),
        (404, "route.unknown", "ProtocolMismatch"),
        (409, "query.finished", "Conflict"),
        (422, "request.invalid", "Invalid"),
        (400, "protocol.version", "ProtocolMismatch"),
        (503, "hub.not_ready", "Unreachable"),
        (500, "hub.fault", "HubFailed"),
    ],
)
def test_a_problem_of_the_hub_becomes_its_error(status, code, kind):
    problem = Problem(
        title="T", status=status, code=code, detail="the cause", next_step="Do this.", trace_id="t1"
    )
    error = error_of(problem, status)
    assert type(error).__name__ == kind
    assert str(error) == "the cause. Do this."
    assert (error.code, error.trace_id) == (code, "t1")
    assert error.problem().code == code


def test_all_commands_are_there():
    asking = ["count", "table1", "crosstab", "km", "queries", "show", "cancel"]
    reading = ["login", "sites", "datasets", "variables", "projects"]
    expected = [*asking, *reading]
    assert sorted(COMMANDS) == sorted([*expected, "cohort check", "cohort explain", "cohort diff"])


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_json_and_help_with_an_example(name):
    shown = CliRunner().invoke(app, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output
    assert f"Example: atoll {name}" in shown.output


def test_help_of_the_whole_lists_exit_codes():
    shown = CliRunner().invoke(app, ["--help"])
    assert "3 partial" in " ".join(shown.output.split())


def test_an_error_is_said_in_words_or_as_a_problem(tmp_path):
    bare = {"ATOLL_CREDENTIALS": str(tmp_path / "none.json"), "ATOLL_HUB": "", "ATOLL_TOKEN": ""}
    said = CliRunner().invoke(app, ["sites"], env=bare)
    assert said.exit_code == 4
    assert "no hub is known [hub.unknown]" in said.stderr
    as_json = CliRunner().invoke(app, ["sites", "--json"], env=bare)
    assert json.loads(as_json.stdout)["code"] == "hub.unknown"
