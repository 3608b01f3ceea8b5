"""The document's examples of the account commands, replayed over HTTP with their own ids."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from sign_in.conftest import Steps
from sqlalchemy import insert
from support import Api

from cosphere_jupyter.accounts.tables import auth_requests
from cosphere_jupyter.database.schema import now

COMMANDS = {
    "ATTACH_ACCOUNT_TO_AUTH_REQUEST",
    "CREATE_AUTH_REQUEST",
    "CREATE_AUTH_TOKEN",
    "RENDER_AUTH_REQUEST_AUTHENTICATE_UI",
}
EXAMPLES: list[dict[str, Any]] = [
    example
    for example in json.loads(Path(__file__).parent.with_name("spec").joinpath("cosphere.json").read_text())
    if example["command"] in COMMANDS
]
# What is made anew each time.
OF_THE_MOMENT = ("request_uuid", "authenticate_ui_uri", "token")


async def test_every_example_of_sign_in_is_answered_as_documented(
    anybody: Api, owner: Api, services: Any, steps: Steps
) -> None:
    for example in EXAMPLES:
        body = example["body"]
        if (example["status"] in (200, 201) and body) or "EXPIRED" in example["title"]:
            age = timedelta(hours=1) if "EXPIRED" in example["title"] else timedelta()
            attached = {"account_id": owner.account["id"], "attached_at": now() - age}
            row = {
                "uuid": body["request_uuid"],
                "created_at": now() - age,
                "requester_ip": "127.0.0.1",
                "requester_agent": "test",
                **({} if "ATTACHED" in example["title"] else attached),
            }
            await services.database.write(lambda c, row=row: c.execute(insert(auth_requests).values(row)).rowcount)
        if "ATTACHED" in example["title"]:
            # The document's token stands for a good one of that very person.
            body = {**body, "oauth_token": steps.token(body["request_uuid"], email=body["email"])}
        raw = None if body is None else json.dumps(body).encode()
        answer = await anybody(example["method"], example["path"], raw=raw, headers=example["headers"])
        what = (example["command"], example["title"], answer.body)
        assert answer.status == example["status"], what
        if "content_type" in example["response"]:
            assert answer.headers["Content-Type"].startswith(example["response"]["content_type"]), what
            continue
        found = answer.json
        assert set(found) == set(example["response"]), what
        for key, value in example["response"].items():
            assert key in OF_THE_MOMENT or found[key] == value, what
    assert len(EXAMPLES) == 7
