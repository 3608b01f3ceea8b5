"""Searches for bundles in SQL, over real rows, against what keywords mean in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from codalab.search_oracle import OTTO, ROOT, ROSA, Known, World
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, insert

from cosphere_jupyter.accounts.profiles import user_id_of
from cosphere_jupyter.accounts.service import EVERYONE, Account, Subject, insert_account, read_account
from cosphere_jupyter.accounts.tables import group_members, groups
from cosphere_jupyter.bundles import search
from cosphere_jupyter.bundles.problems import Refused
from cosphere_jupyter.bundles.records import (
    Dependency,
    NewBundle,
    delete_bundles,
    read_bundle,
    read_bundles,
    store_bundle,
    update_bundle,
)
from cosphere_jupyter.bundles.search import search_bundles
from cosphere_jupyter.bundles.views import INCLUDES, view_bundles
from cosphere_jupyter.bundles.worksheets import append_bundle_item, store_worksheet
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.permissions.service import Level, Permission, give

calm = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
PUBLIC_SHEET, PRIVATE_SHEET = "0x" + "c" * 32, "0x" + "d" * 32
START = 1_700_000_000
COUNT = 40


def a_world() -> World:
    chance = random.Random(11)
    made: list[Known] = []
    for number in range(1, COUNT + 1):
        is_run = number % 3 != 0
        metadata: dict[str, Any] = {
            "name": chance.choice(["train", "Train-2", "eval_1", "a.b", "x", "flights"]),
            "description": chance.choice(["", "Größe 50", "sorted \\ lines", "100_percent", "train data"]),
            "tags": chance.sample(["gpu", "ÄPFEL", "äpfel", "7", "a_b"], chance.randrange(3)),
            "data_size": chance.choice([0, 5, 1000, 2**40]),
            "created": START + number // 2,
        }
        if is_run:
            metadata |= {
                "request_memory": chance.choice(["2g", "2048m", "512m", ""]),
                "request_cpus": chance.randrange(3),
                "request_network": chance.random() < 0.5,
            }
            metadata |= {"time": chance.choice([0.5, 3.0, 12.25]), "exitcode": chance.choice([0, 1, 137])}
            if number % 4 == 0:
                del metadata["time"]
        parents = chance.sample([each.uuid for each in made], min(len(made), chance.randrange(3)))
        made.append(
            Known(
                number,
                f"0x{chance.choice('ab')}{chance.getrandbits(124):031x}",
                chance.choice([ROSA, ROSA, OTTO, ROOT]),
                "run" if is_run else "dataset",
                chance.choice(["ready", "failed", "created"]),
                chance.choice(["python train.py --seed 7", "Sort ä | uniq", "date"]) if is_run else None,
                metadata,
                is_public=chance.random() < 0.4,
                is_in_group=chance.random() < 0.3,
                is_anonymous=chance.random() < 0.3,
                worksheets=tuple(chance.sample([PUBLIC_SHEET, PRIVATE_SHEET], chance.randrange(3))),
                dependencies=tuple((f"in{index}", parent) for index, parent in enumerate(parents)),
            )
        )
    names = {"root": ROOT, "rosa": ROSA, "otto": OTTO}
    user_ids = {user_id_of(number): number for number in names.values()}
    return World(made, names, user_ids, members=(OTTO,), readable_worksheets=(PUBLIC_SHEET,))


WORLD = a_world()


def store(connection: Connection) -> None:
    for name, number in WORLD.names.items():
        kind = "ADMIN" if number == ROOT else "RESEARCHER"
        assert insert_account(connection, email=f"{name}@lab.example", name=name, type=kind).id == number
    connection.execute(insert(groups).values(id=1, name="lab", created_at=now()))
    connection.execute(insert(group_members).values(group_id=1, account_id=OTTO, is_admin=False))
    store_worksheet(connection, "open", ROOT, uuid=PUBLIC_SHEET)
    store_worksheet(connection, "closed", ROOT, uuid=PRIVATE_SHEET, is_public=False)
    for each in WORLD.bundles:
        new = NewBundle(
            owner_id=each.owner,
            bundle_type=each.bundle_type,
            metadata=each.metadata,
            state=each.state,
            uuid=each.uuid,
            command=each.command,
            dependencies=[Dependency(path, parent) for path, parent in each.dependencies],
            is_anonymous=each.is_anonymous,
        )
        bundle = store_bundle(connection, new)
        assert bundle.id == each.id
        created = datetime.fromtimestamp(each.metadata["created"] + 0.5, timezone.utc)
        update_bundle(connection, bundle, created_at=created, metadata=each.metadata)
        if each.is_public:
            give(connection, "bundle", bundle.id, Permission(EVERYONE, Level.READ))
        if each.is_in_group:
            give(connection, "bundle", bundle.id, Permission(Subject("group", 1), Level.READ))
        for uuid in each.worksheets:
            append_bundle_item(connection, uuid, each.uuid)


@pytest.fixture(scope="module")
def database(tmp_path_factory: Any) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("search") / "test.sqlite")
    migrate(opened)
    opened.submit(store).result()
    yield opened
    opened.close()


UUIDS = [each.uuid for each in WORLD.bundles]
SPOKEN = [
    *["train", "TRAIN", "t", "x", "0xa", "%", ".*", "a.b", "a.*b", "tr%n", "ain-2", "nothing", "Flights", "_1"],
    *["=python", "=SEED", "=ä", "=Ä", "=größe", "=pfe", "=0", "=100_", "=100%cent", "=gpu", "=\\", "=py.*7", "=.*"],
    *["name=train", "name=train,x", "name=Tr.*", "name=%", "uuid=0xa", "uuid=0xa.*", "uuid=0x%", "id=7", "id=1,2,x"],
    *["id=1.*", "state=ready", "state=ready,failed", "state=RE.*", "type=run", "bundle_type=dataset", "command=date"],
    *["command=date,Sort ä | uniq", "command=sort Ä.*", "command=python.*7", "tags=gpu", "tags=7", "tags=ÄPFEL"],
    *["tags=äpf.*", "tags=gpu,a_b", "tags=a.b", "tags=aXb", "size=0", "size=1000", "data_size=1.*", "size=5.0"],
    *[
        "time=3",
        "time=3.0",
        "time=12.25,0.5",
        "exitcode=1",
        "exitcode=137,0",
        "request_cpus=01",
        "request_network=true",
    ],
    *["request_network=False", "request_network=1", "request_memory=2g", "request_memory=512m", "request_memory=%m"],
    *["description=", "description=Größe 50", "description=GRÖSSE.*", "description=größe%", "unknown=1", "unknown=%"],
    *["created=1700000003", "owner=rosa", "owner=rosa,otto", "owner=nobody", f"owner_id={user_id_of(ROSA)}"],
    *["owner_id=0", "owner_id=0x1", ".mine", ".shared", ".floating", "group=public", f"host_worksheet={PUBLIC_SHEET}"],
    *[f"worksheet={PRIVATE_SHEET}", "worksheet=0xc.*", f"dependency={UUIDS[3]}", f"dependency/in0={UUIDS[3]}"],
    *[f"dependency/in1={UUIDS[3]},{UUIDS[5]}", "dependency=0xa%", f"uuid={UUIDS[0]}", f"uuid={UUIDS[0]},{UUIDS[9]}"],
    *[".before=2023-11-14T22:13:30", ".after=2023-11-14T22:13:30", ".after=2023-11-14T22:13:30.25+00:00"],
    *[".before=2023-11-14T23:13:30.75+01:00", ".after=2024-01-01", ".before=2024-01-01", ".last", ".limit=3"],
    *[".limit=0", ".limit=100", ".offset=2", ".offset=100", ".count", "size=.sum", "time=.sum", "exitcode=.sum"],
    *[
        "tags=.sum",
        "unknown=.sum",
        "name=.sort",
        "name=.sort-",
        "size=.sort",
        "size=.sort-",
        "time=.sort",
        "time=.sort-",
    ],
    *["id=.sort-", "exitcode=.sort", "request_memory=.sort-", "unknown=.sort", "state=.sort", "created=.sort-"],
    *["owner_id=.sort", "owner_id=.sort-"],
]
# What the plain opinion cannot say.
SPOKEN = [each for each in SPOKEN if each != "tags=.sum"]
READERS = [ROSA, OTTO, ROOT, None]


def answer(database: Database, keywords: list[str], reader: int | None) -> Any:
    def work(connection: Connection) -> Any:
        account: Account | None = None if reader is None else read_account(connection, reader)
        return search_bundles(connection, keywords, account)

    return database.submit(work).result()


@pytest.fixture(params=[0, 3000], ids=["rows are looked at", "an index leads"])
def few(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to come by what is found, however few bundles there are."""
    monkeypatch.setattr(search, "_FEW_FOR_PAGE", request.param)
    monkeypatch.setattr(search, "_FEW_FOR_NUMBER", request.param)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.usefixtures("few")
def test_each_keyword_means_what_it_says(database: Database, reader: int | None) -> None:
    for keyword in SPOKEN:
        keywords = [keyword, ".limit=100"]
        assert answer(database, keywords, reader) == WORLD.search(keywords, reader), keyword


@pytest.mark.usefixtures("few")
@calm
@given(keywords=st.lists(st.sampled_from(SPOKEN), max_size=5), reader=st.sampled_from(READERS))
@example([".count", ".limit=3"], ROOT)
@example([".limit=3", ".count"], ROOT)
@example(["time=.sort-", ".count"], ROSA)
@example(["time=.sort-", ".count", ".limit=2"], ROSA)
@example([".last", "size=.sum", ".limit=3", ".offset=1"], ROSA)
def test_keywords_together_mean_what_each_says(database: Database, keywords: list[str], reader: int | None) -> None:
    assert answer(database, keywords, reader) == WORLD.search(keywords, reader)


def test_what_is_searched_follows_each_change(database: Database) -> None:
    class Undone(Exception):
        pass

    def work(connection: Connection) -> None:
        root = read_account(connection, ROOT)

        def found(*keywords: str) -> list[str]:
            result = search_bundles(connection, [*keywords, ".limit=100"], root)
            assert isinstance(result, list)
            return result

        uuid = UUIDS[0]
        bundle = read_bundle(connection, uuid)
        assert bundle is not None
        assert found("renamed") == found("=Wörter") == []
        metadata = {"name": "renamed", "description": "WÖRTER und mehr", "tags": ["neu"], "time": 99}
        changed = update_bundle(connection, bundle, metadata=metadata, state="killed")
        for keywords in (["renamed"], ["=wörter"], ["tags=neu"], ["time=99"], ["state=killed"], ["name=renamed"]):
            assert found(*keywords) == [uuid], keywords
        assert read_bundle(connection, uuid) == changed
        update_bundle(connection, changed, metadata={"time": None}, data_size=17)
        assert found("time=99") == [] and found("size=17") == [uuid]
        delete_bundles(connection, [uuid])
        assert found("renamed") == found("=wörter") == found("tags=neu") == []
        # Raises if the index of words does not agree with the words.
        check = "INSERT INTO bundle_words_index (bundle_words_index, rank) VALUES ('integrity-check', 1)"
        connection.exec_driver_sql(check)
        assert read_bundles(connection, [uuid, UUIDS[1]]).keys() == {UUIDS[1]}
        raise Undone

    with pytest.raises(Undone):
        database.submit(work).result()


def test_a_group_that_there_is_not_is_told(database: Database) -> None:
    for keyword in ("group=nothing", f"group={UUIDS[0]}"):
        with pytest.raises(Exception, match="Found no group with"):
            answer(database, [keyword], ROSA)


def test_more_than_can_be_shown_is_refused_and_counted(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_SHOWN", 5)
    assert answer(database, [".limit=5"], ROOT) == UUIDS[:5]
    assert answer(database, [".count"], ROOT) == COUNT
    assert answer(database, [".limit=99", f"uuid={UUIDS[7]}"], ROOT) == [UUIDS[7]]
    for keywords in ([".limit=6"], [".limit=99999999999999999999"]):
        with pytest.raises(Refused, match="At most 5 bundles can be shown at once"):
            answer(database, keywords, ROOT)


@pytest.mark.parametrize(
    ("keywords", "shown"),
    [
        (["id=7", "size=.sum", ".format=size"], None),
        (["id=7", "id=.sum", ".format=%.2f"], "7.00"),
        (["id=7", "id=.sum", ".format=%d"], "7"),
        (["id=7", "id=.sum", ".format=n = %5.1f!"], "n =   7.0!"),
        (["id=7", "id=.sum", ".format=duration"], "7.0s"),
        (["id=7", "id=.sum", ".format=date"], "1970-01-01 00:00:07"),
        (["id=7", ".count", ".format=size"], "1"),
    ],
)
def test_numbers_are_shown_in_the_form_that_is_asked_for(database: Database, keywords: list[str], shown: Any) -> None:
    known = shown or {0: "0", 5: "5", 1000: "1000", 2**40: "1t"}[WORLD.bundles[6].metadata["data_size"]]
    assert answer(database, keywords, ROOT) == known


@pytest.mark.parametrize(
    "keyword",
    [
        ".limit=x",
        ".limit=",
        ".limit=-1",
        ".offset=1.5",
        ".before=yesterday",
        ".before=9999-12-31T23:59:59.5",
        ".after=9999-12-31T23:59:59.5",
        ".after=",
        ".after=2026-13-01",
        ".format=%s%s",
        ".format=%(x)s",
        ".format=%999999999d",
        ".format={}",
        "name=" + "%a" * 20,
        "=" + "x" * 20_000,
        "tags=" + "a," * 600,
    ],
)
def test_keywords_that_mean_nothing_are_refused(database: Database, keyword: str) -> None:
    with pytest.raises(Refused):
        answer(database, [keyword], ROSA)
    with pytest.raises(Refused):
        answer(database, [".mine"] * 65, ROSA)


@pytest.mark.parametrize(
    "text",
    ['"', "'", "a'b", '"; DROP', "%_", "\\", "a AND b", "a*", "(", "NEAR(", "^", "-abc", "abc:def", "ä", "…", "🌳🌳🌳"],
)
def test_no_text_is_a_command_to_the_index(database: Database, text: str) -> None:
    for keyword in (text, f"={text}", f"name={text}%", f"command={text}.*x", f"tags={text}", f"{text}=1"):
        assert answer(database, [keyword], ROSA) == WORLD.search([keyword], ROSA), keyword


def test_many_bundles_are_read_with_as_many_queries_as_few(database: Database) -> None:
    def count(connection: Connection, number: int) -> int:
        asked: list[str] = []

        def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
            asked.append(statement)

        event.listen(connection, "before_cursor_execute", note)
        try:
            reader = read_account(connection, OTTO)
            assert len(view_bundles(connection, UUIDS[:number], reader, INCLUDES)) == number
        finally:
            event.remove(connection, "before_cursor_execute", note)
        return len(asked)

    few, many = database.submit(lambda connection: [count(connection, number) for number in (10, COUNT)]).result()
    assert few == many < 25
