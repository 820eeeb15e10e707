"""Write the OpenAPI document: every operation with its callers and every error it can answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from atoll_hub.boundary import PROBLEM_TYPE
from atoll_schemas.problems import Problem

_CAUSES = {
    400: "The request cannot be read",
    401: "Who calls is not known",
    403: "Who calls may not do this",
    404: "There is no such thing, or the caller may not know that there is",
    409: "The thing is in another state",
    413: "The body is too large",
    422: "The request is read and cannot be taken",
    500: "A fault in the hub; its trace id finds it in the log",
    503: "The hub cannot serve now",
}
_EXAMPLE = {
    "type": "about:blank",
    "title": "This is not allowed",
    "status": 403,
    "code": "permit.missing",
    "detail": "no site has an active permit for this project, dataset and method",
    "next_step": "ask the site's steward, who decides at the node: atoll-node permits approve",
    "trace_id": "0f3a5c7e9b1d2f40",
}


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description="The hub of an Atoll federation. See docs/reference/hub-api.md.",
            routes=app.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                _document_errors(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _document_errors(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(_CAUSES):
        responses[str(status)] = {
            "description": _CAUSES[status],
            "content": {
                PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _EXAMPLE}
            },
        }
