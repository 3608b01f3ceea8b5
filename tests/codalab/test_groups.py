"""Groups of the CodaLab face: who sees, makes, changes and deletes them, and that they are those of every face."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from codalab.conftest import as_command_line, detail, user_id
from support import Answer, Api, column

from cosphere_jupyter.accounts.groups import (
    PUBLIC_GROUP_UUID,
    find_group,
    group_of_subject,
    groups_of_subjects,
    read_group,
    subject_of_group,
)
from cosphere_jupyter.permissions.service import EVERYONE, Subject

OWNER_STAYS = "Cannot relegate the group owner into non-admin status"


async def make(caller: Api, *names: Any) -> Answer:
    data = [{"type": "groups", "attributes": {"name": name}} for name in names]
    return await caller.post("/rest/groups", {"data": data})


async def add(caller: Api, spec: str, user: Api, role: str = "members") -> Answer:
    return await caller.post(f"/rest/groups/{spec}/relationships/{role}", {"data": linkage(user)})


async def remove(caller: Api, spec: str, user: Api, role: str = "members") -> Answer:
    return await caller("DELETE", f"/rest/groups/{spec}/relationships/{role}", {"data": linkage(user)})


async def delete(caller: Api, *specs: str) -> Answer:
    return await caller("DELETE", "/rest/groups", {"data": [{"type": "groups", "id": each} for each in specs]})


def linkage(user: Api) -> dict[str, str]:
    return {"type": "users", "id": user_id(user)}


async def names(caller: Api) -> list[str]:
    return [each["attributes"]["name"] for each in (await caller.get("/rest/groups")).json["data"]]


@pytest.fixture
def team(rosa: Api, otto: Api, run: Any) -> str:
    """The uuid of a group that rosa owns and otto is a member of."""

    async def open_it() -> str:
        uuid = str((await make(rosa, "team")).json["data"][0]["id"])
        assert (await add(rosa, uuid, otto)).status == 200
        return uuid

    uuid: str = run(open_it())
    return uuid


async def test_who_makes_a_group_owns_it(rosa: Api) -> None:
    answer = await make(rosa, "team", "_other.team-2")
    assert answer.status == 200
    first, second = answer.json["data"]
    assert first["type"] == "groups" and first["id"].startswith("0x") and len(first["id"]) == 34
    assert first["attributes"] == {"name": "team", "user_defined": True}
    none: dict[str, Any] = {"data": []}
    assert first["relationships"] == {"owner": {"data": linkage(rosa)}, "admins": none, "members": none}
    assert [each["id"] for each in answer.json["included"]] == [user_id(rosa)]
    assert second["attributes"]["name"] == "_other.team-2"


async def test_the_group_of_everyone_is_there_for_all_and_nobodys_to_change(owner: Api, rosa: Api, otto: Api) -> None:
    for caller in (owner, rosa):
        for spec in ("public", PUBLIC_GROUP_UUID, PUBLIC_GROUP_UUID[:12]):
            shown = (await caller.get(f"/rest/groups/{spec}")).json["data"]
            assert shown["id"] == PUBLIC_GROUP_UUID
            assert shown["attributes"] == {"name": "public", "user_defined": False}
            assert shown["relationships"]["owner"] == {"data": None}
        refused = [
            await delete(caller, "public"),
            await add(caller, "public", otto),
            await remove(caller, "public", otto),
        ]
        for answer in refused:
            assert (answer.status, detail(answer)) == (403, "Cannot modify the public group public.")
    assert detail(await make(owner, "public")) == "Group with name public already exists"


async def test_one_sees_the_groups_that_one_belongs_to(owner: Api, rosa: Api, otto: Api, nora: Api, team: str) -> None:
    await make(otto, "mill")
    assert await names(rosa) == ["public", "team"]
    assert await names(otto) == ["public", "team", "mill"]
    assert await names(nora) == ["public"]
    assert await names(owner) == ["public", "team", "mill"]
    for caller, status in ((rosa, 200), (otto, 200), (owner, 200), (nora, 404)):
        for spec in ("team", team, team[:10]):
            answer = await caller.get(f"/rest/groups/{spec}")
            assert answer.status == status, (spec, answer.body)
            if status == 200:
                assert answer.json["data"]["id"] == team
    told = await as_command_line(nora).get("/rest/groups/team")
    assert (told.status, told.body) == (404, b"Found no group with name 'team'")


async def test_a_spec_that_names_no_group_or_several_is_told_so(rosa: Api, team: str, services: Any) -> None:
    cases = {
        "nothing": "Found no group with name 'nothing'",
        "TEAM": "Found no group with name 'TEAM'",
        "a%20b": "Found no group with name 'a b'",
        "%25": "Found no group with name '%'",
        "0x": "Found no group with name '0x'",
        f"0x{'0' * 32}": f"Found no group with uuid starting with '0x{'0' * 32}'",
        "0x00000": "Found no group with uuid starting with '0x00000'",
    }
    for spec, text in cases.items():
        answer = await rosa.get(f"/rest/groups/{spec}")
        assert (answer.status, detail(answer)) == (404, text)
    twin = team[:-1] + ("0" if team[-1] != "0" else "1")
    await put_in(services, rosa, "twin", uuid=twin)
    answer = await rosa.get(f"/rest/groups/{team[:-1]}")
    assert (answer.status, detail(answer)) == (400, f"Found multiple groups with uuid starting with '{team[:-1]}'")
    assert (await rosa.get(f"/rest/groups/{twin}")).json["data"]["attributes"]["name"] == "twin"


async def test_a_name_is_given_once_and_is_one_word(rosa: Api, otto: Api, team: str) -> None:
    for caller in (rosa, otto):
        answer = await make(caller, "team")
        assert (answer.status, detail(answer)) == (409, "Group with name team already exists")
    twice = await make(rosa, "other", "other")
    assert (twice.status, detail(twice)) == (409, "Group with name other already exists")
    assert await names(rosa) == ["public", "team"], "all or none"
    for name in ("", "1a", "a b", "ä", "a/b", "0x12", "x" * 257):
        answer = await make(rosa, name)
        assert answer.status == 400 and detail(answer).startswith("Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$"), name
    for name in (None, 5, ["a"]):
        answer = await make(rosa, name)
        assert (answer.status, detail(answer)) == (400, "A group needs a `name`.")
    wrong = await rosa.post("/rest/groups", {"data": [{"type": "users", "attributes": {"name": "x"}}]})
    assert (wrong.status, detail(wrong)) == (400, "type must be 'groups'")


async def test_of_thirty_who_make_a_group_of_one_name_one_does(rosa: Api, otto: Api, nora: Api) -> None:
    answers = await asyncio.gather(*(make(caller, "race") for caller in (rosa, otto, nora) * 10))
    assert sorted(answer.status for answer in answers) == [200, *[409] * 29]


async def test_members_become_admins_and_admins_members_again(rosa: Api, otto: Api, nora: Api, team: str) -> None:
    async def people() -> tuple[list[str], list[str]]:
        shown = (await rosa.get("/rest/groups/team")).json["data"]["relationships"]
        assert shown["owner"]["data"]["id"] == user_id(rosa), "who is in neither list"
        return tuple([each["id"] for each in shown[role]["data"]] for role in ("admins", "members"))  # type: ignore

    assert await people() == ([], [user_id(otto)])
    answer = await add(rosa, team, otto, "admins")
    assert (answer.status, answer.json["data"]["id"]) == (200, user_id(otto))
    assert await people() == ([user_id(otto)], [])
    both = {"data": [linkage(nora), linkage(otto)]}
    answer = await rosa.post("/rest/groups/team/relationships/members", both)
    assert [each["id"] for each in answer.json["data"]] == [user_id(nora), user_id(otto)]
    assert await people() == ([], [user_id(otto), user_id(nora)])
    gone = await remove(rosa, team, otto, "admins")
    assert (gone.status, gone.body) == (204, b"")
    assert await people() == ([], [user_id(nora)])
    assert (await remove(rosa, team, otto)).status == 204, "once more changes nothing"
    assert (await otto.get("/rest/groups/team")).status == 404


async def test_a_user_may_be_named_by_user_name(rosa: Api, nora: Api, team: str) -> None:
    body = {"data": {"type": "users", "id": "nora"}}
    assert (await rosa.post("/rest/groups/team/relationships/members", body)).json["data"]["id"] == user_id(nora)


async def test_the_owner_stays_an_admin(owner: Api, rosa: Api, otto: Api, team: str) -> None:
    await add(rosa, team, otto, "admins")
    for caller in (rosa, otto, owner):
        for answer in (await add(caller, team, rosa), await remove(caller, team, rosa, "admins")):
            assert (answer.status, detail(answer)) == (400, OWNER_STAYS)
        assert (await add(caller, team, rosa, "admins")).status == 200
    assert (await rosa.get("/rest/groups/team")).json["data"]["relationships"]["owner"] == {"data": linkage(rosa)}


async def test_only_admins_of_a_group_change_it(owner: Api, rosa: Api, otto: Api, nora: Api, team: str) -> None:
    for call in (
        add(otto, team, nora),
        remove(otto, team, otto),
        delete(otto, team),
        add(otto, "team", otto, "admins"),
    ):
        answer = await call
        assert (answer.status, detail(answer)) == (403, "You are not the admin of group team.")
    for call in (add(nora, "team", nora), remove(nora, "team", otto), delete(nora, "team")):
        answer = await call
        assert (answer.status, detail(answer)) == (404, "Found no group with name 'team'")
    await add(rosa, team, otto, "admins")
    assert (await add(otto, team, nora)).status == 200
    assert (await delete(otto, team)).status == 204
    await make(rosa, "team")
    assert (await add(owner, "team", nora)).status == 200
    assert (await delete(owner, "team")).status == 204


async def test_a_list_of_users_is_taken_as_a_whole_or_not_at_all(rosa: Api, nora: Api, team: str) -> None:
    unknown = f"0x{99:032x}"
    body = {"data": [linkage(nora), {"type": "users", "id": unknown}]}
    for method in ("POST", "DELETE"):
        answer = await rosa(method, "/rest/groups/team/relationships/members", body)
        assert (answer.status, detail(answer)) == (404, f"User {unknown} not found")
    assert (await nora.get("/rest/groups/team")).status == 404
    for data, text in [
        ({"type": "groups", "id": "x"}, "type must be 'users'"),
        ({"type": "users"}, "What is meant is named by its `id`."),
        ({"type": "users", "id": 5}, "What is meant is named by its `id`."),
        ({"id": "0"}, "`data` object must include `type` key."),
        (None, "Invalid JSON"),
    ]:
        answer = await rosa.post("/rest/groups/team/relationships/members", {"data": data})
        assert (answer.status, detail(answer)) == (400, text), data
    assert (await rosa.post("/rest/groups/team/relationships/others", body)).status == 404


async def test_groups_are_deleted_all_or_none(rosa: Api, otto: Api, team: str) -> None:
    await make(rosa, "second")
    await make(otto, "mill")
    assert (await delete(rosa, "second", "mill")).status == 404
    assert (await delete(rosa, "second", "second")).status == 404
    assert await names(rosa) == ["public", "team", "second"]
    gone = await delete(rosa, "second", team)
    assert (gone.status, gone.body) == (204, b"")
    assert await names(rosa) == ["public"]
    assert (await make(rosa, "team")).json["data"][0]["id"] != team


async def test_they_are_the_groups_of_the_other_faces(rosa: Api, otto: Api, nora: Api, team: str) -> None:
    (shown,) = (await nora.get("/api/v1/groups")).json
    assert shown["name"] == "team"
    people = {each["user_id"] for each in shown["member_users"]}
    assert people == {rosa.account["id"], otto.account["id"]}, "the owner is one of them"


async def test_whoever_comes_or_goes_sees_or_loses_what_the_group_was_given_at_once(
    owner: Api, rosa: Api, otto: Api, nora: Api, team: str
) -> None:
    made = await owner.post(
        "/catalogue/items/",
        {"name": "secret", "executor_type": "ATHENA", "maintained_by_id": 1, "spec": [column()]},
    )
    item = f"/catalogue/items/{made.json['id']}"
    group_id = (await owner.get("/api/v1/groups")).json[0]["group_id"]
    given = [{"subject_type": "group", "subject_id": group_id, "level": "read"}]
    assert (await owner.put(f"{item}/permissions/", {"permissions": given})).status == 200

    async def sees(caller: Api) -> bool:
        statuses = {(await caller.get(item)).status for _ in range(2)}
        listed = {len((await caller.get("/catalogue/items/")).json["items"]) for _ in range(2)}
        assert (statuses, listed) in (({200}, {1}), ({404}, {0}))
        return statuses == {200}

    assert [await sees(caller) for caller in (rosa, otto, nora)] == [True, True, False]
    await add(rosa, team, nora)
    assert await sees(nora)
    await remove(rosa, team, nora)
    assert not await sees(nora)
    await remove(rosa, team, otto)
    assert not await sees(otto) and await sees(rosa)
    await delete(rosa, team)
    assert not await sees(rosa)
    permissions = (await owner.get(f"{item}/permissions/")).json["permissions"]
    assert "group" not in {each["subject_type"] for each in permissions}, "what was given to it went with it"


async def test_what_only_a_group_could_share_is_its_owners_once_it_is_gone(
    owner: Api, rosa: Api, otto: Api, team: str
) -> None:
    schema = {
        "title": "Object",
        "type": "object",
        "properties": {"name": {"title": "Name", "type": "text"}},
        "required": ["name"],
    }
    await owner.post("/api/v1/actions/", {"name": "Grow", "type": "sample", "schema": schema})
    data = {"name": {"_type": "text", "text": "A"}}
    paths = []
    for _ in range(2):
        made = await otto.post("/api/v1/objects/", {"action_id": 0, "data": data})
        paths.append("/api/v1/objects/" + made.headers["Location"].split("/objects/")[1].split("/")[0])
    group_id = (await owner.get("/api/v1/groups")).json[0]["group_id"]
    alone, shared = paths
    for path in paths:
        assert (await otto.put(f"{path}/permissions/groups/{group_id}", "grant")).status == 200
    assert (await otto.put(f"{alone}/permissions/users/{otto.account['id']}", "none")).status == 200
    assert (await rosa.get(f"{shared}/versions/0")).status == 200
    assert (await delete(rosa, team)).status == 204
    assert (await rosa.get(f"{alone}/permissions/users/{rosa.account['id']}")).json == "grant"
    assert (await rosa.get(f"{shared}/versions/0")).status == 403, "otto still has it, and may share it"


async def test_other_rooms_find_groups_and_subjects_of_permissions(
    services: Any, rosa: Api, nora: Api, team: str
) -> None:
    accounts = {name: await services.accounts.find(f"{name}@lab.example") for name in ("rosa", "nora")}

    def work(connection: Any) -> None:
        group = find_group(connection, "team", accounts["rosa"])
        assert group == read_group(connection, team) and group.uuid == team
        subject = subject_of_group(connection, team)
        assert subject == Subject("group", group.id)
        assert group_of_subject(connection, subject) == group
        everyone = read_group(connection, PUBLIC_GROUP_UUID)
        assert subject_of_group(connection, PUBLIC_GROUP_UUID) == EVERYONE
        assert group_of_subject(connection, EVERYONE) == everyone == find_group(connection, "public", None)
        assert subject_of_group(connection, "0x" + "0" * 32) is None and read_group(connection, "team") is None
        assert group_of_subject(connection, Subject("account", 1)) is None
        assert group_of_subject(connection, Subject("group", 99)) is None
        several = [subject, EVERYONE, Subject("account", 1), Subject("group", 99)]
        assert groups_of_subjects(connection, several) == {subject: group, EVERYONE: everyone}
        for account in (None, accounts["nora"]):
            with pytest.raises(Exception, match="Found no group with name 'team'"):
                find_group(connection, "team", account)

    await services.database.read(work)


async def put_in(services: Any, member: Api, name: str, **values: Any) -> None:
    """Make a group past all rules, as something else than this face may have."""
    from sqlalchemy import insert

    from cosphere_jupyter.accounts.tables import group_members, groups
    from cosphere_jupyter.database.schema import now

    def work(connection: Any) -> None:
        made = insert(groups).values(name=name, created_at=now(), **values).returning(groups.c.id)
        row = {"group_id": connection.execute(made).scalar_one(), "account_id": member.account["id"], "is_admin": True}
        connection.execute(insert(group_members).values(row))

    await services.database.write(work)


async def test_a_group_that_something_else_has_made_is_served_too(rosa: Api, services: Any) -> None:
    await put_in(services, rosa, "old one")
    shown = (await rosa.get("/rest/groups/old%20one")).json["data"]
    assert shown["relationships"]["owner"] == {"data": None}
    assert [each["id"] for each in shown["relationships"]["admins"]["data"]] == [user_id(rosa)]
    assert (await delete(rosa, shown["id"])).status == 204
