"""OpenAPI 3.1, generated from the routes' declarations."""

from http import HTTPStatus
from typing import Any

import msgspec

from homeport_app.contract.problems import CONTENT_TYPE, ProblemDetails
from homeport_app.contract.service import Answer, Route, Service

_REFERENCE = "#/components/schemas/{name}"


def describe(service: Service, version: str) -> dict[str, Any]:
    """The service's OpenAPI document, as JSON-like values."""
    kinds = [ProblemDetails]
    for route in service.routes:
        kinds += [kind for kind in (*route.parameters.values(), route.body, route.returns) if _has_schema(kind)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    by_kind = list(zip(kinds, schemas, strict=True))

    def schema(kind: Any) -> dict[str, Any]:
        return next(found for known, found in by_kind if known == kind)

    paths: dict[str, dict[str, Any]] = {}
    for route in service.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": service.name, "summary": service.summary, "version": version},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, schema: Any) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.returns is Answer:
        success["content"] = {route.content_type: {"schema": {"type": "string"}}}
    elif _has_schema(route.returns):
        success["content"] = {route.content_type: {"schema": schema(route.returns)}}
    problem = {CONTENT_TYPE: {"schema": schema(ProblemDetails)}}
    responses: dict[str, Any] = {str(route.status): success}
    for status, description in sorted(_problems(route).items()):
        responses[str(status)] = {"description": description, "content": problem}
    responses["default"] = {"description": "Any other error.", "content": problem}
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.handler.__name__}",
        "summary": route.summary,
        "responses": responses,
    }
    if route.description:
        operation["description"] = route.description
    if route.parameters:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema(kind)}
            for name, kind in route.parameters.items()
        ]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema(route.body)}}}
    return operation


def _problems(route: Route) -> dict[int, str]:
    found: dict[int, str] = {}
    if route.parameters:
        found |= {400: "The path is not valid UTF-8.", 422: "A part of the path is out of its bounds."}
    if route.body is not None:
        found |= {
            400: "The request is not valid UTF-8 or JSON.",
            413: "The body is too large.",
            422: "A value or field is of the wrong type, out of its bounds, or unknown.",
        }
    return found | route.problems


def _has_schema(kind: Any) -> bool:
    return kind is not None and kind is not Answer
