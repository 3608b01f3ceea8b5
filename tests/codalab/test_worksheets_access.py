"""Who may do what with a worksheet, as a matrix; what the command line is told; and many callers at once."""

from __future__ import annotations

import asyncio
from typing import Any

from codalab.conftest import as_command_line
from codalab.pages import UNKNOWN, change, fill, hide, item, make, permit, remove, source, user_id
from support import Answer, Api

READS = ["GET worksheet", "GET specs", "GET interpret"]
CHANGES = ["PATCH", "POST items", "POST raw", "POST add-items", "POST permissions", "DELETE"]


async def attempt(caller: Api, what: str, uuid: str, name: str, group: str) -> Answer:
    """Make one call; those that change something change nothing that the next ones look at."""
    path = f"/rest/worksheets/{uuid}"
    if what == "GET worksheet":
        return await caller.get(f"{path}?include=items,group_permissions")
    if what == "GET specs":
        return await caller.get(f"/rest/worksheets?specs={name}")
    if what == "GET interpret":
        return await caller.get(f"/rest/interpret/worksheet/{uuid}")
    if what == "PATCH":
        return await change(caller, uuid, title="x")
    if what == "POST items":
        return await fill(caller, uuid, item(uuid, value="x"))
    if what == "POST raw":
        return await caller.post(f"{path}/raw", raw=b"x")
    if what == "POST add-items":
        return await caller.post(f"{path}/add-items", {"items": ["x"]})
    if what == "POST permissions":
        return await permit(caller, uuid, group, permission=2)
    # It is not empty: whoever may delete it is told so.
    return await remove(caller, uuid)


async def test_everybody_may_do_what_they_were_given_and_nothing_else(
    owner: Api, rosa: Api, otto: Api, nora: Api
) -> None:
    group = (await rosa.post("/rest/groups", {"data": [{"type": "groups", "attributes": {"name": "team"}}]})).json
    group_uuid = group["data"][0]["id"]
    member = {"data": {"type": "users", "id": user_id(otto)}}
    assert (await rosa.post("/rest/groups/team/relationships/members", member)).status == 200
    nobody = owner.of(None)
    for given, level in [(None, 0), (1, 1), (2, 2)]:
        name = f"page{level}"
        uuid = await make(rosa, name)
        await fill(rosa, uuid, item(uuid, value="x"))
        await hide(rosa, uuid)
        if given:
            assert (await permit(rosa, uuid, group_uuid, permission=given)).status == 200
        levels = {"owner": (rosa, 2), "admin": (owner, 2), "member": (otto, level), "other": (nora, 0)}
        levels["nobody"] = (nobody, 0)
        for who, (caller, has) in levels.items():
            for what in [*READS, *CHANGES]:
                answer = await attempt(caller, what, uuid, name, group_uuid if given == 2 else UNKNOWN)
                is_allowed = has >= (1 if what in READS else 2)
                # What is there, and only not theirs, is told by a specs' name in no other way than what is not.
                refused = 404 if what == "GET specs" else 403
                allowed = {"DELETE": 400, "POST raw": 204}.get(what, 200)
                if what == "POST permissions" and given != 2:
                    allowed = 404
                assert answer.status == (allowed if is_allowed else refused), (given, who, what, answer.body)
                if not is_allowed:
                    assert b"page" not in answer.body.replace(f"'{name}'".encode(), b"")


async def test_the_command_line_is_told_in_plain_text(rosa: Api, nora: Api) -> None:
    uuid = await make(rosa, "page")
    await hide(rosa, uuid)
    shell, stranger = as_command_line(nora), as_command_line(nora.of(None))
    need = f"does not have sufficient permissions on worksheet {uuid} (have none, need"
    expected = [
        (await shell.get(f"/rest/worksheets/{uuid}"), 403, f"User nora({user_id(nora)}) {need} read)."),
        (await stranger.get(f"/rest/worksheets/{uuid}"), 403, f"User public(None) {need} read)."),
        (await remove(shell, uuid), 403, f"User nora({user_id(nora)}) {need} all)."),
        (await remove(stranger, uuid), 401, "User is not authenticated."),
        (await shell.get("/rest/worksheets?specs=nothing"), 404, "No worksheet found with name 'nothing'"),
        (await shell.get(f"/rest/worksheets/{UNKNOWN}"), 404, f"Could not find worksheet with uuid {UNKNOWN}"),
        (await shell("PUT", "/rest/worksheets", []), 405, "Method not allowed."),
    ]
    for answer, status, text in expected:
        assert (answer.status, answer.body.decode()) == (status, text)
        assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    good = await shell.get("/rest/worksheets?specs=/")
    assert good.headers["Content-Type"] == "application/json"


async def test_what_many_add_at_once_is_all_there_and_a_home_is_made_once(rosa: Api) -> None:
    homes = await asyncio.gather(*[rosa.get("/rest/worksheets?specs=/") for _ in range(12)])
    assert len({answer.json["data"][0]["id"] for answer in homes}) == 1
    uuid = homes[0].json["data"][0]["id"]
    texts = [f"line {number}" for number in range(24)]
    added = await asyncio.gather(*[fill(rosa, uuid, item(uuid, value=text)) for text in texts])
    assert {answer.status for answer in added} == {200}
    assert sorted(await source(rosa, uuid)) == sorted(texts)
    keys: list[Any] = [answer.json["data"][0]["attributes"]["sort_key"] for answer in added]
    assert sorted(keys) == list(range(24))
    made = await asyncio.gather(*[rosa.post("/rest/worksheets", {"data": [named("same")]}) for _ in range(8)])
    assert sorted(answer.status for answer in made) == [200] + [400] * 7


def named(name: str) -> dict[str, Any]:
    return {"type": "worksheets", "attributes": {"name": name}}
