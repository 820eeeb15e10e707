"""Ask what a node needs to know, and write it as the settings file that a person can read and edit."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from atoll_node.errors import SettingsError
from atoll_node.settings import NodeSettings, explained

Values = Mapping[str, Any]


class Asker(Protocol):
    """Puts questions to a person."""

    def ask(self, question: str, default: str | None = None, choices: tuple[str, ...] = ()) -> str:
        """Return the answer, or ``default`` when the person only presses Enter."""

    def confirm(self, question: str, default: bool) -> bool:
        """Return yes or no."""


def answers_from_file(file: Path) -> str:
    """Return the text of an answers file (the same keys as ``atoll-node.toml``), checked."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "settings.answers", "the answers file cannot be read", "give its path to --from"
        ) from error
    check(text)
    return text


def check(text: str) -> NodeSettings:
    """Read settings from TOML text. Raises ``SettingsError`` naming each wrong key."""
    try:
        return NodeSettings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("settings.toml", f"the settings are not valid TOML: {error}") from error
    except ValidationError as error:
        raise SettingsError("settings.invalid", explained(error)) from error


def answers_from_person(asker: Asker) -> str:
    """Ask, and return the settings as TOML text."""
    values: dict[str, Any] = {
        "site": _valid(asker, "Short name of this site (such as north)", "site"),
        "title": asker.ask("Name of the hospital"),
        "hub": asker.ask("Address of the hub (https://…)"),
        "network": _network(asker),
        "store": _store(asker),
    }
    datasets: list[Values] = []
    while asker.confirm("Describe a dataset now?" if not datasets else "Another dataset?", not datasets):
        datasets.append(_dataset(asker))
    text = toml_text(values, datasets)
    check(text)
    return text


def _valid(asker: Asker, question: str, key: str) -> str:
    """Ask until the answer is a plain lower-case name."""
    answer = asker.ask(question)
    while not (answer and answer[0].isalpha() and answer == answer.lower() and _plain(answer)):
        answer = asker.ask(f"{key}: lower-case letters, digits and - only")
    return answer


def _plain(name: str) -> bool:
    return name.isascii() and all(letter.isalnum() or letter in "-_" for letter in name)


def _network(asker: Asker) -> Values:
    values: dict[str, Any] = {}
    if proxy := asker.ask("Proxy for outgoing HTTPS (empty: HTTPS_PROXY or none)", default=""):
        values["proxy"] = proxy
    if ca_file := asker.ask("PEM file of a private CA (empty: the system's)", default=""):
        values["ca_file"] = ca_file
    return values


def _store(asker: Asker) -> Values:
    kind = asker.ask("Where do tables live?", default="folder", choices=("folder", "s3"))
    if kind == "folder":
        return {"kind": "folder", "path": asker.ask("Folder, relative to the node's home", default="lake")}
    return {
        "kind": "s3",
        "endpoint": asker.ask("S3 endpoint (https://…)"),
        "bucket": asker.ask("Bucket"),
        "access_key_file": asker.ask("File that holds the access key"),
        "secret_key_file": asker.ask("File that holds the secret key"),
    }


def _dataset(asker: Asker) -> Values:
    kind = asker.ask("Files are", default="flat", choices=("flat", "omop"))
    values: dict[str, Any] = {
        "name": _valid(asker, "Short name of the dataset (such as colon)", "name"),
        "title": asker.ask("Title for researchers"),
        "format": kind,
        "path": asker.ask("Folder of the files"),
    }
    if kind == "flat":
        values["mapping"] = asker.ask("Mapping file (.toml or .yaml)")
    values["date_shift"] = asker.confirm("Shift each person's dates by a secret number of days?", True)
    if opt_out := asker.ask("File of opted-out person identifiers (empty: none)", default=""):
        values["opt_out_file"] = opt_out
    return values


def toml_text(values: Values, datasets: list[Values]) -> str:
    """Write settings as TOML: plain keys first, then one table a section."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    sections = {key: value for key, value in values.items() if isinstance(value, Mapping) and value}
    parts = ["# Settings of this Atoll node. Every key: docs/how-to/install-a-node.md", *_lines(plain)]
    for key, section in sections.items():
        parts += ["", f"[{key}]", *_lines(section)]
    for dataset in datasets:
        parts += ["", "[[datasets]]", *_lines(dataset)]
    return "\n".join(parts) + "\n"


def _lines(values: Values) -> list[str]:
    # A JSON string without escaped surrogates is a TOML basic string; booleans read the same.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
