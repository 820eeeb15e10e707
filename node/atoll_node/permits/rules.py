"""Rules over a task and a permit, pure: each raises ``Refused`` with a code of the closed list.

A task must be signed by a key pinned at enrolment, be meant for this node, be in its time, ask exactly the
query that its digest names, and lie within an active permit of this site.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from atoll_node.errors import Refused
from atoll_node.keys import LARGEST_TOKEN, opened
from atoll_schemas.permits import Permit, PermitRequest, Scope
from atoll_schemas.protocol import PROTOCOL, TASK_TYPE, Task
from atoll_schemas.query import Method

LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True)
class Pins:
    """What this node learned at enrolment and trusts since: itself, its hub, the hub's keys."""

    site: str
    hub_id: str
    hub_keys: tuple[Mapping[str, Any], ...]


def check_task(token: str, *, task_id: str, pins: Pins, now: datetime) -> Task:
    """Return the task that ``token`` signs, or refuse it: signature, type, hub, site, digest, time."""
    if len(token) > LARGEST_TOKEN:
        raise Refused("task.malformed", "the signed task is larger than any that a hub takes in")
    payload = opened(token, kind=TASK_TYPE, keys=pins.hub_keys)
    try:
        task = Task.model_validate_json(payload)
    except ValidationError as error:
        raise Refused("task.malformed", "the signed task is not of this protocol's shape") from error
    _check_addressed(task, task_id, pins)
    _check_time(task, now)
    if task.query.digest() != task.query_digest:
        raise Refused("task.digest", "the task's query is not the one its digest names")
    if task.query.project != task.project:
        raise Refused("task.digest", "the task's query belongs to another project")
    return task


def permitted(permit: Permit | None, task: Task, now: datetime) -> None:
    """Say no unless this site's ``permit`` covers the task now; the end of its period is excluded."""
    if permit is None or permit.permit_id != task.permit_id or permit.site != task.site:
        raise Refused("permit.unknown", "this site has no such permit")
    if permit.state != "active":
        raise Refused("permit.not_active", "the permit is not active")
    if permit.project != task.project:
        raise Refused("permit.project", "the permit is another project's")
    if permit.purpose != task.purpose:
        raise Refused("permit.purpose", "the permit is for another purpose")
    if task.query.dataset not in permit.scope.datasets:
        raise Refused("permit.dataset", "the permit does not cover the dataset")
    if task.query.analysis.method not in permit.scope.methods:
        raise Refused("permit.method", "the permit does not cover the method")
    if not permit.scope.valid_from <= now < permit.scope.valid_until:
        raise Refused("permit.period", "the permit's period does not include now")


def narrowed(
    request: PermitRequest,
    *,
    datasets: Iterable[str] | None = None,
    methods: Iterable[Method] | None = None,
    valid_until: datetime | None = None,
) -> Scope:
    """Return the requested scope cut down to what the steward names; refuse anything wider."""
    scope = request.scope
    kept_datasets = scope.datasets if datasets is None else tuple(dict.fromkeys(datasets))
    kept_methods = scope.methods if methods is None else tuple(dict.fromkeys(methods))
    until = scope.valid_until if valid_until is None else valid_until
    wider = set(kept_datasets) - set(scope.datasets) or set(kept_methods) - set(scope.methods)
    if wider or until > scope.valid_until:
        raise Refused(
            "permit.wider",
            "a permit may be narrower than its request, never wider",
            "see: atoll-node permits list",
        )
    if not kept_datasets or not kept_methods or until <= scope.valid_from:
        raise Refused("permit.empty", "the narrowed permit would allow nothing", "to say no: permits reject")
    return Scope(datasets=kept_datasets, methods=kept_methods, valid_from=scope.valid_from, valid_until=until)


def _check_addressed(task: Task, task_id: str, pins: Pins) -> None:
    if task.protocol != PROTOCOL:
        raise Refused("task.protocol", "the task speaks another protocol version")
    if task.hub_id != pins.hub_id:
        raise Refused("task.hub", "the task comes from another hub")
    if task.site != pins.site:
        raise Refused("task.site", "the task is meant for another site")
    if task.id != task_id:
        raise Refused("task.mismatch", "the lease names another task than the signed one")


def _check_time(task: Task, now: datetime) -> None:
    if task.issued_at.tzinfo is None or task.expires_at.tzinfo is None:
        raise Refused("task.malformed", "the signed task is not of this protocol's shape")
    if now + LEEWAY < task.issued_at:
        raise Refused("task.future", "the task was issued in this node's future")
    if now - LEEWAY >= task.expires_at:
        raise Refused("task.expired", "the task's time is over")
