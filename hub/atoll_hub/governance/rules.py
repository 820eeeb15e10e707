"""Decide what a project may be, and which permit statements are kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from atoll_hub.errors import Conflict, Unprocessable
from atoll_schemas.people import ProjectApplication, ProjectView, Role, SitePermit
from atoll_schemas.permits import Permit, PermitRequest, Scope

DEFAULT_PERIOD = timedelta(days=365)
FIRST_REDELIVERY = timedelta(seconds=30)
LONGEST_REDELIVERY = timedelta(hours=1)


@dataclass(frozen=True)
class KeptProject:
    """A project as the hub keeps it."""

    id: str
    application: ProjectApplication
    people: tuple[str, ...]
    scope: Scope
    applied_by: str
    applied_at: datetime

    def concerns(self, site: str) -> bool:
        """Whether the project asks this site for a permit."""
        return self.application.sites is None or site in self.application.sites

    def visible_to(self, name: str, role: Role) -> bool:
        """Whether a person may see the project: its people, stewards and operators may."""
        return name in self.people or role in (Role.STEWARD, Role.OPERATOR)


@dataclass(frozen=True)
class Applied:
    """One application at one site: how often it was sent, and when it is due again."""

    permit_id: str
    sent: int
    due_at: datetime


def project_id(number: int) -> str:
    """Return the id of the consortium's n-th project, such as ``P-001``."""
    return f"P-{number:03d}"


def permit_id(project: str, site: str) -> str:
    """Return the id of a project's permit at a site, such as ``P-001.north``."""
    return f"{project}.{site}"


def scope_of(application: ProjectApplication, now: datetime) -> Scope:
    """Return the scope a project asks for. Raises ``Unprocessable`` when its period is empty or over."""
    try:
        start = _utc(application.valid_from) or now
        end = _utc(application.valid_until) or start + DEFAULT_PERIOD
    except OverflowError:  # a moment that is in UTC before year 1 or after 9999
        start = end = now
    if end <= start or end <= now:
        raise Unprocessable(
            "project.period", "the period is empty or over", "choose a valid_until after valid_from and now"
        )
    return Scope(
        datasets=tuple(dict.fromkeys(application.datasets)),
        methods=tuple(dict.fromkeys(application.methods)),
        valid_from=start,
        valid_until=end,
    )


def permit_request(project: KeptProject, site: str) -> PermitRequest:
    """Return the application as a site's steward reads it."""
    return PermitRequest(
        permit_id=permit_id(project.id, site),
        project=project.id,
        title=project.application.title,
        purpose=project.application.purpose,
        people=project.people,
        scope=project.scope,
        requested_at=project.applied_at,
    )


def check_statement(permit: Permit, project: KeptProject, site: str) -> None:
    """Raise ``Unprocessable`` unless a steward's decision fits the request: same site, no wider scope."""
    if permit.site != site or permit.project != project.id or permit.permit_id != permit_id(project.id, site):
        raise _widened("the permit names another site, project or request")
    asked, given = project.scope, permit.scope
    if not (
        set(given.datasets) <= set(asked.datasets)
        and set(given.methods) <= set(asked.methods)
        and asked.valid_from <= _zoned(given.valid_from)
        and _zoned(given.valid_until) <= asked.valid_until
    ):
        raise _widened("the permit is wider than what the project asked for")
    if permit.purpose != project.application.purpose:
        raise _widened("the permit is for another purpose")


def supersedes(permit: Permit, kept: Permit | None) -> bool:
    """Say whether a statement is new; ``False`` for a replay. Raises ``Conflict`` for an old one."""
    if kept is None or permit.revision > kept.revision:
        return True
    if permit == kept:
        return False
    raise Conflict(
        "permit.stale",
        f"the hub keeps revision {kept.revision} of this permit",
        "state the steward's latest decision, with a higher revision",
    )


def is_active(permit: Permit | None, dataset: str, method: str, now: datetime) -> bool:
    """Whether a permit lets a query go to its site now. The node checks again, and decides."""
    if permit is None or permit.state != "active":
        return False
    scope = permit.scope
    return (
        dataset in scope.datasets
        and method in scope.methods
        and _zoned(scope.valid_from) <= now < _zoned(scope.valid_until)
    )


def next_due(sent: int, now: datetime) -> datetime:
    """Return when an unanswered application is sent again: after 30 s, then ever more rarely."""
    # The exponent is bounded so that the span cannot overflow.
    doublings: int = 2 ** min(sent, 12)
    return now + min(FIRST_REDELIVERY * doublings, LONGEST_REDELIVERY)


def project_view(project: KeptProject, sites: Iterable[str], permits: dict[str, Permit]) -> ProjectView:
    """Show a project with the permit of each site it concerns."""
    return ProjectView(
        id=project.id,
        title=project.application.title,
        purpose=project.application.purpose,
        people=project.people,
        scope=project.scope,
        applied_by=project.applied_by,
        applied_at=project.applied_at,
        permits=tuple(
            _site_permit(project, site, permits.get(site)) for site in sites if project.concerns(site)
        ),
    )


def _site_permit(project: KeptProject, site: str, permit: Permit | None) -> SitePermit:
    identity = permit_id(project.id, site)
    if permit is None:
        return SitePermit(site=site, permit_id=identity, state="requested")
    return SitePermit(
        site=site,
        permit_id=identity,
        state=permit.state,
        revision=permit.revision,
        scope=permit.scope,
        decided_at=permit.decided_at,
    )


def _widened(detail: str) -> Unprocessable:
    return Unprocessable("permit.widened", detail, "decide on the request as it was sent, or on less of it")


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else _zoned(moment).astimezone(UTC)
