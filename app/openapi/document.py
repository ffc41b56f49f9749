"""The OpenAPI document: the route table, what its endpoints say of themselves, and the schemas of all they name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from starlette.routing import BaseRoute, Route

from app.auth import cookies
from app.core.settings import Settings
from app.openapi.event_schemas import EVENT_MODELS, EVENT_SCHEMAS
from app.openapi.operation import Answer, Operation, Operations, Parameter, Setting, Shape, media
from app.openapi.parameters import IN_PATH
from app.openapi.problems import Problem, problems_of, response
from app.routing import AuthenticatedRoute

_REF = "#/components/schemas/{model}"
_DESCRIPTION = """Manuscripts into narrated audio, chapter by chapter, watched live.

JSON in camelCase. Errors are `application/problem+json` (RFC 9457) with a stable `code`. What is not yours is 404.
Everywhere: 400 `bad_http`, 405 `method_not_allowed`, and 431 `head_too_large` for a head of more than 64 KiB."""

Mode = Literal["validation", "serialization"]
Refs = Mapping[tuple[type[BaseModel], Mode], Mapping[str, Any]]


class _Plain(GenerateJsonSchema):
    """Schemas without a title for each field, which would only be its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document(routes: Iterable[BaseRoute], settings: Settings) -> dict[str, Any]:
    """The document, as JSON values. Raises KeyError for an endpoint that does not describe itself."""
    shown = [route for route in routes if isinstance(route, Route) and route.include_in_schema]
    refs, schemas = _schemas([operation_of(route) for route in shown])
    paths: dict[str, Any] = {}
    for route in shown:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, method, refs)
    found = {
        "openapi": "3.1.1",
        "info": {"title": "SmartVoice", "version": version("smartvoice"), "description": _DESCRIPTION},
        "tags": _tags(shown),
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _ways_in(settings)},
    }
    return _settled(found, settings)  # type: ignore[no-any-return] # of a dict it makes a dict


def operation_of(route: Route) -> Operation:
    """What the endpoint's module says of it, in `OPERATIONS`."""
    operations: Operations = sys.modules[route.endpoint.__module__].OPERATIONS
    return operations[route.endpoint]


def _tags(routes: Iterable[Route]) -> list[dict[str, str]]:
    """One for each module of endpoints, described as the module describes itself."""
    modules = dict.fromkeys(route.endpoint.__module__ for route in routes)
    lines = {module: (sys.modules[module].__doc__ or "").partition("\n")[0] for module in modules}
    return [{"name": _tag(module), "description": line} for module, line in lines.items()]


def _tag(module: str) -> str:
    return module.rpartition(".")[2]


def _operation(route: Route, method: str, refs: Refs) -> dict[str, Any]:
    said = operation_of(route)
    answers = {str(status): _answer(answer, refs) for status, answer in said.answers.items()}
    refused = {str(status): response(status, codes) for status, codes in problems_of(said, method, route).items()}
    found: dict[str, Any] = {
        "operationId": f"{_tag(route.endpoint.__module__)}_{route.endpoint.__name__}",
        "tags": [_tag(route.endpoint.__module__)],
        "summary": said.summary,
        "description": said.description,
        "parameters": [*_in_path(route), *map(_parameter, said.parameters)],
        "security": _security(route),
        "responses": dict(sorted((answers | refused).items())),
    }
    if said.body is not None:
        content = _content(media(said.body), refs, "validation")
        found["requestBody"] = {"required": said.body_required, "content": content}
    return {name: value for name, value in found.items() if value or name == "security"}


def _answer(answer: Answer, refs: Refs) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        found["headers"] = {header.name: _header(header) for header in answer.headers}
    if answer.content is not None:
        found["content"] = _content(answer.media, refs, "serialization")
    return found


def _content(shapes: Mapping[str, Shape], refs: Refs, mode: Mode) -> dict[str, Any]:
    return {kind: {"schema": _schema(shape, refs, mode)} for kind, shape in shapes.items()}


def _schema(shape: Shape, refs: Refs, mode: Mode) -> Mapping[str, Any]:
    return refs[shape, mode] if isinstance(shape, type) else shape


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": IN_PATH[name][0], "description": IN_PATH[name][1]}
        for name in route.param_convertors
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.name, "in": parameter.place, **_header(parameter)}


def _header(parameter: Parameter) -> dict[str, Any]:
    required = {"required": True} if parameter.required else {}
    return {"description": parameter.description, "schema": parameter.schema, **required}


def _security(route: Route) -> list[dict[str, list[str]]]:
    if not isinstance(route, AuthenticatedRoute):
        return []
    return [{way: []} for way in ("bearer", "cookie", *(["ticket"] if route.tickets else []))]


def _ways_in(settings: Settings) -> dict[str, Any]:
    cookie = cookies.name_of(cookies.SESSION, secure=settings.over_https)
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of `smartvoice token`, or of another issuer that is trusted here.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": cookie,
            "description": "What `POST /api/session` sets. Over https its name begins with `__Host-`.",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "What `POST /api/events/tickets` answers; good for one stream, once, within 30 s.",
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[Refs, dict[str, Any]]:
    """The schemas of all models that are named anywhere, by name, and where each is to be found."""
    wanted: dict[tuple[type[BaseModel], Mode], None] = {(Problem, "serialization"): None}
    wanted |= {(model, "serialization"): None for model in EVENT_MODELS}
    for operation in operations:
        wanted |= {(shape, "validation"): None for shape in _models(media(operation.body))}
        for answer in operation.answers.values():
            wanted |= {(shape, "serialization"): None for shape in _models(answer.media)}
    refs, defined = models_json_schema(list(wanted), ref_template=_REF, schema_generator=_Plain)
    return cast(Refs, refs), defined["$defs"] | EVENT_SCHEMAS


def _models(shapes: Mapping[str, Shape]) -> list[type[BaseModel]]:
    return [shape for shape in shapes.values() if isinstance(shape, type)]


def _settled(value: Any, settings: Settings) -> Any:
    """`value` with settings where their names stand."""
    if isinstance(value, Setting):
        return getattr(settings, value.name)
    if isinstance(value, Mapping):
        return {name: _settled(one, settings) for name, one in value.items()}
    return [_settled(one, settings) for one in value] if isinstance(value, list) else value
