"""Name every failure: problem+json (RFC 9457) with a code, a cause and a next step, and exit codes."""

from enum import IntEnum

from atoll_schemas.contract import Contract


class ExitCode(IntEnum):
    """What the commands return to the shell."""

    OK = 0
    ERROR = 1
    USAGE = 2
    PARTIAL = 3
    SIGN_IN = 4
    REFUSED = 5
    NOT_FOUND = 6
    UNREACHABLE = 7
    BLOCKER = 8


class Problem(Contract):
    """An error as a reader meets it. No field ever carries a value of a patient's data."""

    type: str = "about:blank"
    title: str
    status: int = 500
    code: str
    """Dotted and stable, such as ``permit.missing``."""
    detail: str | None = None
    """The cause."""
    next_step: str | None = None
    """What to do about it."""
    trace_id: str | None = None
    instance: str | None = None
