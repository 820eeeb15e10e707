"""The hub keeps what its OpenAPI document says, for whatever is sent to it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from atoll_hub.queries.examples import SUBMISSION_EXAMPLES
from atoll_schemas.query import Submission
from tests.support.hub import HubProcess, PlainNode, start_hub
from tests.support.hub_consortium import catalog, project, submission

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES_PER_OPERATION = 8
BUDGET = settings(
    max_examples=EXAMPLES_PER_OPERATION,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)


@dataclass
class Fuzzed:
    """A running hub, and who calls it."""

    hub: HubProcess
    document: dict[str, Any]
    person: str
    node: str

    def headers(self, path: str) -> dict[str, str]:
        token = self.node if path.startswith("/v1/node/") else self.person
        return {"Authorization": f"Bearer {token}", "Atoll-Protocol": "1"}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    hub = start_hub(Path(tmp_path_factory.mktemp("fuzz")))
    try:
        person = hub.add_user("olga", "operator")
        north = PlainNode.at(hub.url)
        north.enrol(hub.invite("north"))
        north.sign_in()
        north.post("catalog", catalog("north").wire())
        with hub.client(person) as olga:
            olga.post("/v1/projects", json=project())
            for request in north.applications():
                north.state_permit(north.decide(request))
            olga.post("/v1/queries", json=submission())
            document = olga.get("/v1/openapi.json").json()
        yield Fuzzed(hub, document, person, north.token or "")
    finally:
        hub.kill()


@pytest.mark.slow
def test_whatever_is_sent_the_answer_is_documented_and_no_fault(fuzzed: Fuzzed):
    schema = schemathesis.openapi.from_dict(fuzzed.document)
    schema.config.update(base_url=fuzzed.hub.url)
    tried = 0
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in schemathesis.GenerationMode:

            @given(case=operation.as_strategy(generation_mode=mode))
            @BUDGET
            def call(case: Any) -> None:
                nonlocal tried
                tried += 1
                for place in (case.body, case.query):
                    if isinstance(place, dict):
                        place.pop("wait_seconds", None)
                        place.pop("wait", None)
                if case.path == "/v1/node/poll" and isinstance(case.body, dict):
                    case.body["wait_seconds"] = 0
                response = case.call(headers=fuzzed.headers(case.path), timeout=30)
                case.validate_response(response, checks=CHECKS)

            # An operation that takes nothing has no invalid input to make.
            with suppress(Unsatisfiable):
                call()
    assert tried > 200
    assert "fault" not in fuzzed.hub.log()


def test_every_operation_documents_its_errors_as_problems(fuzzed: Fuzzed):
    for path in fuzzed.document["paths"].values():
        for operation in path.values():
            for status in ("400", "401", "403", "404", "409", "413", "422", "500"):
                assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


def test_the_documented_example_is_a_submission():
    for example in SUBMISSION_EXAMPLES.values():
        assert Submission.model_validate(example["value"]).query.dataset == "colon"
