"""What the iffSamples API's document shows, asked of a real server: each command, status, field and example."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support import Answer, Api

DATA = json.loads((Path(__file__).parent.parent / "spec" / "iffsamples.json").read_text(encoding="utf-8"))
COMMANDS = {(each["method"], each["path"]): each for each in DATA}
LIST, LEAD, READ, CREATE, UPDATE = COMMANDS
TYPES = {"number": int, "object": dict}
EMAIL, PASSWORD = "user@lab.example", "password of a user"
EXAMPLE = COMMANDS[CREATE]["examples"][0]["body"]


def of(command: tuple[str, str], number: int = 1) -> dict[str, Any]:
    """An example: 0 is the request, 1 the response."""
    example: dict[str, Any] = COMMANDS[command]["examples"][number]
    return example


def path_of(command: tuple[str, str], object_id: int = 1, version_id: int = 0) -> str:
    return command[1].replace("(int:object_id)", str(object_id)).replace("(int:version_id)", str(version_id))


def status_of(command: tuple[str, str]) -> int:
    return int(of(command)["first_line"].split()[1])


def check(answer: Answer, command: tuple[str, str]) -> None:
    """Hold an answer to the document's: status, Content-Type and Location."""
    example = of(command)
    assert answer.status == status_of(command), answer.body
    for name, value in example["headers"].items():
        expected = value if name == "Content-Type" else f"/a%40b/cosphere{value}"
        assert answer.headers[name] == expected, name


@pytest.fixture
def user(owner: Api, run: Any) -> Api:
    """Somebody who knows a name and a password, as in the document's examples."""
    assert run(owner.post("/accounts/", {"email": EMAIL, "password": PASSWORD})).status == 201
    scheme = of(LIST, 0)["headers"]["Authorization"].split()[0]
    return Api(owner.base, f"{scheme} {base64.b64encode(f'{EMAIL}:{PASSWORD}'.encode()).decode()}")


@pytest.fixture
def action(owner: Api, run: Any) -> None:
    """The action of the document's examples: number 0."""
    body = {"name": "Example", "type": "sample", "schema": EXAMPLE["schema"]}
    made = run(owner.post("/api/v1/actions/", body))
    assert (made.status, made.json["action_id"]) == (201, EXAMPLE["action_id"]), "the document's schema is accepted"


def without_ours(version: dict[str, Any]) -> dict[str, Any]:
    """A version without what is ours: who made it and when."""
    assert list(version) == [*COMMANDS[READ]["shown"], "user_id", "utc_datetime"]
    return {key: value for key, value in version.items() if key in COMMANDS[READ]["shown"]}


async def test_the_document_s_examples_in_a_row(user: Api, action: None) -> None:
    headers = {key: of(CREATE, 0)["headers"][key] for key in ("Content-Type", "Accept")}
    check(await user.post(path_of(CREATE), EXAMPLE, headers=headers), CREATE)
    check(await user.get(path_of(LEAD)), LEAD)
    read = await user.get((await user.get(path_of(LEAD))).headers["Location"].partition("/cosphere")[2])
    check(read, READ)
    assert without_ours(read.json) == of(READ)["body"]
    for name, field in COMMANDS[READ]["shown"].items():
        assert type(read.json[name]) is TYPES[field["type"]], name
    check(await user.post(path_of(UPDATE), of(UPDATE, 0)["body"], headers=headers), UPDATE)


async def test_the_document_s_list(user: Api, action: None) -> None:
    first, second = of(LIST)["body"]
    for shown in (first, second):
        body = {key: shown[key] for key in ("action_id", "schema", "data")}
        assert (await user.post(path_of(CREATE), body)).status == 201
        for version_id in range(shown["version_id"]):
            again = {**body, "object_id": shown["object_id"], "version_id": version_id + 1}
            assert (await user.post(path_of(UPDATE, shown["object_id"]), again)).status == 201
    listed = await user.get(path_of(LIST))
    check(listed, LIST)
    assert sorted(map(without_ours, listed.json), key=lambda each: each["object_id"]) == [first, second]


async def test_what_is_optional_may_be_left_out_and_what_is_not_may_not(user: Api, action: None) -> None:
    assert (await user.post(path_of(CREATE), EXAMPLE)).status == 201
    whole = {CREATE: {**EXAMPLE, "version_id": 0}, UPDATE: {**EXAMPLE, "object_id": 1, "version_id": 1}}
    for command, body in whole.items():
        fields = COMMANDS[command]["sent"]
        assert set(body) == set(fields)
        for name, field in fields.items():
            left = {key: value for key, value in body.items() if key != name}
            if not field["is_optional"]:
                assert (await user.post(path_of(command), left)).status == 400, (command, name)
            elif command == CREATE:
                assert (await user.post(path_of(command), left)).status == 201, (command, name)
            else:
                # Each makes a version: the next one has the next number.
                current = (await user.get(path_of(LEAD))).headers["Location"].rpartition("/")[2]
                numbered = {key: int(current) + 1 if key == "version_id" else left[key] for key in left}
                assert (await user.post(path_of(command), numbered)).status == 201, (command, name)


async def test_a_page_s_own_script_makes_no_window_for_passwords_pop_up(owner: Api) -> None:
    answer = await owner.of(None).get(path_of(LIST), headers={"Sec-Fetch-Mode": "cors"})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="cosphere"')


@pytest.mark.parametrize(
    ("command", "status"), [(command, status) for command in COMMANDS for status in COMMANDS[command]["statuses"]]
)
async def test_every_status_of_the_document_is_answered(
    owner: Api, user: Api, researcher: Api, action: None, command: tuple[str, str], status: int
) -> None:
    assert (await user.post(path_of(CREATE), EXAMPLE)).status == 201
    body = EXAMPLE if command[0] == "POST" else None
    caller = researcher if status == 403 else user
    object_id = 7 if status == 404 else 1
    if status == 400:
        body = {**EXAMPLE, "version_id": 7}
    answer = await caller(command[0], path_of(command, object_id), *([body] if body else []))
    assert answer.status == status, answer.body
    if status == 404 and command == READ:
        assert (await user.get(path_of(READ, 1, 7))).status == 404
    if status >= 400:
        assert set(answer.json) == {"message"}
    unknown = await owner.of(None)(command[0], path_of(command, object_id), *([body] if body else []))
    assert (unknown.status, unknown.headers["WWW-Authenticate"]) == (401, 'Basic realm="cosphere", charset="UTF-8"')
