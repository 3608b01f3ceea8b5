"""Creating tasks by name: what a definition becomes, in which order, and which names are whose."""

from __future__ import annotations

import asyncio
import time

import pytest

from cosphere_jupyter.errors import Conflict
from cosphere_jupyter.named.spec import Definition


@pytest.fixture
def create(desk):
    async def make(*definitions, owner=None):
        return await desk.services.named.create(definitions, owner or desk.account)

    return make


async def test_hello_greets_as_in_the_document(desk):
    assert await desk.result("hello", name="John") == "Hello John"


async def test_tasks_are_given_in_the_order_of_their_definitions(create):
    names = ["hello", "nothing", "hello", "image.info", "nothing"]
    tasks = await create(*(Definition(name, {"name": str(number)}) for number, name in enumerate(names)))
    assert [task.name for task in tasks] == names
    assert [task.params for task in tasks] == [{"name": str(number)} for number in range(5)]
    assert len({task.key for task in tasks}) == 5


async def test_an_unknown_name_is_a_task_that_has_failed_at_once(desk, create):
    unknown, hello = await create(Definition("image.paint", {"url": "x"}), Definition("hello", {"name": "Jane"}))
    assert (unknown.state.status, unknown.state.error) == ("error", "there is no task named 'image.paint'")
    assert (unknown.completed_at, unknown.started_at) == (unknown.queued_at, None)
    assert (await desk.ended(hello.key)).state.result == "Hello Jane"
    listed = await desk.services.task_list.bulk_read(desk.account, name="image.paint")
    assert [task.key for task in listed] == [unknown.key]


async def test_odd_names_are_unknown(create):
    names = ["", "x" * 1000, "hello ", "../hello", "hello\n", "Hello", "ä", "cosphere_jupyter.named.greetings:hello"]
    tasks = await create(*(Definition(name, {}) for name in names))
    assert [(task.state.status, task.name) for task in tasks] == [("error", name[:128]) for name in names]


async def test_wrong_parameters_are_told_in_the_documents_shape(desk):
    task = await desk.run("image.info")
    assert task.state.result == {"parameters": {"url": ["this field is required"]}}
    assert "this field is required" in task.state.error


async def test_reserved_keys_of_a_definition_are_no_parameters(desk):
    assert (
        await desk.result("hello", name="John", task_store={"type": "volatile"}, url_callback="http://x/")
        == "Hello John"
    )


async def test_one_idempotency_key_is_one_task(create):
    first, again, other = await create(
        *(
            Definition("hello", {"name": name}, idempotency_key=key)
            for name, key in (("a", "1"), ("a", "1"), ("c", "2"))
        )
    )
    assert first.key == again.key != other.key
    (later,) = await create(Definition("hello", {"name": "a"}, idempotency_key="1"))
    assert (later.key, later.params) == (first.key, {"name": "a"})


async def test_an_idempotency_key_of_another_task_is_refused_and_stores_nothing(create):
    (first,) = await create(Definition("hello", {"name": "a"}, idempotency_key="1"))
    for other in (
        Definition("hello", {"name": "b"}, idempotency_key="1"),
        Definition("nothing", {}, idempotency_key="1"),
    ):
        with pytest.raises(Conflict, match="IDEMPOTENCY_KEY_WAS_USED_FOR_ANOTHER_TASK_ALREADY"):
            await create(Definition("hello", {"name": "new"}, idempotency_key="2"), other)
    (free,) = await create(Definition("hello", {"name": "free"}, idempotency_key="2"))
    assert free.key != first.key and free.params == {"name": "free"}


async def test_a_refused_definition_keeps_its_key(create):
    first, again = await create(*(Definition("nothing", {}, idempotency_key="2") for _ in range(2)))
    assert (again.key, again.state.status) == (first.key, "error")


async def test_idempotency_keys_of_accounts_do_not_meet(desk, create, researcher):
    rosa = await desk.services.accounts.read(researcher.account["id"])
    (mine,) = await create(Definition("hello", {"name": "a"}, idempotency_key="1"))
    (hers,) = await create(Definition("hello", {"name": "a"}, idempotency_key="1"), owner=rosa)
    assert (mine.key == hers.key, hers.owner_id) == (False, rosa.id)


async def test_facts_of_a_function_decide_how_its_task_runs(create):
    (hello,) = await create(Definition("hello", {"name": "a"}, priority=7))
    assert (hello.is_quick, hello.state.is_idempotent, hello.state.max_attempts, hello.priority) == (True, True, 10, 7)


async def test_a_thousand_definitions_do_not_hold_the_loop(desk, create):
    await create(Definition("hello", {"name": "warm"}))
    longest, stop = 0.0, False

    async def watch():
        nonlocal longest
        while not stop:
            began = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.ensure_future(watch())
    tasks = await create(*(Definition("nothing", {"name": str(number)}) for number in range(1000)))
    stop = True
    await watching
    assert len(tasks) == 1000
    assert longest < 0.15


async def test_names_are_told_with_what_they_take(desk):
    names = await desk.services.named.names()
    assert list(names) == sorted(names)
    assert names["hello"].parameters == {"name": {"type": "str", "required": True}}
    assert names["hello"].doc == "Greet somebody."
    assert names["image.thumb"].parameters["format"]["default"] == "jpeg"
    assert set(names["download"].parameters) == {"catalogue_item_id", "spec"}
    assert {name for name, facts in names.items() if facts.is_quick} == {"hello", "image.info", "image.thumb"}


async def test_whoever_follows_an_accounts_tasks_sees_those_that_fail_at_once(desk, create):
    with desk.services.task_list.subscribe(owner_id=desk.account.id) as subscription:
        (task,) = await create(Definition("nothing", {}))
        assert [each.key for each in await subscription.changes(5)] == [task.key]


# -- names of the workspace's own -------------------------------------------------------------------------------------


async def test_names_of_other_features_tasks_are_not_open_to_anybody(create):
    (task,) = await create(Definition("profile", {"item_id": 1}))
    assert task.state.error == "there is no task named 'profile'"


async def test_no_package_takes_a_name_that_is_there(lab, desk, caplog):
    code = "from cosphere_jupyter.named import task\n\n@task\ndef take(name=''): return 'taken'\n"
    lab.write("taker", code)
    lab.install("taker", dict.fromkeys(["hello", "profile", "download", "mine"], "taker:take"))
    await asyncio.sleep(1.1)
    assert await desk.result("hello", name="John") == "Hello John"
    assert await desk.result("mine") == "taken"
    assert await desk.error("profile") == "there is no task named 'profile'"
    assert (await desk.run("download")).state.result["parameters"]
    assert "the name is the workspace's own" in caplog.text
    assert "'hello' is there twice" in caplog.text


# -- download and export ----------------------------------------------------------------------------------------------


SPEC = {"columns": ["n"], "filters": [{"name": "n", "operator": "<", "value": 10}]}


async def test_download_is_a_download_request_of_the_cosphere_api(desk, owner, numbers_item):
    task = await desk.run("download", catalogue_item_id=numbers_item["id"], spec=SPEC)
    assert task.state.status == "success"
    request = (await owner.get("/downloader/requests/1")).json
    assert (request["task"]["key"], request["spec"]) == (task.key, SPEC)
    assert task.state.result["rows"] == 10


async def test_an_equal_download_is_the_same_task_also_when_it_is_done(desk, owner, numbers_item):
    params = {"catalogue_item_id": numbers_item["id"], "spec": SPEC}
    asked = await owner.post("/downloader/requests/", params)
    first = await desk.create("download", **params)
    again = await desk.create(
        "download", catalogue_item_id=str(numbers_item["id"]), spec='{"filters": [], "columns": ["n"]}'
    )
    assert first.key == asked.json["task"]["key"] != again.key
    await desk.ended(first.key)
    done = await desk.create("download", **params)
    assert (done.key, done.state.status) == (first.key, "success")


WRONG_DOWNLOADS = [
    ({}, {"catalogue_item_id": ["this field is required"], "spec": ["this field is required"]}),
    (
        {"catalogue_item_id": "x", "spec": []},
        {"catalogue_item_id": ["must be an integer"], "spec": ["must be an object"]},
    ),
    (
        {"catalogue_item_id": 1, "spec": {}},
        {"spec": ["JSON did not validate. PATH: '.' REASON: 'columns' is a required property"]},
    ),
    (
        {"catalogue_item_id": 99, "spec": SPEC},
        {"catalogue_item": ["catalogue item instance with id 99 does not exist."]},
    ),
    (
        {"catalogue_item_id": 1, "spec": {"columns": ["x"], "filters": []}},
        {"__all__": ["unknown columns in 'columns' detected: 'x'"]},
    ),
]


async def test_what_is_wrong_with_a_download_is_an_error_of_its_task(desk, create, numbers_item):
    wrong = [Definition("download", params) for params, _ in WRONG_DOWNLOADS]
    *refused, hello = await create(*wrong, Definition("hello", {"name": "John"}))
    assert {(task.name, task.state.status) for task in refused} == {("download", "error")}
    assert [task.state.result for task in refused] == [{"parameters": errors} for _, errors in WRONG_DOWNLOADS]
    assert (await desk.ended(hello.key)).state.status == "success"


async def test_export_is_a_typed_download(desk, owner, numbers_item):
    task = await desk.run("export", download_type="catalogue")
    assert task.state.status == "success"
    download = await owner.get(f"/api/downloads/{task.state.result['download_id']}")
    assert (download.status, download.json["download"]["state"]) == (200, "done")
    again = [await desk.create("export", download_type="catalogue") for _ in range(2)]
    assert again[0].key != again[1].key
    wrong = await desk.run("export", download_type="secrets")
    assert "there is no such download type" in wrong.state.result["parameters"]["download_type"][0]
