"""What the SDK offers stands in its reference page, and what the page names exists."""

import re
from pathlib import Path

import pytest

import atoll
from tests.unit.test_sdk_surface import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/sdk.md").read_text("utf-8")
HOW_TO = (ROOT / "docs/how-to/ask-a-question.md").read_text("utf-8")


def public(kind):
    return [name for name in vars(kind) if not name.startswith("_")]


@pytest.mark.parametrize("name", atoll.__all__)
def test_every_public_name_is_described(name):
    assert re.search(rf"`{name}\b|\b{name}\(", PAGE)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_described(name):
    assert f"`atoll {name}" in PAGE


@pytest.mark.parametrize("name", [it for it in public(atoll.Hub) if it not in ("ask", "of", "close", "url")])
def test_every_method_of_the_hub_is_described(name):
    assert f"{name}(" in PAGE


@pytest.mark.parametrize("name", [*public(atoll.Run), *public(atoll.Cohort), *public(atoll.Result)])
def test_every_method_of_runs_cohorts_and_results_is_described(name):
    if name not in ("expression", "id"):
        assert re.search(rf"[`.]{name}\b", PAGE), name


def options_of(command):
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_is_described(name):
    spoken = {"--variable": "-v V", "--project": "-p PROJECT", "--help": "--help"}
    for option in options_of(COMMANDS[name]):
        assert option in PAGE or spoken.get(option, option) in PAGE, option


def test_every_setting_is_described():
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "sdk/atoll").glob("*.py"))
    settings = set(re.findall(r"\"(ATOLL_[A-Z_]+)\"", sources))
    assert settings >= {"ATOLL_HUB", "ATOLL_TOKEN", "ATOLL_CA_FILE"}
    assert all(f"`{it}" in PAGE for it in settings)


def test_every_page_names_only_commands_that_exist():
    named = set(re.findall(r"`?atoll ([a-z0-9]+)", PAGE + HOW_TO)) - {"command"}
    assert named <= {words.split()[0] for words in COMMANDS}


def test_the_cohort_of_the_how_to_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(import atoll\n.*?)```", HOW_TO, re.DOTALL)
    exec(block.group(1), {})
    assert atoll.Cohort.from_circe("colon.json").expression.inclusion_rules[2].name == "earlier cancer"
