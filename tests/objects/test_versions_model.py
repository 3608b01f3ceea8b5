"""Objects and versions against a model of them: concurrent writers, numbers told or not, and kills in between."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from objects.conftest import NAME_ONLY, named
from real_server import RealServer

pytestmark = pytest.mark.slow

OBJECTS = "/api/v1/objects/"
LEVELS = ("none", "read", "write", "grant")
names = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=5)
pick = st.integers(0, 10**6)


@dataclass
class Model:
    """An object: the name in each version, who made it, and what the second caller may do with it."""

    versions: list[tuple[str, str]]
    level: str = "none"
    is_hidden: bool = False


@dataclass
class World:
    """A server and two callers of it: the owner, and somebody who may only what the owner lets them."""

    server: RealServer
    callers: dict[str, dict[str, str]] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=60))

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        url = f"{self.server.base}{path}"
        answer = self.http.request(method, url, json=body, headers={**self.callers[who], **headers})
        assert answer.status_code < 500, answer.text
        return answer

    def at_once(self, writers: int, path: str, body: Any) -> list[httpx.Response]:
        with ThreadPoolExecutor(writers) as pool:
            return list(pool.map(lambda _: self.call("owner", "POST", path, body), range(writers)))

    def restart(self) -> None:
        self.server.kill()
        self.server.start()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RealServer(tmp_path_factory.mktemp("objects"))
    server.start()
    world = World(server, {"owner": {"Authorization": f"token {server.token}"}})
    other = world.call("owner", "POST", "/accounts/", {"email": "otto@lab.example"}).json()["id"]
    token = world.call("owner", "POST", f"/accounts/{other}/auth_tokens/").json()["token"]
    world.callers["other"] = {"Authorization": f"Bearer {token}"}
    world.ids = {"owner": world.call("owner", "GET", "/accounts/me").json()["id"], "other": other}
    yield world
    world.http.close()
    server.stop()


class Objects(RuleBasedStateMachine):
    """Each example has an action of its own, and with it lists of its own."""

    world: ClassVar[World]
    with_restarts: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[int, Model] = {}
        self.action_id = -1
        self.restarts = 0

    @initialize()
    def make_action(self) -> None:
        body = {"name": "Grow", "type": "sample", "schema": NAME_ONLY}
        self.action_id = self.world.call("owner", "POST", "/api/v1/actions/", body).json()["action_id"]

    def one(self, number: int) -> tuple[int, Model]:
        object_id = sorted(self.objects)[number % len(self.objects)]
        return object_id, self.objects[object_id]

    @rule(name=names, who=st.sampled_from(["owner", "other"]))
    def create(self, name: str, who: str) -> None:
        made = self.world.call(who, "POST", OBJECTS, {"action_id": self.action_id, "data": named(name)})
        assert made.status_code == 201
        object_id = int(made.headers["Location"].split("/")[-3])
        assert object_id > max(self.objects, default=0), "numbers are never used again"
        self.objects[object_id] = Model([(name, who)], "grant" if who == "other" else "none")

    @rule(several=st.lists(names, min_size=1, max_size=4), spoilt=st.booleans())
    def create_several(self, several: list[str], spoilt: bool) -> None:
        bodies = [{"action_id": self.action_id, "data": named(name)} for name in several]
        made = self.world.call("owner", "POST", OBJECTS, [*bodies, {}] if spoilt else bodies)
        assert made.status_code == (400 if spoilt else 201)
        if not spoilt:
            ids = [each["object_id"] for each in made.json()]
            self.objects |= {each: Model([(name, "owner")]) for each, name in zip(ids, several, strict=True)}

    @precondition(lambda self: self.objects)
    @rule(
        number=pick, name=names, ahead=st.sampled_from([None, 0, 0, 1, -1, 7]), who=st.sampled_from(["owner", "other"])
    )
    def update(self, number: int, name: str, ahead: int | None, who: str) -> None:
        object_id, model = self.one(number)
        following = len(model.versions)
        told = {} if ahead is None else {"version_id": following + ahead}
        answer = self.world.call(who, "POST", f"{OBJECTS}{object_id}/versions/", {**told, "data": named(name)})
        if who == "other" and model.level in ("none", "read"):
            assert answer.status_code == 403
        elif ahead in (None, 0):
            assert answer.status_code == 201
            assert answer.headers["Location"].endswith(f"/objects/{object_id}/versions/{following}")
            model.versions.append((name, who))
        else:
            assert (answer.status_code, answer.json()["message"]) == (400, f"version_id must be {following}")

    @precondition(lambda self: self.objects)
    @rule(number=pick, name=names, writers=st.integers(2, 8))
    def race_for_one_number(self, number: int, name: str, writers: int) -> None:
        object_id, model = self.one(number)
        following = len(model.versions)
        body = {"version_id": following, "data": named(name)}
        answers = self.world.at_once(writers, f"{OBJECTS}{object_id}/versions/", body)
        assert Counter(each.status_code for each in answers) == {201: 1, 400: writers - 1}
        for each in answers:
            if each.status_code == 201:
                assert each.headers["Location"].endswith(f"/versions/{following}")
            else:
                assert each.json()["message"] == f"version_id must be {following + 1}"
        model.versions.append((name, "owner"))

    @precondition(lambda self: self.objects)
    @rule(number=pick, name=names, writers=st.integers(2, 8))
    def write_in_sequence(self, number: int, name: str, writers: int) -> None:
        object_id, model = self.one(number)
        following = len(model.versions)
        answers = self.world.at_once(writers, f"{OBJECTS}{object_id}/versions/", {"data": named(name)})
        assert {each.status_code for each in answers} == {201}
        numbers = sorted(int(each.headers["Location"].rpartition("/")[2]) for each in answers)
        assert numbers == list(range(following, following + writers))
        model.versions += [(name, "owner")] * writers

    @precondition(lambda self: self.objects)
    @rule(number=pick, name=names, behind=st.integers(0, 2))
    def update_on_condition(self, number: int, name: str, behind: int) -> None:
        object_id, model = self.one(number)
        known = len(model.versions) - 1 - behind
        condition = {"If-Match": f'"{object_id}.{known}"'}
        answer = self.world.call("owner", "POST", f"{OBJECTS}{object_id}/versions/", {"data": named(name)}, **condition)
        assert answer.status_code == (201 if behind == 0 else 412)
        if behind == 0:
            model.versions.append((name, "owner"))

    @precondition(lambda self: self.objects)
    @rule(number=pick, level=st.sampled_from(LEVELS), who=st.sampled_from(["owner", "other"]))
    def give(self, number: int, level: str, who: str) -> None:
        object_id, model = self.one(number)
        path = f"{OBJECTS}{object_id}/permissions/users/{self.world.ids['other']}"
        answer = self.world.call(who, "PUT", path, level)
        is_last = model.versions[0][1] == "other" and level != "grant"
        if who == "other" and model.level != "grant":
            assert answer.status_code == 403
        elif is_last:
            assert answer.status_code == 400
        else:
            assert (answer.status_code, answer.json()) == (200, level)
            model.level = level

    @precondition(lambda self: self.objects)
    @rule(number=pick, is_hidden=st.booleans())
    def hide(self, number: int, is_hidden: bool) -> None:
        object_id, model = self.one(number)
        assert self.world.call("owner", "PUT", f"{OBJECTS}{object_id}/hidden", is_hidden).json() is is_hidden
        model.is_hidden = is_hidden

    @precondition(lambda self: self.with_restarts and self.restarts < 3 and self.objects)
    @rule()
    def kill(self) -> None:
        self.restarts += 1
        self.world.restart()

    @precondition(lambda self: self.objects)
    @rule(number=pick, who=st.sampled_from(["owner", "other"]))
    def read(self, number: int, who: str) -> None:
        object_id, model = self.one(number)
        led = self.world.call(who, "GET", f"{OBJECTS}{object_id}")
        if who == "other" and model.level == "none":
            assert led.status_code == 403
            return
        assert led.headers["Location"].endswith(f"/objects/{object_id}/versions/{len(model.versions) - 1}")
        shown = self.world.call(who, "GET", f"{OBJECTS}{object_id}/versions/").json()
        expected = [(named(name), self.world.ids[maker]) for name, maker in model.versions]
        assert [(each["data"], each["user_id"]) for each in shown] == expected
        assert [each["version_id"] for each in shown] == list(range(len(model.versions)))
        for version in shown:
            path = f"{OBJECTS}{object_id}/versions/{version['version_id']}"
            assert self.world.call(who, "GET", path).json() == version

    @invariant()
    def lists_are_what_may_be_read(self) -> None:
        if self.action_id < 0:
            return
        for who in ("owner", "other"):
            listed = self.world.call(who, "GET", f"{OBJECTS}?action_id={self.action_id}").json()
            expected = [
                (object_id, len(model.versions) - 1, named(model.versions[-1][0]))
                for object_id, model in sorted(self.objects.items(), reverse=True)
                if not model.is_hidden and (who == "owner" or model.level != "none")
            ]
            assert [(each["object_id"], each["version_id"], each["data"]) for each in listed] == expected


def play(world: World, examples: int, steps: int, with_restarts: bool = False) -> None:
    machine = type("Played", (Objects,), {"world": world, "with_restarts": with_restarts})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_objects_are_as_a_model_of_them_says(world: World) -> None:
    play(world, examples=25, steps=20)


def test_objects_are_as_a_model_of_them_says_over_kills(world: World) -> None:
    play(world, examples=6, steps=15, with_restarts=True)


@pytest.mark.crash
def test_what_was_acknowledged_is_there_after_a_kill_while_many_write(world: World) -> None:
    body = {"name": "Grow", "type": "sample", "schema": NAME_ONLY}
    action_id = world.call("owner", "POST", "/api/v1/actions/", body).json()["action_id"]
    made = world.call("owner", "POST", OBJECTS, {"action_id": action_id, "data": named("first")})
    object_id = int(made.headers["Location"].split("/")[-3])
    acknowledged: dict[int, str] = {}

    def write(writer: int) -> None:
        with httpx.Client(trust_env=False, timeout=20, headers=world.callers["owner"]) as http:
            for number in range(1000):
                name = f"{writer} {number}"
                try:
                    answer = http.post(f"{world.server.base}{OBJECTS}{object_id}/versions/", json={"data": named(name)})
                except httpx.HTTPError:
                    return
                if answer.status_code == 201:
                    version_id = int(answer.headers["Location"].rpartition("/")[2])
                    assert acknowledged.setdefault(version_id, name) == name

    with ThreadPoolExecutor(5) as pool:
        writers = [pool.submit(write, writer) for writer in range(4)]
        while len(acknowledged) < 40:
            time.sleep(0.01)
        world.server.kill()
        for each in writers:
            each.result()
    world.server.start()
    shown = world.call("owner", "GET", f"{OBJECTS}{object_id}/versions/").json()
    stored = {each["version_id"]: each["data"]["name"]["text"] for each in shown}
    assert list(stored) == list(range(len(stored)))
    assert len(acknowledged) >= 40 and {number: stored[number] for number in acknowledged} == acknowledged
