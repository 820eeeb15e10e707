"""Serve sites to people, and enrolment and tokens to nodes."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from atoll_hub.access import Anyone, Node, NodeCaller, People, PersonCaller
from atoll_hub.nodes import rules
from atoll_hub.nodes.service import Nodes
from atoll_hub.wire import WireResponse
from atoll_schemas.people import Invitation, NewInvitation, Role
from atoll_schemas.protocol import PROTOCOL_HEADER, Enrolled, Enrolment, TokenReply
from atoll_schemas.query import SiteName

router = APIRouter()
LONGEST_FORM = 16_384
Protocol = Annotated[str | None, Header(alias=PROTOCOL_HEADER, description="The node's protocol version: 1")]
Open = Annotated[None, Depends(Anyone())]
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type", "client_assertion_type", "client_assertion"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": [rules.GRANT_TYPE]},
                        "client_assertion_type": {"type": "string", "enum": [rules.ASSERTION_TYPE]},
                        "client_assertion": {"type": "string", "description": "RFC 7523 JWT, ES256"},
                    },
                }
            }
        },
    }
}


def nodes_of(request: Request) -> Nodes:
    """Return the nodes that the wiring put into the application."""
    found: Nodes = request.app.state.nodes
    return found


Service = Annotated[Nodes, Depends(nodes_of)]


def speaking_node(
    caller: Annotated[NodeCaller, Depends(Node())], nodes: Service, version: Protocol = None
) -> NodeCaller:
    """Return the calling node once its protocol version is known to be the hub's."""
    nodes.check_protocol(caller, version)
    return caller


@router.post("/v1/sites/{site}/invite", response_model=Invitation, status_code=201, tags=["sites"])
def invite(
    caller: Annotated[PersonCaller, Depends(People(Role.OPERATOR))],
    nodes: Service,
    site: Annotated[SiteName, Path()],
    new: NewInvitation,
) -> Response:
    """Make a one-time enrolment code for a site; it is shown this once."""
    return WireResponse(nodes.invite(site, new, caller.actor), status_code=201)


@router.post("/v1/node/enrol", response_model=Enrolled, tags=["node"])
def enrol(access: Open, nodes: Service, enrolment: Enrolment, version: Protocol = None) -> Response:
    """Register a node's public key against its one-time code."""
    rules.check_protocol(version)
    return WireResponse(nodes.enrol(enrolment))


@router.post("/v1/token", response_model=TokenReply, tags=["node"], openapi_extra=_FORM)
async def token(access: Open, nodes: Service, request: Request, version: Protocol = None) -> Response:
    """Exchange a signed client assertion for an access token of at most five minutes."""
    form = _form(await request.body())
    reply = await run_in_threadpool(nodes.grant, form, version)
    return WireResponse(reply, headers={"Cache-Control": "no-store"})


def _form(body: bytes) -> dict[str, str]:
    if len(body) > LONGEST_FORM:
        return {}
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=20))
    except ValueError:
        return {}
