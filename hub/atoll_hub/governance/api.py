"""Serve projects to people, and take permits from nodes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from atoll_hub.access import NodeCaller, People, PersonCaller
from atoll_hub.accounts.api import Service as AccountsService
from atoll_hub.governance.service import Governance
from atoll_hub.nodes.api import Service as NodesService
from atoll_hub.nodes.api import speaking_node
from atoll_hub.wire import WireResponse, wire_list
from atoll_schemas.people import Me, ProjectApplication, ProjectView, Role
from atoll_schemas.protocol import PermitStatement
from atoll_schemas.query import ProjectId

router = APIRouter()
AnyPerson = Annotated[PersonCaller, Depends(People())]
Applicant = Annotated[PersonCaller, Depends(People(Role.RESEARCHER, Role.PARTNER, Role.OPERATOR))]


def governance_of(request: Request) -> Governance:
    """Return the governance that the wiring put into the application."""
    found: Governance = request.app.state.governance
    return found


Service = Annotated[Governance, Depends(governance_of)]


@router.get("/v1/me", response_model=Me, tags=["people"])
def me(request: Request, caller: AnyPerson, accounts: AccountsService, governance: Service) -> Response:
    """Say who the caller is, what they may do, and which projects they belong to."""
    token = request.headers["authorization"].partition(" ")[2].strip()
    return WireResponse(
        Me(
            name=caller.name,
            role=caller.role,
            projects=tuple(governance.projects_of(caller.name)),
            hub_id=request.app.state.hub_id,
            token_expires_at=accounts.token_end(token).expires_at,
        )
    )


@router.post("/v1/projects", response_model=ProjectView, status_code=201, tags=["projects"])
def apply(caller: Applicant, governance: Service, application: ProjectApplication) -> Response:
    """Open a project; every site it concerns is asked for a permit."""
    view = governance.apply(application, caller)
    return WireResponse(view, status_code=201, headers={"Location": f"/v1/projects/{view.id}"})


@router.get("/v1/projects", response_model=list[ProjectView], tags=["projects"])
def list_projects(caller: AnyPerson, governance: Service) -> Response:
    """List the caller's projects; stewards and operators see all."""
    return wire_list(governance.projects(caller))


@router.get("/v1/projects/{project}", response_model=ProjectView, tags=["projects"])
def show_project(caller: AnyPerson, governance: Service, project: Annotated[ProjectId, Path()]) -> Response:
    """Show one project and how each site stands to it."""
    return WireResponse(governance.project(project, caller))


@router.post("/v1/node/permits", status_code=204, response_class=Response, tags=["node"])
def state_permit(
    caller: Annotated[NodeCaller, Depends(speaking_node)],
    nodes: NodesService,
    governance: Service,
    statement: PermitStatement,
) -> Response:
    """Keep a permit that the site's steward decided and its node signed."""
    governance.keep(statement, caller, nodes.key_of(caller))
    return Response(status_code=204)
