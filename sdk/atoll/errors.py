"""Draw the SDK's error tree. Each error has a code, a cause and, where there is one, a next step.

AtollError
├── SignInError        no token, or the hub does not take it                        (exit code 4)
├── Refused            a permission, a permit or a policy says no                   (5)
├── NotFound           the hub has no such thing, or the caller may not see it      (6)
├── Unreachable        the hub cannot be reached, or is not ready                   (7)
├── Invalid            the question or a setting is wrong; nothing was asked        (2)
├── Conflict           the hub's state does not allow it, such as a finished query  (1)
├── ProtocolMismatch   hub and SDK speak different versions                         (1)
├── HubFailed          the hub met a fault of its own                               (1)
├── StillRunning       the query was not finished within the timeout                (1)
├── NoAnswer           the query ended and no site answered                         (1)
└── MissingExtra       an optional library is not installed                         (1)
"""

from atoll_schemas.problems import ExitCode, Problem


class AtollError(Exception):
    """The root. ``str(error)`` is the cause; ``next_step`` says what to do about it."""

    exit_code = ExitCode.ERROR

    def __init__(
        self, code: str, message: str, next_step: str | None = None, trace_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step
        self.trace_id = trace_id

    def __str__(self) -> str:
        cause = self.message if self.message.endswith(".") else f"{self.message}."
        step = self.next_step or ""
        return f"{cause} {step[:1].upper()}{step[1:]}".rstrip()

    def problem(self) -> Problem:
        """Return the error as problem+json (RFC 9457)."""
        return Problem(
            title=type(self).__name__,
            status=0,
            code=self.code,
            detail=self.message,
            next_step=self.next_step,
            trace_id=self.trace_id,
        )


class SignInError(AtollError):
    """There is no token, or the hub does not take it."""

    exit_code = ExitCode.SIGN_IN


class Refused(AtollError):
    """A permission, a permit or a policy says no."""

    exit_code = ExitCode.REFUSED


class NotFound(AtollError):
    """The hub has no such thing, or the caller may not see it."""

    exit_code = ExitCode.NOT_FOUND


class Unreachable(AtollError):
    """The hub cannot be reached, or is not ready."""

    exit_code = ExitCode.UNREACHABLE


class Invalid(AtollError):
    """The question or a setting is wrong; nothing was asked."""

    exit_code = ExitCode.USAGE


class Conflict(AtollError):
    """The hub's state does not allow it."""


class ProtocolMismatch(AtollError):
    """Hub and SDK speak different versions."""


class HubFailed(AtollError):
    """The hub met a fault of its own."""


class StillRunning(AtollError):
    """The query was not finished within the timeout; it goes on, and can be asked for again."""


class NoAnswer(AtollError):
    """The query ended and no site answered, so there is nothing to tabulate or draw."""


class MissingExtra(AtollError):
    """An optional library is not installed."""


_BY_STATUS: dict[int, type[AtollError]] = {
    400: Invalid,
    401: SignInError,
    403: Refused,
    404: NotFound,
    405: ProtocolMismatch,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}
_BY_CODE: dict[str, type[AtollError]] = {
    "protocol.version": ProtocolMismatch,
    "route.unknown": ProtocolMismatch,
    "site.not_offering": Invalid,
}


def error_of(problem: Problem, status: int) -> AtollError:
    """Return the error that the hub's problem stands for."""
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(status, HubFailed)
    return kind(problem.code, problem.detail or problem.title, problem.next_step, problem.trace_id)
