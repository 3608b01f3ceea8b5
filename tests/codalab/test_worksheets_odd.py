"""Whatever is sent to worksheets is answered with a clear refusal, never with an error of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from codalab.pages import UNKNOWN, item, make, related, worksheet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Api

UUID = "0x" + "0f" * 16
TEXTS = st.sampled_from(["", "x", "/", "0x", UNKNOWN, UUID, "\0", "\ud800", "ä", "a" * 300, "%", "home-x", "1e9"])
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
LINKAGES = st.fixed_dictionaries({"data": st.fixed_dictionaries({"id": VALUES, "type": TEXTS}) | VALUES})
RESOURCES = st.fixed_dictionaries(
    {"type": st.sampled_from(["worksheets", "worksheet-items", "worksheet-permissions"])},
    optional={
        "id": VALUES,
        "attributes": VALUES
        | st.dictionaries(
            st.sampled_from(["name", "title", "tags", "frozen", "is_anonymous", "type", "value", "permission"]), VALUES
        ),
        "relationships": VALUES
        | st.dictionaries(
            st.sampled_from(["owner", "worksheet", "bundle", "subworksheet", "group"]), LINKAGES | VALUES
        ),
    },
)
BODIES = st.fixed_dictionaries({"data": st.lists(RESOURCES, max_size=2) | RESOURCES | VALUES}) | VALUES
CALLS = st.sampled_from(
    [
        *[(method, "/rest/worksheets") for method in ("POST", "PATCH", "DELETE")],
        *[("POST", f"/rest/{path}") for path in ("worksheet-items", "worksheet-permissions", "interpret/search")],
        *[("POST", f"/rest/interpret/{path}") for path in ("wsearch", "file-genpaths", "genpath-table-contents")],
        ("POST", f"/rest/worksheets/{UUID}/add-items"),
    ]
)


def test_bodies_of_any_shape(owner: Api, run: Callable[..., Any]) -> None:
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS, BODIES)
    def check(call: tuple[str, str], body: Any) -> None:
        answer = run(owner(*call, body))
        assert answer.status < 500, (call, body, answer.body)

    check()


async def test_queries_of_any_shape(owner: Api) -> None:
    uuid = await make(owner, "page")
    odd = ["", "\0", "ä", "%", "%%%", "\\", "_", "'", '"', "a=b=c", "=", "=x", ".*", "id=" + "9" * 50, "x" * 5000]
    odd += [
        ".limit=99999999999999999999",
        ".limit=²",
        ".offset=-1",
        "group=",
        "owner=",
        "bundle=",
        ".sort",
        "title=.sort",
    ]
    odd += ["id=1,2,x", "uuid=,", "tag=\ud83d\ude00", "[", "(", "*", "/", "//", "../", "0x", "0xg", "^1", ";--"]
    for text in odd:
        for name in ("keywords", "specs", "include", "base"):
            asked = {name: text, **({} if name in ("keywords", "specs") else {"specs": uuid})}
            query = urlencode({key: value.encode(errors="replace") for key, value in asked.items()})
            answer = await owner.get(f"/rest/worksheets?{query}")
            assert answer.status < 500, (query, answer.body)
        wrong = quote(text.encode(errors="replace"), safe="")
        assert (await owner.get(f"/rest/worksheets/{wrong}x")).status == 404
        assert (await owner.get(f"/rest/interpret/worksheet/{wrong}x")).status == 404
    assert (await owner.get("/rest/worksheets?keywords=%ff%fe")).status == 200


async def test_uuids_in_any_place_must_be_whole(owner: Api) -> None:
    uuid = await make(owner, "page")
    for wrong in ("", "0x", uuid[:-1], uuid + "0", uuid.upper(), "page", "x" * 34, uuid + "\n"):
        row = item(uuid, "bundle")
        row["relationships"]["bundle"] = related("bundles", wrong)
        assert (await owner.post("/rest/worksheet-items", {"data": [row]})).status == 400, wrong
        assert (await owner.post("/rest/worksheet-items", {"data": [item(wrong)]})).status == 403, wrong
    assert (await owner.post("/rest/worksheets", {"data": [worksheet("x", title="t" * 20_000)]})).status == 400
