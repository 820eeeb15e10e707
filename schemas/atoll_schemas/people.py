"""Hold what people's tools and the hub say to each other: accounts, datasets, projects, invitations."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from atoll_schemas.cells import Cell
from atoll_schemas.contract import Contract
from atoll_schemas.permits import PermitState, Scope
from atoll_schemas.protocol import QuerySummary
from atoll_schemas.query import Label, Method, Name, Outcome, ProjectId, SiteName, Submission, Variable
from atoll_schemas.results import SiteOutcome

PersonName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$")]
"""How a person is named at the hub, such as ``ada`` or ``ada@north.example``."""


class Role(StrEnum):
    """What a person may do at the hub."""

    RESEARCHER = "researcher"
    PARTNER = "partner"
    STEWARD = "steward"
    OPERATOR = "operator"


class Me(Contract):
    """Who the caller is (``GET /v1/me``)."""

    name: PersonName
    role: Role
    projects: tuple[ProjectId, ...] = ()
    hub_id: str
    token_expires_at: datetime


class NewPerson(Contract):
    """A person to add (``POST /v1/users``)."""

    name: PersonName
    role: Role
    token_days: int = Field(default=90, ge=1, le=366)


class Person(Contract):
    """A person as an operator sees them (``GET /v1/users``)."""

    name: PersonName
    role: Role
    added_at: datetime
    revoked_at: datetime | None = None
    token_expires_at: datetime | None = None


class PersonToken(Contract):
    """A new personal access token; shown this once, kept at the hub as its hash."""

    name: PersonName
    role: Role
    token: str
    expires_at: datetime


class NewInvitation(Contract):
    """How a site is invited (``POST /v1/sites/{site}/invite``)."""

    title: Label | None = None
    valid_hours: int = Field(default=72, ge=1, le=720)


class Invitation(Contract):
    """A one-time enrolment code; shown this once, kept at the hub as its hash."""

    site: SiteName
    code: str
    expires_at: datetime


class DatasetAtSite(Contract):
    """One site's current release of a dataset, in a line."""

    site: SiteName
    release: str
    released_at: datetime
    persons: Cell
    first_year: int | None = None
    last_year: int | None = None
    synthetic: bool
    date_shift: bool
    last_ingest: date | None = None


class DatasetView(Contract):
    """A dataset over the sites that offer it (``GET /v1/datasets``); counts stay side by side, unpooled."""

    dataset: Name
    title: Label
    description: str
    sites: tuple[DatasetAtSite, ...]
    matches: tuple[str, ...] = ()
    """With a search: up to ten names of variables, concepts, codes or tables in which a word was found."""


class VariableAtSites(Contract):
    """A declared variable and the sites that declare it in exactly this way."""

    variable: Variable
    sites: tuple[SiteName, ...]


class OutcomeAtSites(Contract):
    """A declared outcome and the sites that declare it in exactly this way."""

    outcome: Outcome
    sites: tuple[SiteName, ...]


class DatasetVariables(Contract):
    """What may be asked of a dataset by name (``GET /v1/datasets/{name}/variables``)."""

    dataset: Name
    variables: tuple[VariableAtSites, ...]
    outcomes: tuple[OutcomeAtSites, ...]


class ProjectApplication(Contract):
    """What a project asks the sites for (``POST /v1/projects``). The applicant is always among the people."""

    title: Label
    purpose: str = Field(min_length=1, max_length=4000)
    people: tuple[PersonName, ...] = Field(default=(), max_length=200)
    datasets: tuple[Name, ...] = Field(min_length=1, max_length=100)
    methods: tuple[Method, ...] = Field(min_length=1)
    valid_from: datetime | None = None
    """Absent: now."""
    valid_until: datetime | None = None
    """Absent: one year after ``valid_from``."""
    sites: tuple[SiteName, ...] | None = Field(default=None, max_length=1000)
    """Absent: every site, also those that join later."""
    idempotency_key: Annotated[str, Field(min_length=8, max_length=80)] | None = None


class SitePermit(Contract):
    """How one site stands to a project, as its node last said."""

    site: SiteName
    permit_id: str
    state: PermitState
    revision: int = Field(default=0, ge=0)
    """0 until the site has decided."""
    scope: Scope | None = None
    decided_at: datetime | None = None


class ProjectView(Contract):
    """A project and its permits (``GET /v1/projects/{id}``)."""

    id: ProjectId
    title: Label
    purpose: str
    people: tuple[PersonName, ...]
    scope: Scope
    applied_by: PersonName
    applied_at: datetime
    permits: tuple[SitePermit, ...]


class QueryView(Contract):
    """A query in full (``GET /v1/queries/{id}``): what was asked, and how each site fares."""

    summary: QuerySummary
    submission: Submission
    query_digest: str
    deadline_at: datetime
    sites: tuple[SiteOutcome, ...]


class Health(Contract):
    """Whether the hub lives (``/v1/health``) or can serve (``/v1/ready``)."""

    status: str
    hub_id: str
    protocol: str
    software: str
