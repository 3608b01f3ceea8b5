"""The examples of the API's document, replayed: status and every documented key of the body.

Before each example the state that it needs is made, with the document's own ids and e-mail addresses. What is created
by an example has an id of its own; what lies in a result is null until the result is ready; keys of ours may be more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, update
from support import Answer, Api, column

from cosphere_jupyter.accounts.tables import accounts
from cosphere_jupyter.catalogue.tables import catalogue_items
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.downloads.tables import download_requests, download_waiters
from cosphere_jupyter.permissions.tables import permissions

# Commands of the document that nothing serves yet.
# The account commands' seven examples need an issuer of tokens: tests/sign_in/test_sign_in_examples.py replays them.
ELSEWHERE = [
    "ATTACH_ACCOUNT_TO_AUTH_REQUEST",
    "CREATE_AUTH_REQUEST",
    "CREATE_AUTH_TOKEN",
    "RENDER_AUTH_REQUEST_AUTHENTICATE_UI",
]

# Null until a result is there, whatever the document's executors made of it at once.
OF_A_RESULT = ("blob_name", "download_uri")

EXAMPLES: list[dict[str, Any]] = json.loads(
    Path(__file__).parent.with_name("spec").joinpath("cosphere.json").read_text()
)
CALLER_EMAIL = "feilshanta@hotmail.com"
UNKNOWN_ACCOUNT = 932039


def entities(body: Any, kind: str) -> Iterator[dict[str, Any]]:
    """All entities of a kind inside a body."""
    if isinstance(body, dict):
        if body.get("@type") == kind:
            yield body
        for value in body.values():
            yield from entities(value, kind)
    elif isinstance(body, list):
        for value in body:
            yield from entities(value, kind)


class World:
    """The state around one example."""

    def __init__(self, services: Any, owner: Api, example: dict[str, Any]) -> None:
        self.services = services
        self.owner = owner
        self.example = example
        self.response = example["response"]
        self.path = example["path"]

    async def make(self) -> Api:
        """Make the accounts, items and requests of the example; return who calls."""
        await self._clear()
        people = {account["id"]: account for account in entities(self.response, "account")}
        callers = [account["id"] for account in people.values() if account["email"] == CALLER_EMAIL]
        caller_id = self.response.get("@authorizer", {}).get("account_id") or (callers or [500])[0]
        people[caller_id] = {"email": CALLER_EMAIL, "type": "ADMIN"}
        maintainer = (self.example["body"] or {}).get("maintained_by_id", UNKNOWN_ACCOUNT)
        if maintainer != UNKNOWN_ACCOUNT:
            people.setdefault(maintainer, {"email": "maintainer@lab.example", "type": "RESEARCHER"})
        for account_id, account in people.items():
            await self._insert_account(account_id, account)
        caller = await self._caller(caller_id)
        await self._make_items()
        await self._make_requests(caller)
        return caller

    async def _clear(self) -> None:
        for table in (download_waiters, download_requests, catalogue_items, permissions):
            await self._execute(delete(table))
        await self._execute(delete(accounts).where(accounts.c.id != self.owner.account["id"]))

    async def _execute(self, statement: Any) -> None:
        await self.services.database.write(lambda connection: connection.execute(statement).rowcount)

    async def _caller(self, account_id: int) -> Api:
        return self.owner.of(f"Bearer {await self.services.accounts.issue_token(account_id)}")

    async def _insert_account(self, account_id: int, account: dict[str, Any]) -> None:
        moment = now()
        row = {"name": "", "is_active": True, "epoch": 0, "created_at": moment, "updated_at": moment}
        values = {**row, "id": account_id, "email": account["email"], "type": account["type"]}
        await self._execute(insert(accounts).values(values))

    async def _make_items(self) -> None:
        found = {item["id"]: item for item in entities(self.response, "catalogue_item")}
        if self.example["command"] == "CREATE_CATALOGUEITEM":
            found = {}
        elif self.example["command"] == "ESTIMATE_SIZE_OF_DOWNLOAD_REQUEST":
            item_id = self.example["body"]["catalogue_item_id"]
            found = {item_id: {**EXAMPLES_ITEM, "id": item_id}}
        elif not found and "/catalogue/items/" in self.path and self.example["status"] != 404:
            item_id = int(self.path.split("/")[3])
            found = {item_id: {**EXAMPLES_ITEM, "id": item_id}}
        for item in found.values():
            moment = now()
            row = {key: item[key] for key in ("id", "name", "executor_type", "spec", "sample")}
            for role in ("created_by", "updated_by", "maintained_by"):
                row[f"{role}_id"] = item[role]["id"] if item[role] else None
            row |= {"name_folded": item["name"].casefold(), "created_at": moment, "updated_at": moment}
            if self.example["command"] == "WITH_SAMPLE_AND_DISTRIBUTION_UPDATE_CATALOGUEITEM":
                row |= {"executor_type": "DUCKDB", "source": "numbers.parquet", "spec": [column("half")]}
            await self._insert_item(row)

    async def _insert_item(self, row: dict[str, Any]) -> None:
        await self._execute(insert(catalogue_items).values(row))
        given = {"resource_type": "catalogue_item", "resource_id": row["id"], "subject_type": "everyone"}
        await self._execute(insert(permissions).values(**given, subject_id=0, level=1))

    async def _make_requests(self, caller: Api) -> None:
        command, title = self.example["command"], self.example["title"]
        other = await self._other()
        if command == "READ_OR_CREATE_DOWNLOADREQUEST" and self.example["status"] == 200:
            await self._ask(other, self.response["catalogue_item"]["id"], self.response["spec"])
            await self._execute(update(download_requests).values(created_by_id=None))
        elif command in ("BULK_READ_DOWNLOADREQUESTS", "READ_DOWNLOADREQUEST") and self.example["status"] == 200:
            for request in entities(self.response, "download_request"):
                author = await self._caller(request["created_by"]["id"])
                await self._ask(author, request["catalogue_item"]["id"], request["spec"])
                request_id = await self._ask(caller, request["catalogue_item"]["id"], request["spec"])
                self.path = self.path.replace("/15", f"/{request_id}")
        elif command == "READ_DOWNLOADREQUEST":
            # Somebody else waits for it.
            self.path = f"/downloader/requests/{await self._ask_anything(other)}"
        elif command == "DELETE_DOWNLOADREQUEST" and self.example["status"] == 200:
            self.path = f"/downloader/requests/{await self._ask_anything(caller)}"
        elif "REQEUSTS" in title:
            await self._ask(other, self.response["item_id"], {"columns": ["product"], "filters": []})

    async def _other(self) -> Api:
        await self._insert_account(501, {"email": "other@lab.example", "type": "RESEARCHER"})
        return await self._caller(501)

    async def _ask_anything(self, caller: Api) -> int:
        moment = now()
        row = {key: EXAMPLES_ITEM[key] for key in ("name", "executor_type", "spec", "sample")}
        values = {**row, "id": 502, "name_folded": "x", "created_at": moment, "updated_at": moment}
        await self._insert_item(values)
        return await self._ask(caller, 502, {"columns": ["product"], "filters": []})

    async def _ask(self, caller: Api, item_id: int, spec: Any) -> int:
        answer = await caller.post("/downloader/requests/", {"catalogue_item_id": item_id, "spec": spec})
        assert answer.status in (200, 201), answer.body
        return int(answer.json["id"])


# The item that most of the document's requests are for.
EXAMPLES_ITEM: dict[str, Any] = next(
    item
    for example in EXAMPLES
    for item in entities(example["response"], "catalogue_item")
    if item["spec"][0]["name"] == "product"
)


def differences(documented: Any, actual: Any, at: str, created: bool) -> Iterator[str]:
    """Every place in which an answer is not what the document shows."""
    name = at.rsplit(".", 1)[-1]
    if isinstance(documented, dict) and isinstance(actual, dict):
        for key, value in documented.items():
            if key not in actual:
                yield f"{at}.{key} is missing"
            elif not (created and at == "" and key == "id"):
                yield from differences(value, actual[key], f"{at}.{key}", created)
    elif isinstance(documented, list) and isinstance(actual, list) and len(documented) == len(actual):
        for number, (one, other) in enumerate(zip(documented, actual, strict=True)):
            yield from differences(one, other, f"{at}.{number}", created)
    elif name in OF_A_RESULT and actual is None:
        return
    elif name == "estimated_size" and at == ".estimated_size" and isinstance(actual, int):
        # The document's figure came from a mock.
        return
    elif json.dumps(documented) != json.dumps(actual):
        # As text: 18.0 is not 18.
        yield f"{at} is {actual!r}, not {documented!r}"


async def send(caller: Api, example: dict[str, Any], path: str) -> Answer:
    raw = None if example["body"] is None else json.dumps(example["body"]).encode()
    headers = {name: value for name, value in example["headers"].items() if name != "Authorization"}
    return await caller(example["method"], path, raw=raw, headers=headers)


async def test_every_example_of_items_and_requests_is_answered_as_documented(
    owner: Api, services: Any, numbers: Path
) -> None:
    replayed = 0
    for example in EXAMPLES:
        if example["command"] in ELSEWHERE:
            continue
        world = World(services, owner, example)
        caller = await world.make()
        answer = await send(caller, example, world.path)
        what = f"{example['command']} {example['title']}"
        assert answer.status == example["status"], (what, answer.body)
        assert answer.headers["Content-Type"] == "application/json", what
        created = example["status"] == 201
        assert list(differences(example["response"], answer.json, "", created)) == [], what
        # An error says what the document says and no more.
        if answer.status >= 400:
            assert set(answer.json) == set(example["response"]), what
        replayed += 1
    assert replayed == len(EXAMPLES) - sum(example["command"] in ELSEWHERE for example in EXAMPLES)
    assert len(EXAMPLES) == 31
