"""Users of the CodaLab face: oneself, others, and what only ADMINs see and do."""

from __future__ import annotations

import asyncio
import locale
import re
import time
from collections.abc import Callable
from typing import Any

from codalab.conftest import Clock, OAuth, as_command_line, detail, user_id
from support import Answer, Api

PUBLIC = {"user_name", "first_name", "last_name", "affiliation", "url", "date_joined", "avatar_id"}
OWN = PUBLIC | {
    "has_access",
    "email",
    "notifications",
    "time_quota",
    "parallel_run_quota",
    "time_used",
    "disk_quota",
    "disk_used",
    "last_login",
    "is_root_user",
    "protected_mode",
}
# The form of C's own locale.
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")


def change(_id: str | None = None, **attributes: Any) -> dict[str, Any]:
    return {"type": "users", **({"id": _id} if _id else {}), "attributes": attributes}


async def patch_self(caller: Api, **attributes: Any) -> Answer:
    return await caller("PATCH", "/rest/user", {"data": change(**attributes)})


async def test_everyone_sees_all_of_themselves(rosa: Api, owner: Api) -> None:
    for caller, is_root in ((rosa, False), (owner, True)):
        shown = (await caller.get("/rest/user")).json["data"]
        assert (shown["type"], shown["id"]) == ("users", user_id(caller))
        attributes = shown["attributes"]
        assert set(attributes) == OWN
        assert attributes["email"] == caller.account["email"]
        assert (attributes["is_root_user"], attributes["protected_mode"]) == (is_root, False)
        for quota in ("time_quota", "parallel_run_quota", "disk_quota"):
            assert type(attributes[quota]) is int and attributes[quota] > 0, "programs divide by it"
        assert (attributes["time_used"], attributes["disk_used"], attributes["notifications"]) == (0, 0, 0)
        assert DATE.fullmatch(attributes["date_joined"]) and attributes["last_login"] is None
        joined = time.strptime(attributes["date_joined"], "%a %b %d %H:%M:%S %Y")
        assert abs(time.mktime(joined) - time.mktime(time.gmtime())) < 600, "in UTC"


async def test_dates_are_told_in_no_language_of_the_server(rosa: Api) -> None:
    before = locale.setlocale(locale.LC_TIME)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_TIME, name)
        except locale.Error:
            continue
        try:
            assert DATE.fullmatch((await rosa.get("/rest/user")).json["data"]["attributes"]["date_joined"]), name
        finally:
            locale.setlocale(locale.LC_TIME, before)


async def test_the_quota_of_the_account_is_the_one_that_is_shown(rosa: Api, owner: Api) -> None:
    for quota, shown in ((10_000, 10_000), (0, 1), (None, 2**49)):
        await owner.put(f"/accounts/{rosa.account['id']}", {"disk_quota": quota})
        assert (await rosa.get("/rest/user")).json["data"]["attributes"]["disk_quota"] == shown


async def test_what_bundles_use_is_shown(rosa: Api, services: Any) -> None:
    from cosphere_jupyter.bundles.usage import charge, charge_time

    def work(connection: Any) -> None:
        charge(connection, rosa.account["id"], 12_345)
        charge_time(connection, rosa.account["id"], 61.5)

    await services.database.write(work)
    attributes = (await rosa.get("/rest/user")).json["data"]["attributes"]
    assert (attributes["disk_used"], attributes["time_used"]) == (12_345, 61)


async def test_people_tell_of_themselves_what_they_like(rosa: Api, anybody: Api) -> None:
    told = {
        "first_name": "Rosa",
        "last_name": "Lüxemburg \u2713",
        "affiliation": "Lab",
        "url": "https://lab.example/~rosa",
        "user_name": "rosa.l-2_x",
    }
    answer = await patch_self(rosa, **told, notifications=2)
    assert answer.status == 200, answer.body
    for shown in (answer.json["data"], (await rosa.get("/rest/user")).json["data"]):
        assert {key: shown["attributes"][key] for key in told} == told
        assert shown["attributes"]["notifications"] == 2
    seen = (await anybody.get("/rest/users/rosa.l-2_x")).json["data"]
    assert set(seen["attributes"]) == PUBLIC and seen["attributes"]["last_name"] == "Lüxemburg \u2713"
    assert (await anybody.get("/rest/users/rosa")).status == 404, "the old name is free"
    empty = await patch_self(rosa, first_name=None, url="", unknown="ignored")
    assert empty.status == 200 and empty.json["data"]["attributes"]["first_name"] is None
    assert (await patch_self(rosa, user_name="rosa.l-2_x")).status == 200, "one's own name is not taken"


async def test_what_cannot_be_told_is_refused_and_changes_nothing(rosa: Api, otto: Api) -> None:
    before = (await rosa.get("/rest/user")).json
    names = "User name characters must be alphanumeric, underscores, periods, or dashes."
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"email": "x@lab.example"}, 403, "These fields are read-only: email"),
        ({"disk_quota": 1, "email": "x", "first_name": "R"}, 403, "These fields are read-only: email, disk_quota"),
        ({"is_root_user": True}, 403, "These fields are read-only: is_root_user"),
        ({"time_quota": 1, "parallel_run_quota": 2}, 403, "These fields are read-only: time_quota, parallel_run_quota"),
        *[({name: None}, 403, f"These fields are read-only: {name}") for name in sorted(OWN - PUBLIC)
          if name not in ("notifications",)],
        ({"date_joined": "x"}, 403, "These fields are read-only: date_joined"),
        ({"user_name": "otto"}, 400, "User name otto is already taken."),
        *[({"user_name": name}, 400, names) for name in ("", "1a", "a b", "ä", "a@b", "0", "x" * 257, 5, None, ["a"])],
        ({"first_name": 5}, 400, "first_name: Not a valid string of at most 256 characters."),
        ({"last_name": "x" * 257}, 400, "last_name: Not a valid string of at most 256 characters."),
        ({"url": "javascript:alert(1)"}, 400, "url: Not a valid URL."),
        ({"notifications": "2"}, 400, "notifications: Not a valid number."),
        ({"notifications": True}, 400, "notifications: Not a valid number."),
        ({"notifications": -1}, 400, "notifications: Not a valid number."),
        ({"notifications": 1e300}, 400, "notifications: Not a valid number."),
    ]  # fmt: skip
    for attributes, status, text in cases:
        answer = await patch_self(rosa, **attributes)
        assert (answer.status, detail(answer)) == (status, text), attributes
    assert (await rosa.get("/rest/user")).json == before


async def test_a_body_that_is_no_document_is_refused_in_words(rosa: Api) -> None:
    cases = [
        (b"{", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"[]", "Object must include `data` key."),
        (b"{}", "Object must include `data` key."),
        (b'{"data": 5}', "Invalid JSON"),
        (b'{"data": {}}', "`data` object must include `type` key."),
        (b'{"data": {"type": "groups"}}', "type must be 'users'"),
        (b'{"data": {"type": "users", "attributes": [1]}}', "`attributes` must be an object."),
        (b'{"data": [{"type": "users"}, {"type": "users"}]}', "`data` must be one object."),
    ]
    for raw, text in cases:
        answer = await rosa("PATCH", "/rest/user", raw=raw)
        assert (answer.status, detail(answer)) == (400, text), raw
        told = await as_command_line(rosa)("PATCH", "/rest/user", raw=raw)
        assert (told.status, told.body.decode()) == (400, text), raw
        assert told.headers["Content-Type"].startswith("text/")


async def test_of_twenty_who_want_a_name_at_once_one_gets_it(rosa: Api, otto: Api, nora: Api) -> None:
    callers = [rosa, otto, nora] * 7
    answers = await asyncio.gather(*(patch_self(caller, user_name="chief") for caller in callers))
    winners = {answer.json["data"]["id"] for answer in answers if answer.status == 200}
    assert len(winners) == 1
    assert {detail(answer) for answer in answers if answer.status != 200} == {"User name chief is already taken."}


async def test_others_are_found_by_name_and_by_id(rosa: Api, otto: Api, anybody: Api, owner: Api) -> None:
    for caller in (rosa, otto, anybody):
        for spec in ("otto", user_id(otto)):
            shown = (await caller.get(f"/rest/users/{spec}")).json["data"]
            assert shown["id"] == user_id(otto) and set(shown["attributes"]) == PUBLIC
    assert set((await owner.get("/rest/users/otto")).json["data"]["attributes"]) == OWN
    assert (await rosa.get("/rest/users/0")).json["data"]["id"] == "0"
    for spec in (
        "nobody",
        "1",
        "2",
        f"0x{1:032x}",
        f"0x{99:032x}",
        "0x",
        f"0x{'f' * 32}",
        "otto%40lab.example",
        "OTTO",
    ):
        answer = await rosa.get(f"/rest/users/{spec}")
        assert (answer.status, detail(answer)) == (404, f"User {spec.replace('%40', '@')} not found")


async def test_the_disk_is_counted_here_whatever_a_client_says(rosa: Api) -> None:
    async def increment(amount: Any) -> Answer:
        attributes = {"disk_used_increment": amount, "bundle_uuid": "0x" + "a" * 32}
        body = {"data": [{"type": "user/increment_disk_used", "attributes": attributes}]}
        return await rosa("PATCH", "/rest/user/increment_disk_used", body)

    (shown,) = (await increment(1000)).json["data"]
    assert shown["id"] == user_id(rosa) and shown["attributes"]["disk_used"] == 0
    for amount in (0, -5, "7", None, True, [1]):
        answer = await increment(amount)
        assert (answer.status, detail(answer)) == (400, "Only positive disk increments are allowed."), amount


async def test_only_admins_search_for_users(rosa: Api, anybody: Api) -> None:
    for caller in (rosa, anybody):
        for query in ("", "?keywords=.count", "?keywords=user_name=rosa"):
            answer = await caller.get(f"/rest/users{query}")
            text = "You don't have access to search for these fields"
            assert (answer.status, detail(answer)) == (403, text)


async def test_admins_change_users_and_their_quotas_all_or_none(owner: Api, rosa: Api, otto: Api) -> None:
    first = change(user_id(rosa), time_quota=100, parallel_run_quota=3, disk_quota=5000, first_name="R")
    answer = await owner("PATCH", "/rest/users", {"data": [first, change("otto", user_name="otto2")]})
    assert answer.status == 200, answer.body
    assert [each["id"] for each in answer.json["data"]] == [user_id(rosa), user_id(otto)]
    shown = (await rosa.get("/rest/user")).json["data"]["attributes"]
    assert {shown[name] for name in ("time_quota", "parallel_run_quota", "disk_quota")} == {100, 3, 5000}
    assert (await owner.get(f"/accounts/{rosa.account['id']}")).json["disk_quota"] == 5000
    for second, status, text in [
        (change("nobody", first_name="X"), 404, "User nobody not found"),
        (change(user_id(otto), user_name="rosa"), 400, "User name rosa is already taken."),
        (change(user_id(otto), disk_quota=0), 400, "disk_quota: Not a valid number."),
        (change(user_id(otto), email="x@y.example"), 403, "These fields are read-only: email"),
        (change(first_name="X"), 400, "A user is named by its `id`."),
    ]:
        answer = await owner("PATCH", "/rest/users", {"data": [change(user_id(rosa), first_name="Z"), second]})
        assert (answer.status, detail(answer)) == (status, text)
    assert (await rosa.get("/rest/user")).json["data"]["attributes"]["first_name"] == "R"
    refused = await rosa("PATCH", "/rest/users", {"data": [change(user_id(rosa), first_name="Z")]})
    assert refused.status == 403


def named(*ids: str) -> dict[str, Any]:
    return {"data": [{"type": "users", "id": each} for each in ids]}


async def test_who_owns_nothing_here_may_go_or_be_sent_away(
    owner: Api, rosa: Api, otto: Api, nora: Api, oauth: OAuth
) -> None:
    others = await rosa("DELETE", "/rest/users", named(user_id(otto)))
    text = "As a non-root user, you can only delete your own account."
    assert (others.status, detail(others)) == (403, text)
    assert (await rosa("DELETE", "/rest/users", named(user_id(rosa), user_id(otto)))).status == 403
    gone = await rosa("DELETE", "/rest/users", named(user_id(rosa)))
    assert (gone.status, gone.body) == (204, b"")
    assert (await rosa.get("/rest/user")).status == 403
    assert (await oauth.password("rosa")).status == 401
    missing = await otto.get("/rest/users/rosa")
    assert (missing.status, detail(missing)) == (404, "User rosa not found")
    assert (await owner.get("/rest/users/rosa")).json["data"]["attributes"]["has_access"] is False
    assert (await owner("DELETE", "/rest/users", named(user_id(otto), user_id(nora)))).status == 204
    assert (await nora.get("/rest/user")).status == 403
    root = await owner("DELETE", "/rest/users", named("0"))
    assert (root.status, detail(root)) == (403, "Cannot delete root user.")
    unknown = await owner("DELETE", "/rest/users", named(user_id(otto), f"0x{99:032x}"))
    assert (unknown.status, detail(unknown)) == (404, f"User 0x{99:032x} not found")


async def test_who_owns_bundles_or_worksheets_stays(owner: Api, rosa: Api, otto: Api, services: Any) -> None:
    from sqlalchemy import insert

    from cosphere_jupyter.bundles.tables import bundles, worksheets
    from cosphere_jupyter.database.schema import now

    common = {"owner_id": rosa.account["id"], "is_anonymous": False, "created_at": now(), "updated_at": now()}
    bundle = {"uuid": f"0x{1:032x}", "bundle_type": "dataset", "state": "ready", "metadata": {}, "name": "b"}
    worksheet = {"uuid": f"0x{2:032x}", "name": "w", "version": 0}

    def work(connection: Any) -> None:
        connection.execute(insert(bundles).values(**common, **bundle, data_size=0))
        connection.execute(insert(worksheets).values(**common, **worksheet))

    await services.database.write(work)
    both = "User rosa owns bundles, can't delete user.\nUser rosa owns worksheets, can't delete user."
    for caller, ids in ((rosa, [user_id(rosa)]), (owner, [user_id(otto), user_id(rosa)])):
        answer = await caller("DELETE", "/rest/users", named(*ids))
        assert (answer.status, detail(answer)) == (404, both)
    assert (await otto.get("/rest/user")).status == 200, "none of them went"


async def test_the_last_admin_cannot_go(owner: Api, sign_up: Callable[..., Any]) -> None:
    ada = await sign_up("ada@lab.example", "ADMIN")
    assert (await owner.put(f"/accounts/{owner.account['id']}", {"is_active": False})).status == 200
    answer = await ada("DELETE", "/rest/users", named(user_id(ada)))
    assert (answer.status, detail(answer)) == (400, "last admin detected")
    assert (await ada.get("/rest/user")).status == 200


# Keywords, and whom they find of rosa, otto and nora (the owner, whose name depends on the machine, left out).
SEARCHES: list[tuple[list[str], str]] = [
    (["user_name=rosa"], "rosa"),
    (["user_name=rosa,otto"], "rosa otto"),
    (["user_name=ROSA"], ""),
    (["user_name=R%"], "rosa"),
    (["user_name=.*o.*"], "rosa otto nora"),
    (["email=otto@lab.example"], "otto"),
    (["os"], "rosa"),
    (["LAB.example"], "rosa otto nora"),
    (["o", "affiliation=Mill"], "otto"),
    (["affiliation=%"], "rosa otto nora"),
    (["first_name=Rosa"], "rosa"),
    (["last_name=nothing"], ""),
    (["id=0x00000000000000000000000000000003"], "otto"),
    (["user_id=0x%3"], "otto"),
    (["disk_used=500"], "rosa"),
    (["lab.example", "disk_used=.sort-"], "rosa otto nora"),
    (["lab.example", "user_name=.sort"], "nora otto rosa"),
    (["lab.example", "user_name=.sort-", ".limit=1"], "rosa"),
    (["lab.example", "user_name=.sort", ".limit=1", ".offset=1"], "otto"),
    (["lab.example", ".last", ".limit=1"], "nora"),
    ([".disk_used_more_than=40%"], "rosa"),
    ([".disk_used_more_than=60%"], ""),
    ([".disk_used_more_than=0.2k"], "rosa"),
    (["lab.example", ".disk_used_less_than=300"], "otto nora"),
    (["lab.example", ".time_used_less_than=1h"], "rosa otto nora"),
    ([".time_used_more_than=1s"], ""),
    (["lab.example", ".joined_after=2020-01-01"], "rosa otto nora"),
    ([".joined_before=2020-01-01"], ""),
    ([".active_after=2020-01-01T00:00:00Z"], "otto"),
    ([".active_before=2020-01-01"], ""),
]
NUMBERS: list[tuple[list[str], Any]] = [
    (["lab.example", ".count"], 3),
    (["user_name=nobody", ".count"], 0),
    (["lab.example", ".count", ".limit=2"], 2),
    (["lab.example", "disk_used=.sum"], 700),
    (["lab.example", "disk_used=.sum", ".format=size"], "700"),
]
WRONG: list[tuple[list[str], str]] = [
    (["foo=bar"], "Unknown key: foo"),
    (["foo=.sort"], "Unknown key: foo"),
    (["email=.sum"], "Unknown key: email"),
    ([".limit=x"], "Invalid int 'x'"),
    ([".mine"], "This keyword finds bundles, not users."),
    ([".disk_used_more_than=much"], "Invalid amount 'much': write for example 50% or 2g"),
    ([".joined_before=yesterday"], "Unable to parse datetime."),
]


async def test_admins_find_users_by_keywords(
    owner: Api, rosa: Api, otto: Api, nora: Api, oauth: OAuth, services: Any, clock: Clock
) -> None:
    from urllib.parse import urlencode

    from cosphere_jupyter.bundles.usage import charge

    def work(connection: Any) -> None:
        charge(connection, rosa.account["id"], 500)
        charge(connection, otto.account["id"], 200)

    await services.database.write(work)
    await owner("PATCH", "/rest/users", {"data": [change("rosa", disk_quota=1000, first_name="Rosa")]})
    await owner("PATCH", "/rest/users", {"data": [change("otto", affiliation="Mill")]})
    await oauth.password("otto")

    async def search(keywords: list[str]) -> Answer:
        return await owner.get("/rest/users?" + urlencode([("keywords", each) for each in keywords]))

    for keywords, names in SEARCHES:
        answer = await search(keywords)
        assert answer.status == 200, (keywords, answer.body)
        found = [each["attributes"]["user_name"] for each in answer.json["data"] if each["id"] != "0"]
        assert found == names.split(), keywords
    for keywords, number in NUMBERS:
        assert (await search(keywords)).json["meta"]["results"] == number, keywords
    for keywords, text in WRONG:
        answer = await search(keywords)
        assert (answer.status, detail(answer)[: len(text)]) == (400, text), keywords
