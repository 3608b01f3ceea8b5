"""Whatever is sent to whatever endpoint: an answer in the face's shape, and never one of 500 and above."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from objects.conftest import MEASURED, named, text
from real_server import RealServer

from cosphere_jupyter.handlers.routes import ROUTES

pytestmark = pytest.mark.slow

KEYS = [
    *("object_id", "version_id", "action_id", "schema", "data", "name", "mass", "sample", "is_good", "notes", "_type"),
    *("text", "value", "magnitude", "units", "magnitude_in_base_units", "dimensionality", "storage", "url", "hash"),
    *("original_file_name", "base64_content", "algorithm", "hexdigest", "content", "users", "groups", "projects"),
    *("authenticated_users", "type", "title", "properties", "required", "items", "conditions", "description"),
]
WORDS = [
    "text",
    "quantity",
    "bool",
    "sample",
    "object",
    "array",
    "mg",
    "mg**9999",
    "1/0",
    "database",
    "url",
    "grant",
    "1",
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([2**53, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -0.0, 0.1]),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(st.characters(), max_size=6),
)
values = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=4)), below, max_size=6),
    ),
    max_leaves=25,
)
properties = st.dictionaries(st.sampled_from(list(MEASURED["properties"])), values, max_size=4)
nearly = st.one_of(
    values,
    st.builds(lambda data, more: {"action_id": 1, "data": {**named("A"), **data}, **more}, properties, st.just({})),
    st.builds(lambda schema: {"name": "x", "type": "custom", "schema": schema}, values),
    st.builds(
        lambda more: {"name": "x", "type": "custom", "schema": {**MEASURED, **more}},
        st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
    ),
)


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., httpx.Response]]:
    """A server with object 1, of action 1, which measures."""
    server = RealServer(tmp_path_factory.mktemp("odd"))
    server.start()
    with httpx.Client(trust_env=False, timeout=60, headers={"Authorization": f"token {server.token}"}) as http:

        def ask(method: str, path: str, content: bytes | None = None) -> httpx.Response:
            return http.request(method, f"{server.base}/{path}", content=content)

        for type_name in ("sample", "measurement"):
            action = {"name": "x", "type": type_name, "schema": MEASURED}
            assert ask("POST", "api/v1/actions/", json.dumps(action).encode()).status_code == 201
        body = {"action_id": 1, "data": named("A", notes=[text("x")])}
        assert ask("POST", "api/v1/objects/", json.dumps(body).encode()).status_code == 201
        yield ask
    server.stop()


def paths() -> list[tuple[str, str]]:
    """Return every method and path of the face that takes a body."""
    found = []
    for route in ROUTES:
        if route.pattern.startswith("api/v1/"):
            path = re.sub(r"\(\?P<kind>[^)]*\)", "users", route.pattern)
            path = re.sub(r"\(\?P<\w+>[^)]*\)", "1", path).removesuffix("/?")
            found += [(method, path) for method in route.access if method in ("POST", "PUT")]
    return found


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, (answer.request.url, answer.request.content, answer.text)
    if answer.status_code >= 400:
        assert set(answer.json()) <= {"message", "error_paths"} and answer.json()["message"]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=nearly)
@example(body={"action_id": True, "data": named("A")})
@example(body={"action_id": 1, "data": named("A", mass={"_type": "quantity", "magnitude": True, "units": "mg"})})
@example(body={"action_id": 1, "data": named("A", mass={"_type": "quantity", "magnitude": 1e308, "units": "Gg"})})
@example(body={"action_id": 1, "data": named("A", mass={"_type": "quantity", "magnitude": 2**63, "units": "mg"})})
@example(body={"action_id": 1, "data": named("A", mass={"_type": "quantity", "magnitude": 1, "units": "mg**9999"})})
@example(body={"action_id": 1, "data": named("A", sample={"_type": "sample", "object_id": 2**63})})
@example(body={"action_id": 1, "data": named("A\0")})
@example(body={"action_id": 1, "data": None})
@example(body={"users": {"1": "grant", str(2**63): "read"}})
def test_no_body_is_answered_with_a_failure_of_the_server(call: Callable[..., httpx.Response], body: Any) -> None:
    content = json.dumps(body).encode()
    for method, path in paths():
        check(call(method, path, content))


@pytest.mark.parametrize("levels", [10, 31, 33, 300, 5000])
def test_deep_bodies_are_refused(call: Callable[..., httpx.Response], levels: int) -> None:
    for before in (b"", b'{"action_id": 1, "data": ', b'{"name": "x", "type": "custom", "schema": '):
        content = before + b'{"data": [' * levels + b"{}" + b"]}" * levels + (b"}" if before else b"")
        for method, path in paths():
            answer = call(method, path, content)
            check(answer)
            assert answer.status_code >= 400


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=200))
def test_no_bytes_are_answered_with_a_failure_of_the_server(
    call: Callable[..., httpx.Response], content: bytes
) -> None:
    for method, path in paths():
        check(call(method, path, content))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(["q", "limit", "offset", "action_id", "action_type", "name_only", "use_advanced_search"]),
    value=st.one_of(
        st.text(max_size=12),
        st.lists(
            st.sampled_from(
                ["mass", "name", " ", ">", "==", "(", ")", "and", "not", '"x"', "3 mg", "?", ".", "*", "#1"]
            ),
            max_size=10,
        ).map(" ".join),
    ),
    simple=st.booleans(),
)
def test_no_query_is_answered_with_a_failure_of_the_server(
    call: Callable[..., httpx.Response], name: str, value: str, simple: bool
) -> None:
    given_ = {name: value.encode(errors="surrogatepass"), **({"use_advanced_search": b"false"} if simple else {})}
    query = "&".join(f"{key}={''.join(f'%{each:02x}' for each in text_)}" for key, text_ in given_.items())
    check(call("GET", f"api/v1/objects/?{query}"))
