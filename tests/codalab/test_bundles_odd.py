"""Whatever is sent to bundles, it is answered in words, never by an unexpected error."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from codalab.catalog import SHELL, UNKNOWN, Bundles, dataset, run_of

ODD: list[Any] = [None, True, -1, 1e300, 2**63, "", "ü" * 300, "a\nb", "../..", [], [None], [["x"]], {}, {"id": 7}]


@pytest.fixture
def root(owner):
    return Bundles(owner)


async def send(api: Bundles, method: str, path: str, data: Any) -> int:
    answer = await api.api(method, f"/rest/{path}", {"data": data}, headers=SHELL)
    assert answer.status < 500, (method, path, data, answer.body)
    assert answer.status != 200 or answer.json["meta"]["version"]
    return answer.status


@pytest.mark.slow
async def test_odd_values_of_new_bundles(root):
    made = 0
    for value in ODD:
        for key in ("bundle_type", "command", "metadata", "dependencies", "uuid", "state", "frozen"):
            resource = {"type": "bundles", "attributes": {**run_of(), key: value}}
            made += await send(root, "POST", "bundles?detached=1&wait_for_upload=1", [resource]) == 200
        for key in (
            "name",
            "tags",
            "description",
            "request_cpus",
            "request_memory",
            "request_time",
            "exclude_patterns",
        ):
            resource = {"type": "bundles", "attributes": run_of(**{key: value})}
            made += await send(root, "POST", "bundles?detached=1&wait_for_upload=1", [resource]) == 200
        for key in ("child_path", "parent_uuid", "parent_path"):
            dependency = {"child_path": "in", "parent_uuid": UNKNOWN, "parent_path": "", key: value}
            resource = {"type": "bundles", "attributes": {**dataset(), "dependencies": [dependency]}}
            made += await send(root, "POST", "bundles?detached=1", [resource]) == 200
    # What the server says by itself may be anything; what people say may not.
    assert 40 < made < 150
    assert await root.number(".mine", ".count") == made


@pytest.mark.slow
async def test_odd_values_of_changes(root):
    uuid = await root.make()
    group = {"data": {"type": "groups", "id": UNKNOWN}}
    for value in ODD:
        for key in ("metadata", "frozen", "is_anonymous", "state"):
            await send(root, "PATCH", "bundles", [{"type": "bundles", "id": uuid, "attributes": {key: value}}])
            thaw = [{"type": "bundles", "id": uuid, "attributes": {"frozen": None}}]
            assert await send(root, "PATCH", "bundles", thaw) == 200
        for owner in ({"data": value}, {"data": {"type": "users", "id": value}}, value):
            relationships = {"owner": owner}
            await send(root, "PATCH", "bundles", [{"type": "bundles", "id": uuid, "relationships": relationships}])
        await send(root, "PATCH", "bundles", [{"type": "bundles", "id": value, "attributes": {}}])
        await send(root, "DELETE", "bundles?dry-run=1", [{"type": "bundles", "id": value}])
        for key in ("type", "uuid", "subpath", "string"):
            attributes = {"type": "write", "uuid": uuid, "subpath": "a", "string": "b", key: value}
            await send(root, "POST", "bundle-actions", [{"type": "bundle-actions", "attributes": attributes}])
        for related in ({"bundle": value, "group": group}, {"bundle": {"data": {"type": "bundles", "id": uuid}}}):
            data = {"type": "bundle-permissions", "attributes": {"permission": value}, "relationships": related}
            await send(root, "POST", "bundle-permissions", [data])
        await send(root, "POST", "bundles", value)
        await send(root, "PATCH", "bundles", [value])
    assert await root.search("data") == [uuid]


async def test_odd_queries(root):
    await root.make()
    odd = [
        "",
        "%00",
        "%ff",
        "%",
        "-1",
        "9" * 40,
        "[]",
        "{}",
        "null",
        quote("ü🌳"),
        "a" * 3000,
        "%0a",
        "0x",
        "=",
        "=.sort",
        ".=1",
    ]
    for value in odd:
        for name in ("keywords", "specs", "command", "worksheet", "depth", "include", "include_display_metadata"):
            path = f"/rest/bundles?{name}={value}" + (
                "" if name in ("keywords", "specs", "command") else "&keywords=data"
            )
            answer = await root.api.get(path, headers=SHELL)
            assert answer.status < 500, (path, answer.body)
        answer = await root.api.get(f"/rest/bundles?command=date&dependencies={value}", headers=SHELL)
        assert answer.status < 500, (value, answer.body)
