"""Accounts over HTTP: what ADMINs do with them, and what becomes of their tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from support import Answer, Api

REQUIRED = ["This field is required."]


def assert_error(answer: Answer, status: int, event: str, **rest: Any) -> None:
    body = {key: value for key, value in answer.json.items() if key != "@authorizer"}
    assert (answer.status, body) == (status, {"@event": event, "@type": "error", **rest})


async def test_an_account_is_created_read_listed_and_updated(owner: Api) -> None:
    values = {"email": "ada@lab.example", "name": "Ada", "type": "ADMIN", "disk_quota": 10**9, "password": "analytical"}
    created = await owner.post("/accounts/", values)
    entity = {
        "@type": "account",
        "id": created.json["id"],
        "email": "ada@lab.example",
        "name": "Ada",
        "type": "ADMIN",
        "disk_quota": 10**9,
        "is_active": True,
    }
    assert (created.status, created.json) == (201, {"@event": "ACCOUNT_CREATED", **entity})
    path = f"/accounts/{entity['id']}"
    assert (await owner.get(path)).json == {"@event": "ACCOUNT_READ", **entity}
    listed = await owner.get("/accounts/")
    assert (listed.event, listed.json["@type"]) == ("ACCOUNTS_BULK_READ", "accounts_list")
    assert listed.json["accounts"] == [
        {key: value for key, value in owner.account.items() if key != "@event"},
        entity,
    ]
    changes = {"name": "Countess", "type": "RESEARCHER", "disk_quota": None, "is_active": False}
    updated = await owner.put(path, changes)
    assert (updated.status, updated.json) == (200, {"@event": "ACCOUNT_UPDATED", **entity, **changes})
    # Only what is given changes, and the e-mail address never does.
    for body in ({}, {"email": "other@lab.example", "id": 99, "epoch": 7, "unknown": []}):
        assert (await owner.put(path, body)).json == {"@event": "ACCOUNT_UPDATED", **entity, **changes}


async def test_what_is_left_out_of_a_new_account_has_a_default(owner: Api) -> None:
    created = (await owner.post("/accounts/", {"email": " rosa@lab.example "})).json
    assert {key: created[key] for key in ("email", "name", "type", "disk_quota", "is_active")} == {
        "email": "rosa@lab.example",
        "name": "",
        "type": "RESEARCHER",
        "disk_quota": None,
        "is_active": True,
    }


async def test_every_field_of_an_account_says_what_is_wrong_with_it(owner: Api, researcher: Api) -> None:
    good = {"email": "new@lab.example"}
    least, most = "Ensure this value is greater than or equal to 0.", "Ensure this value is less than or equal to"
    cases: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({}, {"email": REQUIRED}),
        ({"email": None}, {"email": ["This field may not be null."]}),
        ({"email": ""}, {"email": ["This field may not be blank."]}),
        ({"email": []}, {"email": ["Not a valid string."]}),
        ({"email": "ada"}, {"email": ["Enter a valid email address."]}),
        ({"email": "rosa@lab.example"}, {"email": ["account with this email already exists."]}),
        ({**good, "type": "BOSS"}, {"type": ['"BOSS" is not a valid choice.']}),
        ({**good, "type": "admin"}, {"type": ['"admin" is not a valid choice.']}),
        ({**good, "type": None}, {"type": ["This field may not be null."]}),
        ({**good, "name": "x" * 257}, {"name": ["Ensure this field has no more than 256 characters."]}),
        ({**good, "name": None}, {"name": ["This field may not be null."]}),
        ({**good, "password": "seven77"}, {"password": ["Ensure this field has at least 8 characters."]}),
        ({**good, "password": ""}, {"password": ["This field may not be blank."]}),
        ({**good, "password": None}, {"password": ["This field may not be null."]}),
        ({**good, "password": "x" * 1025}, {"password": ["Ensure this field has no more than 1024 characters."]}),
        ({**good, "password": "a\0bcdefgh"}, {"password": ["Null characters are not allowed."]}),
        ({**good, "disk_quota": -1}, {"disk_quota": [least]}),
        ({**good, "disk_quota": 2**63}, {"disk_quota": [f"{most} {2**62}."]}),
        ({**good, "disk_quota": "10GB"}, {"disk_quota": ["A valid integer is required."]}),
        ({"email": "x", "type": "y", "disk_quota": "z"}, {
            "email": ["Enter a valid email address."],
            "type": ['"y" is not a valid choice.'],
            "disk_quota": ["A valid integer is required."],
        }),
    ]  # fmt: skip
    for body, errors in cases:
        answer = await owner.post("/accounts/", body)
        assert (answer.status, answer.event, answer.errors) == (400, "BODY_DID_NOT_VALIDATE", errors), body
        if "email" not in errors:
            answer = await owner.put(f"/accounts/{researcher.account['id']}", body)
            assert (answer.status, answer.event, answer.errors) == (400, "BODY_DID_NOT_VALIDATE", errors), body
    for value in (None, "maybe", 2):
        text = "This field may not be null." if value is None else "Must be a valid boolean."
        answer = await owner.put(f"/accounts/{researcher.account['id']}", {"is_active": value})
        assert answer.errors == {"is_active": [text]}, value
    emails = [account["email"] for account in (await owner.get("/accounts/")).json["accounts"]]
    assert emails == [owner.account["email"], "rosa@lab.example"]


async def test_email_addresses_are_told_apart_letter_by_letter(owner: Api, researcher: Api) -> None:
    assert (await owner.post("/accounts/", {"email": "Rosa@lab.example"})).status == 201
    again = await owner.post("/accounts/", {"email": "rosa@lab.example "})
    assert_error(again, 400, "BODY_DID_NOT_VALIDATE", errors={"email": ["account with this email already exists."]})


async def test_of_twenty_equal_accounts_at_once_one_is_made(owner: Api) -> None:
    answers = await asyncio.gather(*(owner.post("/accounts/", {"email": "race@lab.example"}) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [400] * 19
    for answer in answers:
        if answer.status == 400:
            assert answer.errors == {"email": ["account with this email already exists."]}
    assert len((await owner.get("/accounts/")).json["accounts"]) == 2


async def test_accounts_are_listed_by_id_page_by_page(owner: Api) -> None:
    for number in range(5):
        await owner.post("/accounts/", {"email": f"{9 - number}@lab.example"})
    everybody = (await owner.get("/accounts/")).json["accounts"]
    assert [account["id"] for account in everybody] == sorted(account["id"] for account in everybody)
    assert len(everybody) == 6
    for limit in (1, 2, 4, 6, 9):
        pages = [
            (await owner.get(f"/accounts/?limit={limit}&offset={offset}")).json["accounts"]
            for offset in range(0, 8, limit)
        ]
        assert [account for page in pages for account in page] == everybody, limit
    assert (await owner.get("/accounts/?offset=5")).json["accounts"] == everybody[5:]


async def test_everybody_learns_who_they_are(owner: Api, admin: Api, researcher: Api) -> None:
    for caller in (owner, admin, researcher):
        answer = await caller.get("/accounts/me")
        assert (answer.status, answer.json) == (200, {**caller.account, "@event": "ACCOUNT_READ"})
    assert owner.account["type"] == "ADMIN"
    assert "@localhost" in owner.account["email"]
    assert owner.account["@type"] == "account"


async def test_a_password_is_never_shown_and_is_kept_as_an_argon2id_hash(
    owner: Api, services: Any, tmp_path: Any, caplog: Any
) -> None:
    from sqlalchemy import text

    secret = "correct horse battery staple"
    created = await owner.post("/accounts/", {"email": "ada@lab.example", "password": secret})
    path = f"/accounts/{created.json['id']}"
    answers = [
        created,
        await owner.put(path, {"password": secret}),
        await owner.get(path),
        await owner.get("/accounts/"),
    ]
    for answer in answers:
        assert secret not in answer.body.decode() and "argon2" not in answer.body.decode()
        assert "password" not in answer.body.decode()
    stored = await services.database.read(
        lambda connection: connection.execute(text("SELECT password_hash FROM accounts ORDER BY id")).scalars().all()
    )
    assert stored[0] is None
    assert stored[1].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for file in (tmp_path / "workspace").rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    assert secret not in caplog.text


async def test_a_token_is_made_for_an_account(owner: Api, researcher: Api) -> None:
    import jwt

    answer = await owner.post(f"/accounts/{researcher.account['id']}/auth_tokens/")
    assert (answer.status, answer.event, answer.json["@type"]) == (201, "AUTH_TOKEN_CREATED", "auth_token")
    assert set(answer.json) == {"@event", "@type", "token"}
    token = answer.json["token"]
    assert (await owner.of(f"Bearer {token}").get("/accounts/me")).json["id"] == researcher.account["id"]
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "HS256"}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert {key: claims[key] for key in ("id", "email", "type")} == {
        "id": researcher.account["id"],
        "email": "rosa@lab.example",
        "type": "RESEARCHER",
    }
    assert claims["exp"] - claims["iat"] == 86400
    assert (claims["iss"], claims["aud"]) == ("cosphere", "cosphere")
    other = (await owner.post(f"/accounts/{researcher.account['id']}/auth_tokens/")).json["token"]
    assert other != token
    assert (await researcher.get("/accounts/me")).status == 200, "an older token goes on"


async def test_what_takes_rights_away_voids_all_tokens_at_once(owner: Api, sign_up: Callable[..., Any]) -> None:
    voiding = [
        [{"password": "a new password"}],
        [{"password": "a new password", "name": "x"}],
        [{"type": "ADMIN"}],
        [{"type": "ADMIN"}, {"type": "RESEARCHER"}],
        [{"is_active": False}],
        [{"is_active": False}, {"is_active": True}],
    ]
    harmless = [[{"name": "Rosa"}], [{"disk_quota": 5}], [{"type": "RESEARCHER"}], [{"is_active": True}], [{}]]
    for number, changes in enumerate([*voiding, *harmless]):
        caller = await sign_up(f"{number}@lab.example")
        path = f"/accounts/{caller.account['id']}"
        second = (await owner.post(f"{path}/auth_tokens/")).json["token"]
        for change in changes:
            assert (await owner.put(path, change)).status == 200, change
        for token in (caller.authorization, f"Bearer {second}"):
            answer = await owner.of(token).get("/accounts/me")
            if changes in voiding:
                assert_error(answer, 401, "AUTH_TOKEN_MISSING_ACCOUNT")
            else:
                assert answer.status == 200, changes
        fresh = await owner.post(f"{path}/auth_tokens/")
        if changes[-1].get("is_active") is False:
            assert_error(fresh, 400, "ACCOUNT_IS_DISABLED")
        else:
            assert (await owner.of(f"Bearer {fresh.json['token']}").get("/accounts/me")).status == 200, changes


async def test_the_last_active_admin_stays_one(owner: Api, sign_up: Callable[..., Any]) -> None:
    path = f"/accounts/{owner.account['id']}"
    for change in ({"is_active": False}, {"type": "RESEARCHER"}, {"is_active": False, "type": "RESEARCHER"}):
        answer = await owner.put(path, change)
        assert_error(answer, 400, "LAST_ADMIN_DETECTED")
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    assert (await owner.put(path, {"name": "still me", "type": "ADMIN", "is_active": True})).status == 200
    disabled = await sign_up("former@lab.example", "ADMIN")
    await owner.put(f"/accounts/{disabled.account['id']}", {"is_active": False})
    # A disabled ADMIN does not count.
    assert_error(await owner.put(path, {"type": "RESEARCHER"}), 400, "LAST_ADMIN_DETECTED")
    # Of two who retire each other at the same moment one stays.
    for _ in range(5):
        other = await sign_up(f"ada-{_}@lab.example", "ADMIN")
        answers = await asyncio.gather(
            owner.put(f"/accounts/{other.account['id']}", {"type": "RESEARCHER"}),
            other.put(path, {"is_active": False}),
        )
        assert sorted(answer.status for answer in answers) in ([200, 400], [200, 401]), answers
        accounts = (await (owner if answers[0].status == 200 else other).get("/accounts/")).json["accounts"]
        assert [account["type"] == "ADMIN" and account["is_active"] for account in accounts].count(True) == 1
        if answers[1].status == 200:
            await other.put(path, {"is_active": True})
            await owner.put(f"/accounts/{other.account['id']}", {"type": "RESEARCHER"})


async def test_an_owner_who_was_disabled_or_demoted_has_no_rights_left(owner: Api, admin: Api) -> None:
    path = f"/accounts/{owner.account['id']}"
    assert (await admin.put(path, {"type": "RESEARCHER"})).status == 200
    assert (await owner.get("/accounts/me")).json["type"] == "RESEARCHER"
    assert_error(await owner.get("/accounts/"), 403, "ACCESS_DENIED")
    assert (await admin.put(path, {"is_active": False})).status == 200
    assert_error(await owner.get("/accounts/me"), 401, "AUTH_TOKEN_MISSING_ACCOUNT")
    assert (await admin.put(path, {"is_active": True, "type": "ADMIN"})).status == 200
    assert (await owner.get("/accounts/")).status == 200


async def test_what_is_not_there_is_not_found(owner: Api) -> None:
    for answer in (
        await owner.get("/accounts/99"),
        await owner.put("/accounts/99", {"name": "x"}),
        await owner.post("/accounts/99/auth_tokens/", raw=b"{garbage"),
    ):
        assert_error(answer, 404, "COULD_NOT_FIND_ACCOUNT")
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    assert (await owner.put("/accounts/99", {"type": "BOSS"})).status == 400, "the body is looked at first"
