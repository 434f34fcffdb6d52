"""Put the description of the API together: OpenAPI 3.1."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from starlette.routing import BaseRoute, Route

from orchestrator.access.policy import OPEN, need_of, operation_id
from orchestrator.answers import PackedReportAnswer, ProblemAnswer, TaskDone
from orchestrator.errors import (
    CrossSiteError,
    HostNotAllowedError,
    InsufficientScopeError,
    RateLimitError,
    RequestTimeoutError,
    ServiceError,
    UnauthorizedError,
)
from orchestrator.jobs.callbacks import DELIVERY_HEADER, SIGNATURE_HEADER
from orchestrator.openapi.json_schema import Schema, Schemas
from orchestrator.openapi.operation import Answer, Body, Operation
from orchestrator.openapi.operations import OPERATIONS
from orchestrator.routes.kinds import Parameter
from orchestrator.routes.tasks import CALLBACK_URL, LONGEST_KEY

_ABOUT: Final = (
    "Classifies chest radiographs and shows with Grad-CAM where the evidence lies. **Not for clinical use.** Errors are"
    " problem details (RFC 9457) whose `code` is stable; unknown paths answer 404 and wrong methods 405 in the same"
    " way. Where access needs keys, a request without one is answered 401, even for unknown paths; the scope `admin`"
    " opens everything."
)
_EXAMPLE_ID: Final = "0f8fad5b-d9cb-469f-a165-70867728950e"
_PATH_PARAMETERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "task_id": ("Identifier of a task.", {"type": "string", "format": "uuid"}),
    "batch_id": ("Identifier of a batch.", {"type": "string", "format": "uuid"}),
    "key": ("Name of a picture.", {"type": "string"}),
}
_REQUEST_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "Idempotency-Key": (
        "Makes a repeated submission the same task; only a digest of it is kept.",
        {"type": "string", "maxLength": LONGEST_KEY},
    ),
}
_HEADERS: Final[Mapping[str, tuple[str, Schema]]] = {
    "X-Request-ID": (
        "Identifier of the request; a UUID sent with it is taken over.",
        {"type": "string"},
    ),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 0}),
    "Location": ("Path of what was accepted.", {"type": "string", "format": "uri-reference"}),
    "Content-Disposition": ("A file name to keep the answer under.", {"type": "string"}),
    "Cache-Control": ("How long the answer may be kept.", {"type": "string"}),
    "RateLimit-Limit": ("What a caller may ask within a window.", {"type": "integer"}),
    "RateLimit-Remaining": ("What is left of that.", {"type": "integer", "minimum": 0}),
    "RateLimit-Reset": ("Seconds until the window ends.", {"type": "integer", "minimum": 0}),
    "WWW-Authenticate": ("How a key can be shown.", {"type": "string"}),
    "Vary": ("Request headers that the answer depends on.", {"type": "string"}),
}
SECURITY_SCHEMES: Final[Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer KEY`.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key: `X-API-Key: KEY`.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "An API key as the password, with any user name: for browsers.",
    },
}
_ERROR_HEADERS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    409: ("Retry-After",),
    429: ("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    503: ("Retry-After",),
    504: ("Retry-After",),
}
_ALWAYS: Final = "X-Request-ID"
_PROBLEM: Final = "application/problem+json"


def describe(routes: Sequence[BaseRoute], *, with_keys: bool) -> dict[str, Any]:
    """Return the description of every route whose handler `OPERATIONS` knows.

    Args:
        routes: The routes.
        with_keys: Whether access needs keys; otherwise no operation asks for one.
    """
    schemas = Schemas()
    schemas.of(PackedReportAnswer)  # it is inside a ZIP, where no schema leads
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route) and route.endpoint in OPERATIONS:
            for method in sorted((route.methods or set()) - {"HEAD"}):
                described = _operation(route, method, OPERATIONS[route.endpoint], schemas)
                described["security"] = _security(method, route.path) if with_keys else []
                paths.setdefault(route.path, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Chest X-ray service",
            "version": version("cxr-service"),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "./"}],
        "tags": [{"name": tag} for tag in _tags()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {name: _header(name) for name in _HEADERS},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _tags() -> list[str]:
    return list(dict.fromkeys(operation.tag for operation in OPERATIONS.values()))


def _security(method: str, path: str) -> list[Schema]:
    """Return the ways to ask: any scheme, with any of the scopes; ``admin`` opens everything and is named alone."""
    scopes = sorted(need_of(method, path))
    return [{scheme: [scope]} for scope in scopes for scheme in SECURITY_SCHEMES]


def _operation(route: Route, method: str, operation: Operation, schemas: Schemas) -> Schema:
    summary, *_ = (inspect.getdoc(route.endpoint) or "").splitlines()
    described: Schema = {
        "operationId": operation_id(method, route.path),
        "tags": [operation.tag],
        "summary": summary.removesuffix(".").replace("``", ""),
        "parameters": _parameters(route.path, operation),
        "responses": _responses(operation, _general_errors(method, route.path), schemas),
    }
    if operation.more:
        described["description"] = operation.more
    if operation.body is not None:
        described["requestBody"] = _body(operation.body)
        if CALLBACK_URL in operation.body.fields:
            described["callbacks"] = {"taskDone": _callback(schemas)}
    return described


def _callback(schemas: Schemas) -> Schema:
    """Describe what the service itself asks of the address that a caller leaves."""
    headers = {
        SIGNATURE_HEADER: "`t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds, a dot and the body.",
        DELIVERY_HEADER: "Number of the delivery; the same if it comes again.",
    }
    call = {
        "summary": "Tell that a task is done",
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas.of(TaskDone)}},
        },
        "responses": {"2XX": {"description": "It was understood; it will not be repeated."}},
    }
    return {f"{{$request.body#/{CALLBACK_URL.name}}}": {"post": call}}


def _parameters(path: str, operation: Operation) -> list[Schema]:
    in_path = [
        {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
        for name in re.findall(r"{(\w+)}", path)
        for text, schema in [_PATH_PARAMETERS[name]]
    ]
    in_query = [
        {"name": each.name, "in": "query", "description": each.description, "schema": _text(each)}
        for each in operation.query
    ]
    in_header = [
        {"name": name, "in": "header", "description": text, "schema": schema}
        for name in operation.headers
        for text, schema in [_REQUEST_HEADERS[name]]
    ]
    return [*in_path, *in_query, *in_header]


def _body(body: Body) -> Schema:
    in_json = body.media_type == "application/json"
    name, image = body.image
    fields = {
        each.name: (_json(each) if in_json else _text(each)) | {"description": each.description}
        for each in body.fields
    }
    schema = {"type": "object", "properties": {name: image, **fields}, "required": [name]}
    content: Schema = {"schema": schema}
    if body.example is not None:
        content["example"] = body.example
    return {"required": True, "content": {body.media_type: content}}


def _json(parameter: Parameter[Any]) -> Schema:
    """Return the schema of a parameter as a JSON value."""
    schema = parameter.kind.schema()
    schema |= {} if parameter.default is None else {"default": parameter.default}
    schema |= {} if parameter.example is None else {"examples": [parameter.example]}
    return schema


def _text(parameter: Parameter[Any]) -> Schema:
    """Return the schema of a parameter in a form or a query, which hold no arrays.

    A number or a word is text there: generated clients send what has several types as a file.
    """
    schema = _json(parameter)
    kinds = [each for each in schema.pop("anyOf", ()) if each["type"] != "array"]
    if len(kinds) == 1:
        return {**kinds[0], **schema}
    if kinds:
        pattern = "|".join(each.get("const", "[0-9]+") for each in kinds)
        text = {"type": "string", "pattern": f"^({pattern})$", "default": str(schema["default"])}
        return {**schema, **text}
    return schema


def _general_errors(method: str, path: str) -> tuple[type[ServiceError], ...]:
    """Return the errors that an operation may answer before its handler is asked."""
    if need_of(method, path) == OPEN:
        return ()
    found = (
        *(UnauthorizedError, InsufficientScopeError, CrossSiteError, HostNotAllowedError),
        RateLimitError,
    )
    return (*found, RequestTimeoutError) if method == "POST" else found


def _responses(
    operation: Operation, general: Sequence[type[ServiceError]], schemas: Schemas
) -> Schema:
    responses = {str(answer.status): _answer(answer, schemas) for answer in operation.answers}
    by_status: dict[int, list[type[ServiceError]]] = {}
    possible: tuple[type[ServiceError], ...] = (*general, *operation.errors, ServiceError)
    for error in dict.fromkeys(possible):
        by_status.setdefault(error.status, []).append(error)
    for status, found in sorted(by_status.items()):
        responses[str(status)] = _error(found, schemas)
    return responses


def _answer(answer: Answer, schemas: Schemas) -> Schema:
    response: Schema = {"description": answer.text, "headers": _references(answer.headers)}
    content = {
        media_type: {"schema": kind if isinstance(kind, dict) else schemas.of(kind)}
        for media_type, kind in answer.content.items()
    }
    links = {
        name: {
            "operationId": operation_id("get", path),
            "parameters": {field: f"$response.body#/{field}"},
        }
        for name, (path, field) in answer.links.items()
    }
    response |= {"content": content} if content else {}
    response |= {"links": links} if links else {}
    return response


def _error(found: Sequence[type[ServiceError]], schemas: Schemas) -> Schema:
    """Describe the errors of one status: which codes it may have, with an example of each."""
    schema = {
        "allOf": [
            schemas.of(ProblemAnswer),
            {
                "properties": {
                    "status": {"type": "integer", "enum": [found[0].status]},
                    "code": {"enum": [error.code for error in found]},
                }
            },
        ]
    }
    examples = {
        error.code: {"summary": error_text(error), "value": _example(error)} for error in found
    }
    return {
        "description": " ".join(f"`{error.code}`: {error_text(error)}" for error in found),
        "headers": _references(_ERROR_HEADERS.get(found[0].status, ())),
        "content": {_PROBLEM: {"schema": schema, "examples": examples}},
    }


def error_text(error: type[ServiceError]) -> str:
    """Return the sentence that says what an error means."""
    if error is ServiceError:
        return "A defect of the service; quote the request id when you report it."
    return (inspect.getdoc(error) or "").splitlines()[0]


def _example(error: type[ServiceError]) -> ProblemAnswer:
    return error(error_text(error)).as_json(_EXAMPLE_ID)


def _references(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (_ALWAYS, *names)}


def _header(name: str) -> Schema:
    text, schema = _HEADERS[name]
    return {"description": text, "required": name == _ALWAYS, "schema": schema}
