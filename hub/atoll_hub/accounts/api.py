"""Serve an operator's view of people."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response

from atoll_hub.access import People, PersonCaller
from atoll_hub.accounts.service import Accounts
from atoll_hub.wire import WireResponse, wire_list
from atoll_schemas.people import NewPerson, Person, PersonName, PersonToken, Role

router = APIRouter(tags=["people"])
Operator = Annotated[PersonCaller, Depends(People(Role.OPERATOR))]


def accounts_of(request: Request) -> Accounts:
    """Return the accounts that the wiring put into the application."""
    found: Accounts = request.app.state.accounts
    return found


Service = Annotated[Accounts, Depends(accounts_of)]


@router.get("/v1/users", response_model=list[Person])
def list_people(caller: Operator, accounts: Service) -> Response:
    """List everybody, also those shut out."""
    return wire_list(accounts.everybody())


@router.post("/v1/users", response_model=PersonToken, status_code=201)
def add_person(caller: Operator, accounts: Service, new: NewPerson) -> Response:
    """Add a person; the answer shows their token, this once."""
    return WireResponse(accounts.add(new, caller.actor), status_code=201)


@router.delete("/v1/users/{name}", status_code=204, response_class=Response)
def revoke_person(caller: Operator, accounts: Service, name: Annotated[PersonName, Path()]) -> Response:
    """Shut a person out; their tokens end at once."""
    accounts.revoke(name, caller.actor)
    return Response(status_code=204)
