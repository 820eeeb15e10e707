"""Draw the hub's error tree. Each error is a problem (RFC 9457) with a stable code and a next step.

HubError
├── SettingsError    a setting, key or secret file is wrong (commands only)
├── Malformed        400   the request cannot be read
├── Unauthenticated  401   who calls is not known
├── Forbidden        403   who calls is known and may not
├── Missing          404   there is no such thing, or the caller may not know that there is
├── Conflict         409   the thing is in another state
├── Unprocessable    422   the request is read and cannot be taken
└── Unavailable      503   the hub cannot serve now
"""

from atoll_schemas.problems import ExitCode, Problem


class HubError(Exception):
    """The root. ``code`` is dotted and stable; ``detail`` is the cause; ``next_step`` tells what to do."""

    status = 500
    title = "The hub failed"
    exit_code = ExitCode.ERROR

    def __init__(self, code: str, detail: str, next_step: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.next_step = next_step

    def problem(self, trace_id: str | None = None) -> Problem:
        """Return the error as the reader of an answer meets it."""
        return Problem(
            title=self.title,
            status=self.status,
            code=self.code,
            detail=self.detail,
            next_step=self.next_step,
            trace_id=trace_id,
        )


class SettingsError(HubError):
    """A setting, key or secret file is wrong."""

    title = "The hub's settings are wrong"
    exit_code = ExitCode.USAGE


class Malformed(HubError):
    """The request cannot be read."""

    status = 400
    title = "The request cannot be read"
    exit_code = ExitCode.USAGE


class Unauthenticated(HubError):
    """Who calls is not known."""

    status = 401
    title = "Sign in first"
    exit_code = ExitCode.SIGN_IN


class Forbidden(HubError):
    """Who calls is known and may not."""

    status = 403
    title = "This is not allowed"
    exit_code = ExitCode.REFUSED


class Missing(HubError):
    """There is no such thing, or the caller may not know that there is."""

    status = 404
    title = "Not found"
    exit_code = ExitCode.NOT_FOUND


class Conflict(HubError):
    """The thing is in another state than the request needs."""

    status = 409
    title = "This does not fit the present state"
    exit_code = ExitCode.REFUSED


class Unprocessable(HubError):
    """The request is read and cannot be taken."""

    status = 422
    title = "The request cannot be taken"
    exit_code = ExitCode.USAGE


class Unavailable(HubError):
    """The hub cannot serve now."""

    status = 503
    title = "The hub cannot serve now"
    exit_code = ExitCode.UNREACHABLE
