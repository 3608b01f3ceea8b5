"""Who may see a catalogue item: everyone, groups, accounts, ADMINs; lists, items and requests agree."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, literal, select
from support import column

from cosphere_jupyter.accounts.service import Account
from cosphere_jupyter.accounts.tables import accounts, group_members, groups
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.permissions.service import (
    Level,
    Permission,
    Subject,
    holds,
    level_of,
    permissions_on,
    replace_permissions,
    resources_of,
)


def only(*subjects):
    return {"permissions": [{"subject_type": kind, "subject_id": id, "level": "read"} for kind, id in subjects]}


async def test_an_item_is_seen_by_everyone_who_is_signed_in_until_somebody_says_otherwise(
    owner, admin, researcher, numbers_item
):
    path = f"/catalogue/items/{numbers_item['id']}"
    assert (await owner.get(f"{path}/permissions/")).json["permissions"] == [
        {"subject_type": "everyone", "subject_id": 0, "level": "read"}
    ]
    assert (await researcher.get(path)).status == 200
    hidden = await owner.put(f"{path}/permissions/", only())
    assert (hidden.event, hidden.json["permissions"]) == ("CATALOGUEITEM_PERMISSIONS_UPDATED", [])
    refused = await researcher.get(path)
    assert (refused.status, refused.event) == (404, "COULD_NOT_FIND_CATALOGUEITEM")
    assert (await researcher.get("/catalogue/items/")).json["items"] == []
    assert (await researcher.get("/catalogue/items/?name=numbers")).json["items"] == []
    for api in (owner, admin):
        assert (await api.get(path)).status == 200
        assert len((await api.get("/catalogue/items/")).json["items"]) == 1


async def test_what_may_not_be_seen_cannot_be_asked_for_and_its_requests_vanish(owner, researcher, numbers_item):
    body = {"catalogue_item_id": numbers_item["id"], "spec": {"columns": ["n"], "filters": []}}
    request = (await researcher.post("/downloader/requests/", body)).json
    await researcher.settled(request["id"])
    path = f"/catalogue/items/{numbers_item['id']}/permissions/"
    await owner.put(path, only())
    refused = await researcher.post("/downloader/requests/", body)
    assert refused.errors == {
        "catalogue_item": [f"catalogue item instance with id {numbers_item['id']} does not exist."]
    }
    assert (await researcher.get("/downloader/requests/")).json["requests"] == []
    assert (await researcher.get(f"/downloader/requests/{request['id']}")).status == 404
    await owner.put(path, only(("account", researcher.account["id"])))
    assert (await researcher.get(f"/downloader/requests/{request['id']}")).status == 200
    assert (await researcher.post("/downloader/requests/", body)).status == 200


async def test_only_admins_read_and_change_permissions(researcher, anybody, numbers_item):
    path = f"/catalogue/items/{numbers_item['id']}/permissions/"
    for api, status in ((researcher, 403), (anybody, 401)):
        assert (await api.get(path)).status == status
        assert (await api.put(path, only())).status == status


async def test_wrong_permissions_are_refused_with_words(owner, numbers_item):
    path = f"/catalogue/items/{numbers_item['id']}/permissions/"
    one = {"subject_type": "account", "subject_id": 1, "level": "read"}
    for wrong in (None, 5, "x", {}, [1], [{}], [{**one, "level": "all"}], [{**one, "subject_id": 0}]):
        assert (await owner.put(path, {"permissions": wrong})).event == "BODY_DID_NOT_VALIDATE", wrong
    for wrong in ({**one, "subject_id": True}, {**one, "subject_type": "everyone"}, {**one, "subject_id": 2**60}):
        assert (await owner.put(path, {"permissions": [wrong]})).event == "BODY_DID_NOT_VALIDATE", wrong
    assert (await owner.put(path, {"permissions": [one, one]})).errors == {
        "permissions": ["Each subject may be named once."]
    }
    for kind in ("account", "group"):
        unknown = await owner.put(path, only((kind, 4711)))
        assert unknown.errors == {"permissions": [f"{kind} instance with id 4711 does not exist."]}
    assert len((await owner.get(path)).json["permissions"]) == 1
    assert (await owner.get("/catalogue/items/4711/permissions/")).event == "COULD_NOT_FIND_CATALOGUEITEM"


async def test_items_have_a_description_and_tags_that_can_be_searched(owner):
    values = {"executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()]}
    tagged = (await owner.post("/catalogue/items/", {**values, "name": "a", "tags": [" IoT", "iot", "Ärzte"]})).json
    plain = (await owner.post("/catalogue/items/", {**values, "name": "b", "description": "what it is"})).json
    assert tagged["tags"] == ["iot", "ärzte"] and "description" not in tagged
    assert plain["description"] == "what it is" and "tags" not in plain
    assert [item["name"] for item in (await owner.get("/catalogue/items/?tag=IOT")).json["items"]] == ["a"]
    assert (await owner.get("/catalogue/items/?tag=nothing")).json["items"] == []
    kept = await owner.put(f"/catalogue/items/{tagged['id']}", {**values, "description": "new"})
    assert (kept.json["tags"], kept.json["description"]) == (["iot", "ärzte"], "new")
    bare = await owner.put(f"/catalogue/items/{tagged['id']}", {**values, "tags": [], "description": ""})
    assert "tags" not in bare.json and "description" not in bare.json
    for wrong in ("iot", [1], [""], ["x" * 65], ["x"] * 33, {"a": 1}):
        refused = await owner.post("/catalogue/items/", {**values, "name": "c", "tags": wrong})
        assert (refused.event, list(refused.errors)) == ("BODY_DID_NOT_VALIDATE", ["tags"]), wrong


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Four accounts and three groups; account n is a member of the groups below n."""
    opened = Database(tmp_path_factory.mktemp("permissions") / "test.sqlite")
    migrate(opened)

    def fill(connection):
        for number in range(1, 5):
            values = {"email": f"{number}@x.org", "name": "", "type": "RESEARCHER", "is_active": True, "epoch": 0}
            connection.execute(insert(accounts).values(id=number, **values, created_at=now(), updated_at=now()))
        for group in range(1, 4):
            connection.execute(insert(groups).values(id=group, name=str(group), created_at=now()))
            for member in range(group + 1, 5):
                connection.execute(insert(group_members).values(group_id=group, account_id=member, is_admin=False))

    opened.submit(fill).result()
    yield opened
    opened.close()


subjects = st.one_of(
    st.just(Subject("everyone")),
    st.builds(Subject, st.just("account"), st.integers(1, 4)),
    st.builds(Subject, st.just("group"), st.integers(1, 3)),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(subjects, st.sampled_from(Level), max_size=8))
def test_the_level_of_an_account_is_the_highest_that_it_holds_in_any_way(database, given_levels):
    given_permissions = [Permission(subject, level) for subject, level in given_levels.items()]

    def expected(number):
        reasons = {Subject("everyone"), Subject("account", number)}
        reasons |= {Subject("group", group) for group in range(1, 4) if number > group}
        return max((given_levels[subject] for subject in reasons if subject in given_levels), default=Level.NONE)

    def check(connection):
        replace_permissions(connection, "thing", 7, given_permissions)
        replace_permissions(connection, "thing", 8, [])
        replace_permissions(connection, "other", 7, [Permission(Subject("everyone"), Level.GRANT)])
        stored = {each.subject: each.level for each in permissions_on(connection, "thing", 7)}
        assert stored == {subject: level for subject, level in given_levels.items() if level}
        for number in range(1, 5):
            account = Account(number, "", "", "RESEARCHER", None, True, 0)
            assert level_of(connection, "thing", 7, account) is expected(number)
            assert level_of(connection, "thing", 8, account) is Level.NONE
            for level in Level:
                condition = holds("thing", literal(7), account, level)
                found = connection.execute(select(literal(1)).where(condition)).first() is not None
                # A level of none is no row: nobody asks for it.
                assert level is Level.NONE or found == (expected(number) >= level)
                listed = connection.execute(resources_of(literal(number), "thing", level)).scalars().all()
                assert level is Level.NONE or listed == ([7] if expected(number) >= level else [])
            admin = Account(number, "", "", "ADMIN", None, True, 0)
            assert level_of(connection, "thing", 8, admin) is Level.GRANT

    database.submit(check).result()
