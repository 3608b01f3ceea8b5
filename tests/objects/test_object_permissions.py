"""Who may do what with an object: the endpoints of permissions, one subject at a time and all at once."""

from __future__ import annotations

from typing import Any

import pytest
from objects.conftest import Lab
from support import Api

NONE, READ, WRITE, GRANT = "none", "read", "write", "grant"


def permissions(object_id: int, rest: str = "") -> str:
    return f"/api/v1/objects/{object_id}/permissions/{rest}"


async def test_whoever_creates_an_object_has_grant_and_nobody_else_anything(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa)
    rosas, ottos = rosa.account["id"], otto.account["id"]
    assert (await rosa.get(permissions(object_id))).json == {
        "users": {str(rosas): GRANT},
        "groups": {},
        "projects": {},
        "authenticated_users": NONE,
        "anonymous_users": NONE,
    }
    for path, expected in [
        ("public", False),
        ("authenticated_users", NONE),
        ("anonymous_users/", NONE),
        ("users/", {str(rosas): GRANT}),
        ("users", {str(rosas): GRANT}),
        (f"users/{rosas}", GRANT),
        (f"users/{ottos}/", NONE),
        ("groups/", {}),
        ("projects", {}),
    ]:
        answer = await rosa.get(permissions(object_id, path))
        assert (answer.status, answer.json) == (200, expected), path


@pytest.mark.parametrize(
    ("level", "may"), [(READ, (302, 403, 403)), (WRITE, (302, 400, 403)), (GRANT, (302, 400, 400))]
)
async def test_a_level_holds_those_below_it(lab: Lab, rosa: Api, otto: Api, level: str, may: tuple[int, ...]) -> None:
    object_id = await lab.create(rosa)
    path = permissions(object_id, f"users/{otto.account['id']}")
    calls = [
        ("GET", f"/api/v1/objects/{object_id}", b""),
        ("POST", f"/api/v1/objects/{object_id}/versions/", b"{}"),
        ("PUT", permissions(object_id, "public"), b"{}"),
    ]

    async def statuses() -> tuple[int, ...]:
        return tuple([(await otto(method, to, raw=body or None)).status for method, to, body in calls])

    assert await statuses() == (403, 403, 403)
    for word in (level, level.upper(), level.capitalize()):
        given = await rosa.put(path, word)
        assert (given.status, given.json) == (200, level)
        assert await statuses() == may
        assert (await rosa.get(path)).json == level
    assert (await rosa.put(path, NONE)).json == NONE
    assert await statuses() == (403, 403, 403)


async def test_everybody_who_is_signed_in_may_be_let_read_and_no_more(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa)
    for path, yes, no in [("public", True, False), ("authenticated_users", READ, NONE)]:
        assert (await rosa.put(permissions(object_id, path), yes)).json == yes
        assert (await otto.get(f"/api/v1/objects/{object_id}")).status == 302
        assert (await otto.post(f"/api/v1/objects/{object_id}/versions/", {})).status == 403
        assert (await otto.get(permissions(object_id, "public"))).json is True
        assert (await otto.get(permissions(object_id, f"users/{otto.account['id']}"))).json == NONE
        assert (await rosa.put(permissions(object_id, path), no)).json == no
        assert (await otto.get(f"/api/v1/objects/{object_id}")).status == 403
    for level in (WRITE, GRANT):
        assert (await rosa.put(permissions(object_id, "authenticated_users"), level)).status == 400
    assert (await lab.owner.of(None).get(f"/api/v1/objects/{object_id}")).status == 401


async def test_a_group_is_given_a_level_by_its_members(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa)
    group_id = await lab.group("Weighers", otto)
    path = permissions(object_id, f"groups/{group_id}")
    assert (await rosa.get(path)).json == NONE
    assert (await rosa.put(path, WRITE)).json == WRITE
    assert (await rosa.get(permissions(object_id, "groups/"))).json == {str(group_id): WRITE}
    assert await lab.update(otto, object_id, "B") == 1
    assert (await otto.put(path, GRANT)).status == 403
    assert (await rosa.put(path, NONE)).json == NONE
    assert (await otto.get(f"/api/v1/objects/{object_id}")).status == 403


async def test_somebody_always_keeps_grant(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa)
    mine = permissions(object_id, f"users/{rosa.account['id']}")
    words = {"message": "somebody must keep GRANT permissions for this object"}
    for level in (NONE, READ, WRITE):
        for caller in (rosa, lab.owner):
            refused = await caller.put(mine, level)
            assert (refused.status, refused.json) == (400, words), level
    for body in ({}, {"users": {}}, {"authenticated_users": READ}, {"users": {str(otto.account["id"]): WRITE}}):
        refused = await rosa.put(permissions(object_id), body)
        assert (refused.status, refused.json) == (400, words), body
    await lab.give(object_id, otto, GRANT)
    assert (await rosa.put(mine, NONE)).json == NONE
    assert (await rosa.get(f"/api/v1/objects/{object_id}")).status == 403
    group_id = await lab.group("Weighers", otto)
    assert (await otto.put(permissions(object_id, f"groups/{group_id}"), GRANT)).json == GRANT
    assert (await otto.put(permissions(object_id, f"users/{otto.account['id']}"), NONE)).json == NONE
    assert (await otto.put(permissions(object_id, f"groups/{group_id}"), READ)).json == words


async def test_all_permissions_are_replaced_at_once(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id, group_id = await lab.create(rosa), await lab.group("Weighers")
    wanted = {
        "users": {str(rosa.account["id"]): GRANT, str(otto.account["id"]): READ},
        "groups": {str(group_id): WRITE},
        "projects": {},
        "authenticated_users": READ,
        "anonymous_users": NONE,
    }
    replaced = await rosa.put(permissions(object_id), wanted)
    assert (replaced.status, replaced.json) == (200, wanted) == (200, (await rosa.get(permissions(object_id))).json)
    less = await rosa.put(permissions(object_id), {"users": {str(rosa.account["id"]): "Grant"}})
    assert less.json["users"] == {str(rosa.account["id"]): GRANT} and less.json["groups"] == {}
    assert less.json["authenticated_users"] == NONE


@pytest.mark.parametrize(
    ("rest", "body", "status", "message"),
    [
        ("public", "read", 400, "JSON boolean body required"),
        ("public", 1, 400, "JSON boolean body required"),
        ("public", None, 400, "JSON boolean body required"),
        ("authenticated_users", True, 400, "JSON string body required"),
        ("authenticated_users", "reads", 400, "Permissions name required"),
        ("anonymous_users", "read", 400, "anonymous users are disabled"),
        ("anonymous_users", 7, 400, "JSON string body required"),
        ("users/1", None, 400, "JSON string body required"),
        ("users/1", {}, 400, "JSON string body required"),
        ("users/1", "", 400, "Permissions name required"),
        ("users/1", "gr\0ant", 400, "Permissions name required"),
        ("users/1", "\ud800", 400, "Permissions name required"),
        ("users/424242", "read", 404, "user 424242 does not exist"),
        ("users/424242", 7, 404, "user 424242 does not exist"),
        ("users/0", "read", 404, "user 0 does not exist"),
        ("groups/7", "read", 404, "group 7 does not exist"),
        ("projects/7", "read", 404, "project 7 does not exist"),
        ("", [], 400, "JSON object body required"),
        ("", {"users": []}, 400, "invalid key 'users', or what it holds"),
        ("", {"x": {}}, 400, "invalid key 'x', or what it holds"),
        ("", {"projects": {"1": "read"}}, 400, "invalid key 'projects', or what it holds"),
        ("", {"users": {"rosa": "grant"}}, 400, "users must be named by their ids"),
        ("", {"users": {"²": "grant"}}, 400, "users must be named by their ids"),
        ("", {"users": {"1": 3}}, 400, "JSON string body required"),
        ("", {"users": {"424242": "grant"}}, 404, "user 424242 does not exist"),
        ("", {"users": {"9" * 16: "grant"}}, 404, f"user {'9' * 16} does not exist"),
        ("", {"groups": {"424242": "grant"}}, 404, "group 424242 does not exist"),
        ("", {"anonymous_users": "read"}, 400, "anonymous users are disabled"),
        (
            "",
            {"users": {"1": "grant"}, "authenticated_users": "write"},
            400,
            "everyone can be given READ permissions at most",
        ),
    ],
)
async def test_what_is_no_permission_is_refused(
    lab: Lab, rosa: Api, rest: str, body: Any, status: int, message: str
) -> None:
    object_id = await lab.create(rosa)
    before = (await rosa.get(permissions(object_id))).json
    answer = await rosa.put(permissions(object_id, rest), body)
    assert (answer.status, answer.json) == (status, {"message": message})
    assert (await rosa.get(permissions(object_id))).json == before


async def test_unknown_subjects_are_told_when_they_are_read(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa)
    for rest in ("users/424242", "groups/7", "projects/1", f"users/{'9' * 30}"):
        answer = await rosa.get(permissions(object_id, rest))
        assert answer.status == 404 and answer.json["message"].endswith("does not exist"), rest


async def test_an_answer_that_is_kept_is_given_to_nobody_who_may_not_have_it_any_more(
    lab: Lab, rosa: Api, otto: Api
) -> None:
    object_id = await lab.create(rosa, "A")
    await lab.give(object_id, otto, "read")
    paths = [f"/api/v1/objects/{object_id}/versions/0", "/api/v1/objects/", '/api/v1/objects/?q=name%20==%20"A"']
    kept = [[(await otto.get(path)).json for path in paths] for _ in range(2)]
    assert kept[0] == kept[1] and kept[0][0] == kept[0][1][0] == kept[0][2][0]
    await lab.give(object_id, otto, "none")
    assert (await otto.get(paths[0])).status == 403
    assert (await otto.get(paths[0], headers={"If-None-Match": f'"{object_id}.0"'})).status == 403
    assert [(await otto.get(path)).json for path in paths[1:]] == [[], []]
    assert (await rosa.get(paths[0])).json == kept[0][0]
    await lab.update(rosa, object_id, "B")
    assert [each["data"]["name"]["text"] for each in (await rosa.get(paths[1])).json] == ["B"]
    await rosa.put(f"/api/v1/objects/{object_id}/hidden", True)
    assert (await rosa.get(paths[1])).json == []
