"""Write contracts to the wire as they say themselves: aliases, and absent fields left out."""

from collections.abc import Iterable

from fastapi.responses import Response

from atoll_schemas.contract import Contract


class WireResponse(Response):
    """A JSON answer that holds one contract."""

    media_type = "application/json"

    def __init__(self, contract: Contract, status_code: int = 200, headers: dict[str, str] | None = None):
        super().__init__(wire_json(contract), status_code=status_code, headers=headers)


def wire_json(contract: Contract) -> str:
    """Return a contract's JSON text."""
    return contract.model_dump_json(by_alias=True, exclude_none=True)


def wire_list(contracts: Iterable[Contract]) -> Response:
    """Return a JSON answer that holds a list of contracts."""
    text = "[" + ",".join(wire_json(contract) for contract in contracts) + "]"
    return Response(text, media_type="application/json")
