"""Searches in SQL, over real rows, against what they mean in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from objects.lab import boolean, node, quantity, schema_of, text
from objects.oracle import World, simply_contains
from sqlalchemy import Connection, insert, select

from cosphere_jupyter.accounts.service import Account, insert_account
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.objects.dialect import ReferencedAction, validate
from cosphere_jupyter.objects.index import index
from cosphere_jupyter.objects.query import SearchInvalid, parse
from cosphere_jupyter.objects.records import RESOURCE
from cosphere_jupyter.objects.search import search
from cosphere_jupyter.objects.tables import actions, object_files, objects
from cosphere_jupyter.permissions.service import EVERYONE, Level, Permission, Subject, give

calm = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

LAYER = node(
    "object",
    properties={
        "material": node("text"),
        "thickness": node("quantity", units="nm"),
        "source": node("sample"),
        "spots": node(
            "array", items=node("object", properties={"size": node("quantity", units="nm"), "ok": node("bool")})
        ),
    },
)
SCHEMA = schema_of(
    required=["name", "hazards"],
    hazards=node("hazards"),
    title=node("text", languages="all"),
    mass=node("quantity", units="mg"),
    temperature=node("quantity", units="degC"),
    created=node("datetime"),
    done=node("bool"),
    tags=node("tags"),
    origin=node("sample"),
    who=node("user"),
    inner=node("object", properties={"mass": node("quantity", units="g"), "origin": node("object_reference")}),
    layers=node("array", items=LAYER),
)
READER, ADMIN = 1, 2
COUNT = 4


class AnyWorkspace:
    """Every object and every user is there: rows are what is tested."""

    def action_of(self, object_id: int) -> ReferencedAction | None:
        return ReferencedAction(0, -99)

    def has_account(self, account_id: int) -> bool:
        return True

    def file_name(self, file_id: int) -> str | None:
        return None


class Undone(Exception):
    """Ends a transaction without leaving anything."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: Any) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("search") / "test.sqlite")
    migrate(opened)
    yield opened
    opened.close()


def account(account_id: int) -> Account:
    type_ = "ADMIN" if account_id == ADMIN else "RESEARCHER"
    return Account(account_id, f"{account_id}@lab.org", "", type_, None, True, 0)


def store(connection: Connection, world: World) -> None:
    for account_id in (READER, ADMIN):
        insert_account(connection, email=f"{account_id}@lab.org", type=account(account_id).type)
    moment = now()
    row = {"id": 0, "type": "sample", "name": "", "description": "", "schema": SCHEMA, "is_hidden": False}
    connection.execute(insert(actions).values(**row, created_at=moment, updated_at=moment))
    for object_id, data in world.data.items():
        values = {"id": object_id, "action_id": 0, "version_id": 0, "is_hidden": False, "created_at": moment}
        connection.execute(insert(objects).values(values))
        index(connection, object_id, validate(SCHEMA, data, lookup=AnyWorkspace()).properties)
        if object_id in world.readable:
            subject = EVERYONE if object_id % 2 else Subject("account", READER)
            give(connection, RESOURCE, object_id, Permission(subject, Level.READ))
        for file_id, name in enumerate(world.files[object_id]):
            file = {"object_id": object_id, "file_id": file_id, "storage": "database", "original_file_name": name}
            connection.execute(insert(object_files).values(**file, created_at=moment))


def found_in_sql(database: Database, world: World, query: str, caller: int = READER, **keys: Any) -> set[int]:
    found: set[int] = set()

    def work(connection: Connection) -> None:
        store(connection, world)
        condition = search(query, account(caller), **keys)
        found.update(connection.execute(select(objects.c.id).where(condition)).scalars())
        raise Undone

    with pytest.raises(Undone):
        database.submit(work).result()
    return found


def found_in_python(world: World, query: str) -> set[int]:
    tree = parse(query)
    return {each for each, data in world.data.items() if world.matches(tree, each, data)}


def make_world(given_data: list[dict[str, Any]], readable: frozenset[int], files: list[list[str]]) -> World:
    completed = {
        id_: validate(SCHEMA, data, lookup=AnyWorkspace()).data for id_, data in enumerate(given_data, start=1)
    }
    return World(completed, readable, dict(enumerate(files, start=1)))


# Few values, so that they meet.
words = st.sampled_from(["a", "A", "b", "ab", "Fe", "Ä", "", "100%"])
numbers = st.sampled_from([0, 1, 2, 3, 0.1, 0.2, 0.3, 2.5, -1])
days = st.sampled_from(["2026-01-01", "2026-01-02", "2024-02-29", "9999-12-31"])
ids = st.integers(1, COUNT)
texts = words.map(text) | st.dictionaries(st.sampled_from(["en", "de"]), words, min_size=1).map(text)
masses = st.builds(lambda number, units: quantity(number, units=units), numbers, st.sampled_from(["mg", "g", "kg"]))
lengths = st.builds(lambda number, units: quantity(number, units=units), numbers, st.sampled_from(["nm", "inch"]))
samples = ids.map(lambda id_: {"_type": "sample", "object_id": id_})
flags = st.booleans().map(boolean)


def some(**values: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


spots = st.lists(some(size=lengths, ok=flags), max_size=3)
layers = st.lists(some(material=words.map(text), thickness=lengths, source=samples, spots=spots), max_size=3)
object_data = st.fixed_dictionaries(
    {"name": words.map(text), "hazards": st.just({"_type": "hazards", "hazards": [1]})},
    optional={
        "title": texts,
        "mass": masses,
        "temperature": numbers.map(lambda number: quantity(number, units="degC")),
        "created": st.builds(
            lambda day, hour: {"_type": "datetime", "utc_datetime": f"{day} {hour}"},
            days,
            st.sampled_from(["00:00:00", "12:00:00", "23:59:59"]),
        ),
        "done": flags,
        "tags": st.lists(st.sampled_from(["x", "y", "größe"]), unique=True).map(
            lambda tags: {"_type": "tags", "tags": tags}
        ),
        "origin": samples,
        "who": ids.map(lambda id_: {"_type": "user", "user_id": id_}),
        "inner": some(mass=masses, origin=ids.map(lambda id_: {"_type": "object_reference", "object_id": id_})),
        "layers": layers,
    },
)
file_names = st.lists(st.sampled_from(["a.csv", "A.csv", "Ä"]), max_size=2)
worlds = st.builds(
    make_world,
    st.lists(object_data, min_size=COUNT, max_size=COUNT),
    st.frozensets(ids),
    st.lists(file_names, min_size=COUNT, max_size=COUNT),
)

own_paths = st.sampled_from(
    "name title mass temperature created done tags origin who inner inner.mass inner.origin layers layers.? layers.0 "
    "layers.?.material layers.0.thickness layers.1.material layers.?.thickness layers.?.spots.?.size "
    "layers.0.spots.?.ok layers.?.spots.0.size layers.?.spots.1.ok material thickness spots.?.size spots.?.ok "
    "spots.0.ok size ok nothing".split()
)
steps = st.sampled_from(
    ["", "*origin.", "*inner.origin.", "inner.*origin.", "layers.?.*source.", "layers.0.*source.", "*origin.*origin."]
)
paths = st.builds(lambda step, path: step + path, steps, own_paths)
six = st.sampled_from("== = != < <= > >=".split())
quantities = st.builds(
    lambda number, units: f"{number} {units}", numbers, st.sampled_from("mg g kg nm inch degC K m/s".split())
)
comparisons = st.one_of(
    st.builds(lambda path, operator, value: f"{path} {operator} {value}", paths, six, quantities),
    st.builds(lambda value, operator, path: f"{value} {operator} {path}", quantities, six, paths),
    st.builds(
        lambda path, operator, day: f"{path} {operator} {day}",
        paths,
        six | st.sampled_from(["before", "after", "on"]),
        days | st.sampled_from(["01/02/2026", "29.2.2024"]),
    ),
    st.builds(lambda path, operator, word: f'{path} {operator} "{word}"', paths, st.sampled_from(["=", "=="]), words),
    st.builds(lambda word, path: f'"{word}" in {path}', words, paths | st.just("file_name")),
    st.builds(lambda path, operator: f"{path} {operator} null", paths, st.sampled_from(["==", "!="])),
    st.builds(
        lambda path, operator, flag: f"{path} {operator} {flag}", paths, st.sampled_from(["==", "!="]), st.booleans()
    ),
    st.builds(lambda path, id_: f"{path} == #{id_}", paths | st.sampled_from(["*origin", "inner.*origin"]), ids),
    paths,
    st.sampled_from(["#x", "#y", "#größe", 'file_name == "a.csv"', 'file_name = "Ä"']),
)
item_paths = st.sampled_from(
    "layers.? layers.0 layers inner spots.? layers.?.spots.? *origin *origin.layers.? layers.?.*source "
    "*inner.origin".split()
)


def joined(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["and", "or", "&&", "||"])
    return st.one_of(
        st.builds(lambda left, operator, right: f"{left} {operator} {right}", part, operator, part),
        part.map(lambda query: f"not ({query})"),
        part.map(lambda query: f"!({query})"),
        part.map(lambda query: f"not {query}"),
        part.map(lambda query: f"({query})"),
        st.builds(lambda path, query: f"{path}.({query})", item_paths, part),
    )


def is_search(query: str) -> bool:
    try:
        parse(query)
    except SearchInvalid as refused:
        # All that can be wrong with them.
        assert "at most" in refused.text, query
        return False
    return True


def inside(path: str, part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Two conditions on the same item."""
    operator = st.sampled_from(["and", "and not", "or", "or not"])
    return st.builds(lambda left, operator, right: f"{path}.({left} {operator} {right})", part, operator, part)


# What fits the items that it is asked of: by chance alone, few would.
some_nm = st.builds(lambda operator, number: f"{operator} {number} nm", six, numbers)
of_spots = some_nm.map("size {}".format) | st.sampled_from(["ok", "ok == false", "size == null", "ok == null"])
of_layers = st.one_of(
    some_nm.map("thickness {}".format),
    some_nm.map("spots.?.size {}".format),
    words.map('material == "{}"'.format),
    words.map('"{}" in material'.format),
    st.sampled_from(["material == null", "spots.?.ok", "spots.0.ok", "*source.done", "source == #1"]),
    inside("spots.?", of_spots),
)
of_items = st.one_of(inside("layers.?", of_layers), inside("layers.0", of_layers), inside("layers.?.spots.?", of_spots))
queries = (of_items | st.recursive(comparisons | of_items, joined, max_leaves=5)).filter(is_search)


@pytest.mark.slow
@settings(calm, max_examples=300)
@given(worlds, queries)
def test_sql_finds_what_plain_python_finds(database: Database, world: World, query: str) -> None:
    assert found_in_sql(database, world, query) == found_in_python(world, query)


@settings(calm, max_examples=50)
@given(worlds, st.sampled_from(["a", "FE", "ä", "Ä", "mg", "2026-01", "GRÖSSE", "größe", "%", "_", "zz", ""]))
def test_a_simple_search_finds_any_text_whatever_its_case(database: Database, world: World, word: str) -> None:
    expected = {each for each, data in world.data.items() if simply_contains(data, word)}
    assert found_in_sql(database, world, word, is_simple=True) == expected


def world_of(*data: dict[str, Any], readable: frozenset[int] = frozenset({1, 2, 3, 4})) -> World:
    base = {"name": text("n"), "hazards": {"_type": "hazards", "hazards": []}}
    return make_world([{**base, **each} for each in data], readable, [[] for _ in data])


def test_items_are_the_same_item_in_brackets_only(database: Database) -> None:
    thin, iron = {"thickness": quantity(1)}, {"material": text("Fe")}
    world = world_of({"layers": [thin, iron]}, {"layers": [{**thin, **iron}]}, {"layers": []})
    assert found_in_sql(database, world, 'layers.?.thickness == 1 nm and layers.?.material == "Fe"') == {1, 2}
    assert found_in_sql(database, world, 'layers.?.(thickness == 1 nm and material == "Fe")') == {2}
    assert found_in_sql(database, world, 'layers.?.(thickness == 1 nm and not material == "Fe")') == {1}
    assert found_in_sql(database, world, "layers.?.material == null") == {3}
    assert found_in_sql(database, world, "layers.?.(material == null)") == {1}


def test_nothing_is_learnt_through_a_reference_to_what_one_may_not_read(database: Database) -> None:
    secret = {"mass": quantity(5), "name": text("secret")}
    to_it = {"origin": {"_type": "sample", "object_id": 1}}
    hidden, shown = (world_of(secret, to_it, readable=frozenset(ids)) for ids in ({2}, {1, 2}))
    for query in (
        '*origin.name == "secret"',
        "*origin.mass > 1 mg",
        '*origin.("secret" in name)',
        "*origin.mass != null",
    ):
        assert found_in_sql(database, hidden, query) == set(), query
        assert found_in_sql(database, shown, query) == {2}, query
        assert found_in_sql(database, hidden, query, caller=ADMIN) == {2}, query
    # Which object it is stands in the object itself.
    assert found_in_sql(database, hidden, "origin == #1") == {2}


def test_quantities_are_the_same_in_all_units_and_differ_by_dimensionality(database: Database) -> None:
    world = world_of(
        {"mass": quantity(0.3, units="mg")},
        {"mass": quantity(0.0003, units="g")},
        {"mass": {"_type": "quantity", "magnitude_in_base_units": 3e-7}},
        {"temperature": quantity(0.1 + 0.2, units="degC")},
    )
    for query in ("mass == 0.3 mg", "mass = 300 µg", "300 ug = mass", "mass >= 3e-7 kg", "mass <= 0.0003 g"):
        assert found_in_sql(database, world, query) == {1, 2, 3}, query
    for query in ("mass > 0.3 mg", "mass < 0.3 mg", "mass != 0.3 mg", "mass > 0 nm", "mass != 0"):
        assert found_in_sql(database, world, query) == set(), query
    assert found_in_sql(database, world, "temperature > 273 K and temperature <= 32.54 degF") == {4}


def test_days_last_from_midnight_to_midnight(database: Database) -> None:
    moments = ["2026-01-01 23:59:59", "2026-01-02 00:00:00", "2026-01-02 23:59:59", "2026-01-03 00:00:00"]
    world = world_of(*({"created": {"_type": "datetime", "utc_datetime": each}} for each in moments))
    expected = {
        "before": {1}, "<": {1}, "<=": {1, 2, 3}, "on": {2, 3}, "==": {2, 3}, "=": {2, 3},
        ">=": {2, 3, 4}, ">": {4}, "after": {4}, "!=": {1, 4},
    }  # fmt: skip
    for operator, found in expected.items():
        for day in ("2026-01-02", "01/02/2026", "02.01.2026"):
            assert found_in_sql(database, world, f"created {operator} {day}") == found
    assert found_in_sql(database, world, "2026-01-02 before created") == {4}


def test_a_simple_search_with_signs_of_the_grammar_is_an_advanced_one(database: Database) -> None:
    world = world_of({"title": text("a = b"), "done": boolean(True)}, {"title": text("done"), "done": boolean(False)})
    assert found_in_sql(database, world, "DONE", is_simple=True) == {2}
    assert found_in_sql(database, world, "done = true", is_simple=True) == {1}
    assert found_in_sql(database, world, '"a = b"', is_simple=True) == {1}
    assert found_in_sql(database, world, "done") == {1}
    with pytest.raises(SearchInvalid):
        search("a = b", account(READER), is_simple=True)


@pytest.mark.parametrize("word", ["\0", "\ud800", "'", "\\", "%", '"'])
def test_a_simple_search_takes_any_text(database: Database, word: str) -> None:
    assert found_in_sql(database, world_of({}), word, is_simple=True) == set()


@example("layers.?.(" * 4 + "not (a or b and not (c))" + ")" * 4)
@example("not (" * 4 + "a or *origin.*origin.*origin.*origin.name == null" + ")" * 4)
@example(" or ".join(["mass > 3 mg"] * 100))
@example("(" * 8 + "not a and *origin.*origin.*origin.layers.?.x != 3 mg" + ")" * 8)
@example("(a or b and not " * 4 + "*origin.layers.?.(*origin.*origin.x == null)" + ")" * 4)
@calm
@given(
    st.lists(
        st.sampled_from('a.? a .( ( ) " == in not and or ! < > 3 mg 2026-01-01 #1 #x null true *b.c . , $'.split())
    ).map(" ".join)
)
def test_any_text_is_a_search_or_is_refused(database: Database, query: str) -> None:
    try:
        found_in_sql(database, world_of({}), query)
    except SearchInvalid as refused:
        assert refused.text
