"""Check the one promise that every wire type makes: an optional field may be absent."""

import inspect
import types
import typing

import pytest

from atoll_schemas import audit, catalog, people, permits, problems, protocol, query, results
from atoll_schemas.contract import Contract

MODULES = (audit, catalog, people, permits, problems, protocol, query, results)
CONTRACTS = sorted(
    {
        found
        for module in MODULES
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Contract) and found.__module__ == module.__name__
    },
    key=lambda contract: f"{contract.__module__}.{contract.__qualname__}",
)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_field_that_may_be_none_may_be_absent(contract: type[Contract]) -> None:
    optional = {
        name
        for name, annotation in typing.get_type_hints(contract).items()
        if isinstance(annotation, types.UnionType) and type(None) in typing.get_args(annotation)
    }
    required = {name for name, field in contract.model_fields.items() if field.is_required()}
    assert not optional & required, "wire() leaves None out, so reading it back would fail"


def test_an_open_bin_survives_the_wire() -> None:
    opened = results.Bin(high=50.0, persons={"kind": "counted", "value": 55})  # type: ignore[arg-type]
    assert results.Bin.from_wire(opened.wire()) == opened
