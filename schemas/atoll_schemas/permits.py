"""Describe what a project may ask of a site: asked by the hub, granted by the site's steward."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from atoll_schemas.contract import Contract
from atoll_schemas.query import Label, Method, Name, ProjectId, SiteName

PermitState = Literal["requested", "active", "suspended", "rejected"]


class Scope(Contract):
    """The bounds of a permit: datasets, methods and period (UTC, end excluded)."""

    datasets: tuple[Name, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    valid_from: datetime
    valid_until: datetime


class PermitRequest(Contract):
    """A project's application as a site's steward reads it."""

    permit_id: str
    project: ProjectId
    title: Label
    purpose: str = Field(min_length=1, max_length=4000)
    people: tuple[Label, ...]
    scope: Scope
    requested_at: datetime


class Permit(Contract):
    """A steward's decision on one request. The steward may narrow the scope, never widen it."""

    permit_id: str
    project: ProjectId
    site: SiteName
    state: PermitState
    scope: Scope
    purpose: str
    decided_by: Label
    decided_at: datetime
    revision: int = Field(ge=1, le=2**53 - 1)
    """Grows with each decision; the hub keeps the highest. A larger one has no canonical form."""
