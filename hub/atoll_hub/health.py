"""Say whether the hub lives and can serve, and show its OpenAPI document."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from atoll_hub import __version__
from atoll_hub.access import Anyone
from atoll_hub.wire import WireResponse
from atoll_hub.wiring import Hub
from atoll_schemas.people import Health
from atoll_schemas.protocol import PROTOCOL

router = APIRouter(tags=["health"])
OPEN = Depends(Anyone())


def hub_of(request: Request) -> Hub:
    """Return the hub that the wiring put into the application."""
    found: Hub = request.app.state.hub
    return found


TheHub = Annotated[Hub, Depends(hub_of)]


@router.get("/v1/health", response_model=Health, dependencies=[OPEN])
async def health(hub: TheHub) -> Response:
    """Say that the hub lives."""
    return WireResponse(_health(hub, "alive"))


@router.get("/v1/ready", response_model=Health, dependencies=[OPEN])
def ready(hub: TheHub) -> Response:
    """Say that the hub can serve: its database answers and stands at the right migration."""
    hub.check_ready()
    return WireResponse(_health(hub, "ready"))


@router.get("/v1/openapi.json", include_in_schema=False, dependencies=[OPEN])
def document(request: Request) -> Response:
    """Return the OpenAPI document."""
    return Response(json.dumps(request.app.openapi()), media_type="application/json")


def _health(hub: Hub, status: str) -> Health:
    return Health(status=status, hub_id=hub.hub_id, protocol=PROTOCOL, software=f"atoll-hub {__version__}")
