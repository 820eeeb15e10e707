"""Draw the node's error tree. A message is a constant of its code; values of patients' data never enter.

NodeError
├── SettingsError      a setting, key or secret file is wrong
├── SourceError        a source or mapping cannot be read at all (single records go to quarantine)
├── LakeError          a table, release or store fails
├── EngineError        a plan cannot run; refused, too large, too slow
├── Refused            a permission, permit, signature or disclosure check says no
└── HubError           the hub cannot be reached or declines
"""

from atoll_schemas.problems import ExitCode


class NodeError(Exception):
    """The root. ``code`` is dotted and stable; ``next_step`` tells what to do."""

    exit_code = ExitCode.ERROR

    def __init__(self, code: str, message: str, next_step: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step


class SettingsError(NodeError):
    """A setting, key or secret file is wrong."""

    exit_code = ExitCode.USAGE


class SourceError(NodeError):
    """A source or its mapping cannot be read at all."""


class LakeError(NodeError):
    """A table, release or store fails."""


class EngineError(NodeError):
    """A plan cannot run: unknown construct, missing table, too much memory, too slow."""


class MissingTable(EngineError):
    """The release lacks a table that the query looks at; ``table`` is its name in the data model."""

    def __init__(self, table: str) -> None:
        super().__init__(
            "engine.missing_table",
            f"the release has no table {table}, without which the query means nothing",
            f"ingest {table} and release again",
        )
        self.table = table


class Refused(NodeError):
    """A permission, permit, signature or disclosure check says no."""

    exit_code = ExitCode.REFUSED


class HubError(NodeError):
    """The hub cannot be reached or declines."""

    exit_code = ExitCode.UNREACHABLE
