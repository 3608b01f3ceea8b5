"""Whatever JSON is sent about users and groups: an answer in the face's shape, and never an unexpected error."""

from __future__ import annotations

from typing import Any

import pytest
from codalab.conftest import as_command_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Answer, Api

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=12)
    | st.sampled_from(["0", "public", "nobody", "0x", f"0x{3:032x}", "\ud800", "a\0b", "x" * 5000, "%", "' OR 1=1 --"])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
NAMES = ["user_name", "first_name", "url", "notifications", "disk_quota", "time_quota", "parallel_run_quota", "email"]
CALLS = [
    ("PATCH", "/rest/user", "users"),
    ("PATCH", "/rest/user/increment_disk_used", "user/increment_disk_used"),
    ("PATCH", "/rest/users", "users"),
    ("DELETE", "/rest/users", "users"),
    ("POST", "/rest/groups", "groups"),
    ("DELETE", "/rest/groups", "groups"),
    ("POST", "/rest/groups/team/relationships/members", "users"),
    ("DELETE", "/rest/groups/team/relationships/admins", "users"),
]


@st.composite
def documents(draw: Any, kind: str) -> Any:
    """A body that is right in most places and anything at all in one."""
    attributes = {draw(st.sampled_from([*NAMES, "name", "disk_used_increment"])): draw(JSON)}
    resource = {"type": kind, "id": draw(SCALARS), "attributes": attributes}
    place = draw(st.sampled_from(["", "id", "attributes", "type", "data", "all"]))
    if place in ("id", "attributes", "type"):
        resource[place] = draw(JSON)
    return draw(JSON) if place == "all" else {"data": draw(JSON) if place == "data" else draw(pairs(resource))}


def pairs(resource: dict[str, Any]) -> Any:
    return st.sampled_from([resource, [resource], [resource, resource], []])


def assert_told(answer: Answer, what: Any) -> None:
    assert answer.status < 500, (what, answer.body)
    if answer.status >= 400:
        assert set(answer.json) == {"errors", "meta"}, what


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_sent_is_answered(run: Any, owner: Api, rosa: Api, data: Any) -> None:
    async def send() -> None:
        await rosa.post("/rest/groups", {"data": [{"type": "groups", "attributes": {"name": "team"}}]})
        for method, path, kind in CALLS:
            body = data.draw(documents(kind))
            for caller in (rosa, owner):
                assert_told(await caller(method, path, body), (method, path, body))
            told = await as_command_line(rosa)(method, path, body)
            assert told.status < 500, (method, path, body)
        assert (await rosa.get("/rest/user")).status == 200, "otherwise nothing more would be tried"

    run(send())
