"""What groups, owners, ADMINs and strangers may do with bundles: every case of the matrix, and its texts."""

from __future__ import annotations

import pytest
from codalab.catalog import UNKNOWN, Bundles, dataset
from codalab.conftest import user_id

from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID


@pytest.fixture
def mine(rosa):
    return Bundles(rosa)


async def group_with(mine, member):
    made = await mine.call("POST", "groups", [{"type": "groups", "attributes": {"name": "team"}}])
    assert made.status == 200, made.body
    uuid = made.json["data"][0]["id"]
    joined = await mine.call("POST", f"groups/{uuid}/relationships/members", {"type": "users", "id": user_id(member)})
    assert joined.status == 200, joined.body
    return uuid


async def give(api, uuid, group, **attributes):
    relationships = {
        "bundle": {"data": {"type": "bundles", "id": uuid}},
        "group": {"data": {"type": "groups", "id": group}},
    }
    data = {"type": "bundle-permissions", "attributes": attributes, "relationships": relationships}
    return await api.call("POST", "bundle-permissions", [data])


async def test_permissions_are_given_by_number_or_word_and_shown_with_the_bundle(mine):
    uuid = await mine.make()
    words = {"none": 0, "n": 0, "read": 1, "r": 1, "all": 2, "a": 2}
    for word, number in words.items():
        for attributes in ({"permission_spec": word}, {"permission": number}):
            made = await give(mine, uuid, PUBLIC_GROUP_UUID, **attributes)
            assert made.status == 200
            shown = made.json["data"][0]
            spec = {0: "none", 1: "read", 2: "all"}[number]
            assert shown["attributes"] == {"permission": number, "permission_spec": spec, "group_name": "public"}
            assert shown["relationships"] == {
                "group": {"data": {"type": "groups", "id": PUBLIC_GROUP_UUID}},
                "bundle": {"data": {"type": "bundles", "id": uuid}},
            }
            document = await mine.read(uuid, include="group_permissions")
            rows = [each for each in document["included"] if each["type"] == "bundle-permissions"]
            assert [each["attributes"] for each in rows] == ([shown["attributes"]] if number else [])
            assert document["data"]["relationships"]["group_permissions"]["data"] == [
                {"type": "bundle-permissions", "id": each["id"]} for each in rows
            ]
            assert all(each["id"].isdecimal() for each in rows)


async def test_rows_of_permissions_have_ids_of_their_own(mine, otto):
    group = await group_with(mine, otto)
    ids = []
    for _ in range(3):
        uuid = await mine.make()
        for each in (group, PUBLIC_GROUP_UUID):
            ids.append((await give(mine, uuid, each, permission=1)).json["data"][0]["id"])
    assert len(set(ids)) == 6


async def test_what_is_no_permission_is_refused(mine):
    uuid = await mine.make()
    refused = [
        ({}, "One of either permission or permission_spec must be provided."),
        ({"permission": 3}, "Invalid permission flag specified (3)"),
        ({"permission_spec": "x"}, "Invalid permission flag specified (x)"),
        ({"permission": True}, "Invalid permission flag specified (True)"),
        ({"permission": [1]}, "Invalid permission flag specified ([1])"),
    ]
    for attributes, text in refused:
        answer = await give(mine, uuid, PUBLIC_GROUP_UUID, **attributes)
        assert (answer.status, answer.body.decode()) == (400, text)
    missing = await give(mine, uuid, UNKNOWN, permission=1)
    assert (missing.status, missing.body.decode()) == (404, f"Found no group with name '{UNKNOWN}'")
    assert (await give(mine, "0x1", PUBLIC_GROUP_UUID, permission=1)).status == 400


# What is given to the group, to everyone, and what then a member, somebody else and a stranger may do.
MATRIX = [(group, public) for group in (0, 1, 2) for public in (0, 1, 2)]


async def test_each_permission_lets_each_caller_do_what_it_says_and_no_more(mine, otto, nora, anybody, owner):
    group = await group_with(mine, otto)
    uuid = await mine.make(dataset("matrix"))
    for of_group, of_public in MATRIX:
        await give(mine, uuid, group, permission=of_group)
        await give(mine, uuid, PUBLIC_GROUP_UUID, permission=of_public)
        allowed = {mine.api: 2, owner: 2, otto: max(of_group, of_public), nora: of_public, anybody: of_public}
        for caller, level in allowed.items():
            what = (of_group, of_public, caller.account.get("email"))
            api = Bundles(caller)
            shown = (await api.read(uuid))["data"]["attributes"]
            assert shown["permission"] == level, what
            assert shown["bundle_type"] == ("dataset" if level else "private"), what
            assert await api.search("matrix") == ([uuid] if level else []), what
            assert await api.number("matrix", ".count") == bool(level), what
            info = await api.call("GET", f"bundles/{uuid}/contents/info/")
            assert (info.status == 403) == (level == 0), what
            changed = await api.patch(uuid, metadata={"description": str(what)})
            if caller is anybody:
                assert changed.status == 401
            else:
                assert (changed.status == 200) == (level == 2), what
        assert await Bundles(otto).search(".shared") == ([uuid] if of_group else [])
        assert await Bundles(otto).search("group=team") == ([uuid] if of_group else [])


async def test_own_private_bundles_are_found(mine):
    """The reference server forgets them."""
    uuid = await mine.make(dataset("alone"))
    assert await mine.search("alone") == await mine.search(".mine") == [uuid]


async def test_strangers_are_called_public(mine, anybody):
    uuid = await mine.make()
    refused = await Bundles(anybody).call("GET", f"bundles/{uuid}/contents/blob/")
    text = f"User public(None) does not have sufficient permissions on bundle {uuid} (have none, need read)."
    assert (refused.status, refused.body.decode()) == (403, text)


async def test_a_group_that_one_does_not_know_of_is_given_nothing_and_not_named(mine, otto):
    theirs = Bundles(otto)
    group = await group_with(theirs, mine.api)
    uuid = await mine.make()
    assert (await give(mine, uuid, group, permission=1)).status == 200
    left = await theirs.call(
        "DELETE", f"groups/{group}/relationships/members", {"type": "users", "id": user_id(mine.api)}
    )
    assert left.status == 204, left.body
    other = await mine.make()
    refused = await give(mine, other, group, permission=1)
    assert refused.status == 404
    assert b"team" not in refused.body
    # What was given before may still be taken back.
    assert (await give(mine, uuid, group, permission=0)).status == 200
    assert (await give(mine, uuid, group, permission=1)).status == 404
