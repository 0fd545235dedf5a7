"""Whatever the API's document allows is asked of a running proxy, and what it doesn't: are the answers as documented?"""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import provider_section, proxy_in_thread

BEARER = {"Authorization": "Bearer correct-horse"}
MOST_CASES = 60
# There is nothing to compare before something has been mirrored.
NEEDS_TRAFFIC = "GET /admin/routes/{model}/shadow"
SETTINGS = settings(
    max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture
def running() -> Iterator[str]:
    """The origin of a proxy in a thread of its own, with a provider that answers and one that is gone."""
    with proxy_in_thread(
        lambda straw: {
            "server": {"listen": "127.0.0.1:0", "shutdown_grace_s": 1, "shutdown_idle_s": 0},
            "admin": {"token": "correct-horse"},
            "providers": {
                "straw": provider_section(straw),
                "gone": {"base_url": "http://127.0.0.1:9/v1", "api_key": "key-of-gone"},
            },
            "models": {"fast": {"endpoints": [{"provider": "straw", "model_id": "straw-small"}]}},
        }
    ) as origin:
        yield origin


@pytest.fixture
def document(running: str) -> dict[str, Any]:
    """What the API says of itself."""
    return ask_for(running, "openapi.json")


def ask_for(running: str, path: str, body: object = None) -> dict[str, Any]:
    """What the API answers."""
    sent = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{running}/admin/{path}", sent, BEARER)) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def make_ready(running: str, case: Case[Any]) -> None:
    """Bring about what a call needs to find: a shift can only be told of while there is one."""
    if "/shift/" not in case.operation.path:
        return
    ask_for(running, "routes", {"model": "fast", "endpoints": [{"provider": "straw", "model_id": "old"}]})
    shift = {"steps": [5, 100], "every_s": 3600}
    new = {"model": "fast", "endpoints": [{"provider": "straw", "model_id": "new"}], "shift": shift}
    ask_for(running, "routes", new)
    if case.operation.path.endswith("/resume"):
        ask_for(running, "routes/fast/shift/pause", {})


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document for clients that know the names which exist here: others get no further than to be told."""
    known = {"provider": ["straw", "gone"], "name": ["straw", "gone"], "model": ["fast", "team/fast", "ü\u2028?"]}
    for schema in document["components"]["schemas"].values():
        for name, values in known.items():
            if name in schema.get("properties", {}) and not schema.get("additionalProperties", True):
                schema["properties"][name]["enum"] = values
    for operations in document["paths"].values():
        for operation in operations.values():
            # With the key of another change, none gets far.
            operation["parameters"] = [each for each in operation["parameters"] if each["name"] != "Idempotency-Key"]
            for parameter in operation["parameters"]:
                if parameter["name"] in known:
                    parameter["schema"]["enum"] = known[parameter["name"]]
    return document


def some_of(cases: list[Case[Any]]) -> list[Case[Any]]:
    """Up to about `MOST_CASES` of them, spread over all: a route alone has hundreds of ways to be wrong."""
    return cases[:: ceil(len(cases) / MOST_CASES) or 1]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not allowed"])
def test_calls_answer_as_documented(running: str, document: dict[str, Any], mode: GenerationMode) -> None:
    """Every answer has a documented status, type and shape, what isn't allowed is refused, and nothing is our fault."""
    # One event is enough of a stream of them.
    config = SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(max_stream_events=1)))
    known = narrowed(document) if mode is GenerationMode.POSITIVE else document
    schema = schemathesis.openapi.from_dict(known, config=config)
    answers: Counter[tuple[str, int]] = Counter()

    def ask(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            make_ready(running, case)
        response = case.call(base_url=running, headers=BEARER, timeout=30)
        answers[case.operation.label, response.status_code // 100] += 1
        case.validate_response(response, checks=CHECKS, headers=BEARER)

    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found.err()
        operation = found.ok()
        covering = schema.iter_coverage_cases(
            operation, generation_modes=[mode], generation_config=schema.config.generation
        )
        for case in some_of(list(covering)):
            ask(case)
        SETTINGS(given(operation.as_strategy(generation_mode=mode))(ask))()

    calls = {name for name, _ in answers}
    assert len(calls) == sum(map(len, document["paths"].values()))
    if mode is GenerationMode.POSITIVE:
        assert calls - {NEEDS_TRAFFIC} <= {name for name, status_class in answers if status_class == 2}
