"""The description is sound OpenAPI 3.1, complete, and says of parameters what reading them says."""

import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from orchestrator.app import create_app
from orchestrator.errors import ParameterError, ServiceError
from orchestrator.routes import stats, tasks
from orchestrator.routes.kinds import Parameter
from orchestrator.routes.parameters import OPTIONS
from orchestrator.settings import Settings

# The base of each branch, and what every path has in common and the description says once
SAID_ONCE = {"bad_request", "dependency_unavailable", "method_not_allowed"}


@pytest.fixture(scope="module")
def app() -> Starlette:
    return create_app(Settings())


@pytest.fixture(scope="module")
def document(app: Starlette) -> Any:
    return app.state.openapi


def operations(document: Any) -> dict[tuple[str, str], Any]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_an_independent_validator_takes_it_for_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_and_method_is_described_and_nothing_else(
    app: Starlette, document: Any
) -> None:
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(operations(document)) == routes
    others = [route for route in app.routes if not isinstance(route, Route)]
    assert [route.path for route in others if isinstance(route, Mount)] == ["/static"]
    assert len(others) == 1


def test_operations_have_names_of_their_own(document: Any) -> None:
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in names)


def tree(error: type[ServiceError]) -> list[type[ServiceError]]:
    return [error, *(each for child in error.__subclasses__() for each in tree(child))]


def test_every_error_is_described_with_its_status(document: Any) -> None:
    described: dict[str, set[str]] = {}
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            for content in [response.get("content", {}).get("application/problem+json")]:
                for code in (content or {}).get("examples", {}):
                    described.setdefault(code, set()).add(status)
    expected = {error.code: {str(error.status)} for error in tree(ServiceError)}
    assert described == {code: found for code, found in expected.items() if code not in SAID_ONCE}


def test_results_that_are_no_longer_kept_are_described(document: Any) -> None:
    for path in ("/tasks/{task_id}/result", "/batches/{batch_id}/result"):
        gone = operations(document)["GET", path]["responses"]["410"]
        assert "task_expired" in gone["content"]["application/problem+json"]["examples"]


def test_examples_of_errors_fit_their_own_schemas(document: Any) -> None:
    checked = 0
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            problem = response.get("content", {}).get("application/problem+json", {})
            for example in problem.get("examples", {}).values():
                schema = {**problem["schema"], "components": document["components"]}
                jsonschema.validate(example["value"], schema)
                assert str(example["value"]["status"]) == status
                checked += 1
    assert checked > 150


def test_what_is_no_json_is_described_as_text_or_bytes(document: Any) -> None:
    kinds = {
        media_type: content["schema"]["type"]
        for operation in operations(document).values()
        for response in operation["responses"].values()
        for media_type, content in response.get("content", {}).items()
        if not media_type.endswith("json")
    }
    assert "text/event-stream" in kinds
    assert set(kinds.values()) == {"string"}


def test_the_status_of_an_error_is_an_integer_in_every_part_of_its_schema(document: Any) -> None:
    """Generators of clients that merge the parts leave out answers where the types differ."""
    whole = document["components"]["schemas"]["Problem"]["properties"]["status"]
    assert whole["type"] == "integer"
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            for problem in [response.get("content", {}).get("application/problem+json")]:
                if problem:
                    part = problem["schema"]["allOf"][1]["properties"]["status"]
                    assert part == {"type": "integer", "enum": [int(status)]}


def test_every_sentence_is_there(document: Any) -> None:
    for operation in operations(document).values():
        assert operation["summary"]
        assert all(each["description"] for each in operation["parameters"])
        for response in operation["responses"].values():
            assert response["description"]
            assert "X-Request-ID" in response["headers"]


PARAMETERS: list[Parameter[Any]] = [
    *OPTIONS,
    *{each.name: each for each in (*stats.DAILY.parameters, *stats.WEEKLY.parameters)}.values(),
    tasks.CALLBACK_URL,
]
VALUES: list[Any] = [
    *(-1, 0, 1, 2, 7, 8, 106, 107, 200, 201, 255, 256, 366, 367, 8192, 8193, 2**31, 2**31 + 1),
    *(
        "original",
        "positive",
        "jpeg",
        "gif",
        "csv",
        "pdf",
        "2026-11-22",
        "2026-11-31",
        "1999-12-31",
    ),
    *(True, False, [1], ["Mass"], {"a": 1}, 40.5),
]


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_the_schema_of_a_parameter_takes_what_is_read(parameter: Parameter[Any]) -> None:
    schema = parameter.kind.schema()
    checker = jsonschema.FormatChecker(["date"])
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    taken = [value for value in VALUES if validator.is_valid(value)]
    read = [value for value in VALUES if is_read(parameter, value)]
    assert taken
    assert taken == read
    assert len(read) < len(VALUES)


def is_read(parameter: Parameter[Any], value: Any) -> bool:
    try:
        parameter.read({parameter.name: value})
    except ParameterError:
        return False
    return True


@pytest.mark.parametrize("path", ["/densenet_predict", "/async/densenet_predict", "/async/batch"])
def test_a_parameter_in_a_form_has_one_type(document: Any, path: str) -> None:
    """Clients that are generated send what may be a number or a text as a file."""
    content = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]
    fields = content["schema"]["properties"]
    assert {type(field.get("type")) for field in fields.values()} == {str}
    size = fields["max_size"]
    assert size["description"]
    assert (size["type"], size["default"]) == ("string", "1024")
    validator = jsonschema.Draft202012Validator(size)
    values = ["256", "8192", "original", "", "large", "-1", "10.5", "1024px", "originals", 1024]
    taken = [value for value in values if validator.is_valid(value)]
    assert taken == ["256", "8192", "original"]


def test_defaults_are_values_that_are_taken() -> None:
    for parameter in PARAMETERS:
        if parameter.default not in (None, ""):
            jsonschema.validate(parameter.default, parameter.kind.schema())
