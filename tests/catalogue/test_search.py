"""The search grammar: documented examples, and SQL against plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from support import Api, column

from cosphere_jupyter.catalogue import search
from cosphere_jupyter.catalogue.tables import catalogue_items
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.errors import QueryInvalid

# A busy machine is no reason to fail.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = [
    "iot",
    "IOT_features",
    "iot_events",
    "temperatures",
    "Temperature.features",
    "100%_done",
    "a\\b",
    "Stra\u00dfe",
    "\u0130stanbul",
    "x&y|z~w",
    "'; DROP TABLE names; --",
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: Any) -> Any:
    """A database of today's schema: the index of the names is part of it."""
    opened = Database(tmp_path_factory.mktemp("search") / "test.sqlite")
    migrate(opened)
    yield opened
    opened.close()


class Undone(Exception):
    """Ends a transaction without leaving anything."""


def found_in_sql(database: Database, names: list[str], query: str) -> list[str]:
    found: list[str] = []

    def work(connection: Connection) -> None:
        columns = "id, name, name_folded, executor_type, spec, sample, created_at, updated_at"
        values = [(number + 1, str(number), name.casefold()) for number, name in enumerate(names)]
        for row in values:
            connection.exec_driver_sql(
                f"INSERT INTO catalogue_items ({columns}) VALUES (?, ?, ?, 'ATHENA', '[]', '[]', '2026', '2026')", row
            )
        condition = search.condition(search.parse(query))
        wanted = select(catalogue_items.c.id).order_by(catalogue_items.c.id)
        rows = connection.execute(wanted if condition is None else wanted.where(condition)).scalars()
        found.extend(names[number - 1] for number in rows)
        raise Undone

    with pytest.raises(Undone):
        database.submit(work).result()
    return found


def found_in_python(names: list[str], query: str) -> list[str]:
    terms = search.parse(query)
    return [name for name in names if matches(name, terms)]


def matches(name: str, terms: list[search.Term]) -> bool:
    """What the condition says in SQL."""
    folded = name.casefold()
    result: bool | None = None
    for term in terms:
        found = term.word in folded
        if term.operator == "~":
            result = not found if result is None else result and not found
        elif result is None:
            result = found
        else:
            result = (result and found) if term.operator == "&" else (result or found)
    return result is None or result


pieces = st.sampled_from(["&", "|", "~", " ", "  ", "\t", "%", "_", "\\", "'", "iot", "IOT", "features", "temp", "ss"])
texts = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
queries = st.lists(pieces | st.text(texts, max_size=4), max_size=12)
names = st.lists(st.sampled_from(NAMES) | st.text(texts, max_size=8), max_size=6)


@calm
@given(names, queries.map("".join))
@example(NAMES, "~a |b &c ~d")
@example(NAMES, "\u1e9e")
def test_sql_finds_what_plain_python_finds(database: Database, names: list[str], query: str) -> None:
    assert found_in_sql(database, names, query) == found_in_python(names, query)


def test_words_are_folded_from_left_to_right() -> None:
    def oracle(name: str) -> bool:
        return ("iot" in name and "features" not in name) or "temp" in name

    names = [name.lower() for name in NAMES]
    assert found_in_python(names, "IOT ~features | temp") == [name for name in names if oracle(name)]
    cases = {
        "iot": ["iot", "IOT_features", "iot_events"],
        "FEATURES": ["IOT_features", "Temperature.features"],
        "iot & features": ["IOT_features"],
        "iot &features |temp": ["IOT_features", "temperatures", "Temperature.features"],
        "|temp": ["temperatures", "Temperature.features"],
        "&temp": ["temperatures", "Temperature.features"],
        "~temp ~iot ~a ~x ~t": ["100%_done"],
        "~ e ~ i ~ a": ["x&y|z~w"],
        "|": NAMES,
        "~": [],
        "&": NAMES,
        "iot ~": [],
        "iot |": NAMES,
        "%": ["100%_done"],
        "_": ["IOT_features", "iot_events", "100%_done"],
        "\\": ["a\\b"],
        "STRASSE": ["Stra\u00dfe"],
        "stra\u00dfe": ["Stra\u00dfe"],
        "y|z": ["x&y|z~w"],
        "|y|z~w": ["x&y|z~w"],
        "iot events": ["iot", "IOT_features", "iot_events"],
    }
    for query, expected in cases.items():
        assert found_in_python(NAMES, query) == expected, query


def test_a_search_has_a_bounded_number_of_words() -> None:
    assert len(search.parse("&a |b " * 32)) == 64
    with pytest.raises(QueryInvalid):
        search.parse("&a |b " * 32 + "c")


async def test_over_http_the_search_goes_together_with_the_other_parameters(owner: Api) -> None:
    ids = {}
    for name in NAMES:
        sample = [{"value": 1.0}] if "features" in name else []
        body = {
            "name": name,
            "executor_type": "ATHENA",
            "maintained_by_id": owner.account["id"],
            "spec": [column()],
            "sample": sample,
        }
        created = await owner.post("/catalogue/items/", body)
        assert created.status == 201, (name, created.body)
        ids[name] = created.json["id"]

    async def found(query: str) -> list[str]:
        answer = await owner.get(f"/catalogue/items/?{query}")
        assert (answer.status, answer.event) == (200, "CATALOGUEITEMS_BULK_READ"), (query, answer.body)
        assert answer.json["@type"] == "catalogue_items_list"
        assert [item["id"] for item in answer.json["items"]] == [ids[item["name"]] for item in answer.json["items"]]
        return [item["name"] for item in answer.json["items"]]

    features = ["IOT_features", "Temperature.features"]
    others = [name for name in NAMES if name not in features]
    for value in ("true", "True", "TRUE", "1", "t", "yes", "on"):
        assert await found(f"has_samples={value}") == features, value
    for value in ("false", "False", "FALSE", "0", "f", "no", "off"):
        assert await found(f"has_samples={value}") == others, value
    assert await found("has_samples=true&has_samples=false") == others, "the last one counts"
    assert await found("") == NAMES
    for value in ("", "null", "2", "None", "maybe", "tRuE"):
        answer = await owner.get(f"/catalogue/items/?has_samples={value}")
        assert (answer.status, answer.event) == (400, "QUERY_DID_NOT_VALIDATE"), value
        assert answer.errors == {"has_samples": ["Must be a valid boolean."]}, value
    for value in ("", "%20", "%09%20"):
        answer = await owner.get(f"/catalogue/items/?query={value}")
        assert (answer.status, answer.event) == (400, "QUERY_DID_NOT_VALIDATE"), value
        assert answer.errors == {"query": ["This field may not be blank."]}, value
    assert await found("query=iot") == ["iot", "IOT_features", "iot_events"]
    assert await found("query=iot&has_samples=1") == ["IOT_features"]
    assert await found("query=iot&has_samples=0&limit=1") == ["iot"]
    assert await found("query=iot&has_samples=0&limit=1&offset=1") == ["iot_events"]
    assert await found("query=IOT%20~features%20%7C%20temp") == [
        "iot",
        "iot_events",
        "temperatures",
        "Temperature.features",
    ]
    assert await found("query=%25") == ["100%_done"]
    assert await found("query=%27%3B%20DROP") == ["'; DROP TABLE names; --"]
    assert await found("name=iot") == ["iot"]
    assert await found("name=IOT") == []
    answer = await owner.get("/catalogue/items/?query=~a%20~b&has_samples=2&limit=0")
    assert set(answer.errors) == {"has_samples", "limit"}


async def test_items_are_listed_by_id_also_after_an_update_and_page_by_page(owner: Api) -> None:
    body = {"executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()]}
    for number in range(5):
        await owner.post("/catalogue/items/", {**body, "name": f"item {9 - number}"})
    items = (await owner.get("/catalogue/items/")).json["items"]
    await owner.put(f"/catalogue/items/{items[0]['id']}", {**body, "executor_type": "DATABRICKS"})
    again = (await owner.get("/catalogue/items/")).json["items"]
    assert [item["id"] for item in again] == sorted(item["id"] for item in items)
    for limit in (1, 2, 3, 7):
        pages = [
            (await owner.get(f"/catalogue/items/?limit={limit}&offset={offset}")).json["items"]
            for offset in range(0, 7, limit)
        ]
        assert [item for page in pages for item in page] == again, limit
