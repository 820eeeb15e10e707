"""Start one federation for all end-to-end tests; each test finds it whole."""

from collections.abc import Iterator

import pytest

from tests.support.federation import LEASE_SECONDS, Federation, running_federation
from tests.support.federation_exports import Exports, write_exports
from tests.support.hub import start_hub


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return write_exports(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory, exports: Exports) -> Iterator[Federation]:
    tmp = tmp_path_factory.mktemp("federation")
    hub = start_hub(tmp, settings={"lease_seconds": str(LEASE_SECONDS)})
    with running_federation(tmp, hub, exports.settings) as federation:
        yield federation


@pytest.fixture
def federation(started: Federation) -> Federation:
    """The hub and its three nodes, up and in touch, whatever the test before did to them."""
    started.restore()
    return started
