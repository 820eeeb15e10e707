"""Write another store into the settings file, and leave every other line as a person wrote it."""

import json
import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from atoll_node.errors import SettingsError
from atoll_node.settings import FolderStore, NodeSettings, S3Store, explained

_SECTION = re.compile(r"^\[store\][^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)
_NEXT = re.compile(r"^\[", re.MULTILINE)


def with_store(text: str, store: FolderStore | S3Store) -> str:
    """Return the settings with ``store`` in place of the one they have.

    Raises ``SettingsError`` when any other setting would change by it.
    """
    section = store_section(store)
    if _SECTION.search(text):
        written = _SECTION.sub(lambda _: section + "\n", text, count=1)
    else:
        first = _NEXT.search(text)
        at = first.start() if first else len(text)
        written = text[:at].rstrip("\n") + "\n\n" + section + "\n" + text[at:]
    before, after = _read(text), _read(written)
    if before is None or after != (before[0], store):
        raise SettingsError(
            "settings.store",
            "the settings file cannot be changed without changing more than [store]",
            "write the new [store] into atoll-node.toml by hand",
        )
    return written


def store_section(store: FolderStore | S3Store) -> str:
    """Return a store as the section that stands in the settings."""
    values = store.model_dump(mode="json", exclude_none=True)
    return "\n".join(["[store]", *(f"{key} = {_toml(value)}" for key, value in values.items())]) + "\n"


def store_of(file: Path) -> FolderStore | S3Store:
    """Read ``[store]`` of a TOML file; relative paths start at its folder. Raises ``SettingsError``."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError("store.file", "the file of the store cannot be read as TOML") from error
    if "store" not in content:
        raise SettingsError(
            "store.file", "the file has no [store]", "write it as in deploy/atoll-node.example.toml"
        )
    plain = {"site": "any", "title": "any", "hub": "any", "store": content["store"]}
    try:
        store = NodeSettings.model_validate(plain).store
    except ValidationError as error:
        raise SettingsError("settings.invalid", explained(error)) from error
    folder = file.absolute().parent
    return store.model_copy(update={name: folder / value for name, value in store if isinstance(value, Path)})


def _read(text: str) -> tuple[NodeSettings, FolderStore | S3Store] | None:
    """Return the settings but for their store, and the store; ``None`` for what are no settings."""
    try:
        settings = NodeSettings.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError):
        return None
    return settings.model_copy(update={"store": FolderStore()}), settings.store


def _toml(value: object) -> str:
    # A JSON string without escaped surrogates is a TOML basic string; booleans read the same.
    return json.dumps(value, ensure_ascii=False)
