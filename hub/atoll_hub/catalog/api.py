"""Serve datasets and sites to people, and take catalogs from nodes."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from atoll_hub.access import NodeCaller, People, PersonCaller
from atoll_hub.catalog.service import Catalog
from atoll_hub.nodes.api import Service as NodesService
from atoll_hub.nodes.api import speaking_node
from atoll_hub.wire import WireResponse, wire_list
from atoll_schemas.catalog import CatalogEntry, CatalogPush, SiteView
from atoll_schemas.people import DatasetVariables, DatasetView
from atoll_schemas.query import Name

router = APIRouter()
AnyPerson = Annotated[PersonCaller, Depends(People())]
DatasetName = Annotated[Name, Path(examples=["colon"])]


def catalog_of(request: Request) -> Catalog:
    """Return the catalog that the wiring put into the application."""
    found: Catalog = request.app.state.catalog
    return found


Service = Annotated[Catalog, Depends(catalog_of)]


@router.get("/v1/sites", response_model=list[SiteView], tags=["sites"])
def list_sites(caller: AnyPerson, nodes: NodesService, catalog: Service) -> Response:
    """List the sites, whether their nodes are there, and what they offer."""
    offers = catalog.offers()
    views = (view.model_copy(update={"datasets": offers.get(view.site, ())}) for view in nodes.sites())
    return wire_list(views)


@router.get("/v1/datasets", response_model=list[DatasetView], tags=["datasets"])
def list_datasets(
    caller: AnyPerson, catalog: Service, q: Annotated[str, Query(max_length=200, examples=["colon"])] = ""
) -> Response:
    """List or search datasets: names, tables, fields, concepts, codes, variables and outcomes."""
    return wire_list(catalog.datasets(q))


@router.get("/v1/datasets/{name}", response_model=list[CatalogEntry], tags=["datasets"])
def show_dataset(caller: AnyPerson, catalog: Service, name: DatasetName) -> Response:
    """Show one dataset in full, one entry a site."""
    return wire_list(catalog.entries(name))


@router.get("/v1/datasets/{name}/variables", response_model=DatasetVariables, tags=["datasets"])
def list_variables(caller: AnyPerson, catalog: Service, name: DatasetName) -> Response:
    """List the variables and outcomes that may be asked for by name."""
    return WireResponse(catalog.variables(name))


@router.post("/v1/node/catalog", status_code=204, response_class=Response, tags=["node"])
def push_catalog(
    caller: Annotated[NodeCaller, Depends(speaking_node)], catalog: Service, push: CatalogPush
) -> Response:
    """Take a site's whole catalog in the place of the one before."""
    catalog.replace(push, caller)
    return Response(status_code=204)
