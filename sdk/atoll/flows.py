"""State what takes several requests, without I/O: a flow yields calls and pauses and is sent the replies."""

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from atoll import calls
from atoll.errors import Invalid, StillRunning, Unreachable
from atoll.question import Ask, Catalogued
from atoll_schemas.people import DatasetVariables, DatasetView, ProjectView
from atoll_schemas.protocol import QuerySummary
from atoll_schemas.results import Result

T = TypeVar("T")
LONGEST_WAIT = 30
_RETRIES = 5


@dataclass(frozen=True)
class Pause:
    """Wait before the next step."""

    seconds: float


Flow = Generator[calls.Call[Any] | Pause, Any, T]
Clock = Callable[[], float]


def asked(ask: Ask, key: str) -> Flow[QuerySummary]:
    """Resolve the names in a question, then submit it. A retry carries the same key, so it is asked once."""
    dataset = ask.dataset or (yield from _only_dataset(ask.project))
    catalogued = None
    if ask.needs_catalog():
        declared: DatasetVariables = yield calls.variables(dataset)
        offered: tuple[DatasetView, ...] = yield calls.datasets()
        offering = next((view.sites for view in offered if view.dataset == dataset), ())
        catalogued = Catalogued(declared, tuple(entry.site for entry in offering))
    return (yield from _persistent(calls.submit(ask.submission(dataset, catalogued, key))))


def _only_dataset(project: str) -> Flow[str]:
    """Return the project's dataset when it has only one."""
    if not re.fullmatch(r"[A-Z][A-Z0-9]{0,15}-[0-9]{1,9}", project):
        raise Invalid("project.form", "a project's id reads like P-001", "See `atoll projects`.")
    view: ProjectView = yield calls.project(project)
    names = view.scope.datasets
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names)
    raise Invalid(
        "dataset.ambiguous", f"project {view.id} may ask several datasets", f"Name one of: {listed}."
    )


def finished(query_id: str, timeout: float | None, clock: Clock) -> Flow[Result]:
    """Wait for a query to finish, through short outages of the hub too. Raises ``StillRunning``."""
    end = None if timeout is None else clock() + timeout
    while True:
        left = LONGEST_WAIT if end is None else max(0.0, end - clock())
        result: Result = yield from _persistent(calls.result(query_id, int(min(LONGEST_WAIT, left))))
        if result.state != "running":
            return result
        if end is not None and clock() >= end:
            raise StillRunning(
                "query.running",
                f"query {query_id} is not finished: {result.headline} so far",
                "It goes on at the hub; ask for its result again, or cancel it.",
            )
        if left < 1:
            yield Pause(min(left, 0.2))


def _persistent(call: calls.Call[T]) -> Flow[T]:
    """Send a call that may safely be sent again, and try anew while the hub is away for a moment."""
    for attempt in range(_RETRIES):
        try:
            reply: T = yield call
        except Unreachable:
            if attempt == _RETRIES - 1:
                raise
            yield Pause(0.2 * 2**attempt)
        else:
            return reply
    raise AssertionError("unreachable")  # pragma: no cover
