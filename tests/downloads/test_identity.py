"""When two requests are the same: the same rows and columns of the same data, however they are written."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Answer, Api, column

from cosphere_jupyter.catalogue.service import CatalogueItem
from cosphere_jupyter.downloads import spec as rules

# A busy machine is no reason to fail.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

COLUMNS = {"ok": "BOOLEAN", "n": "INTEGER", "price": "FLOAT", "word": "STRING", "day": "DATETIME", "a,b": "STRING"}
ITEM = CatalogueItem(
    id=7,
    name="all",
    executor_type="ATHENA",
    source=None,
    spec_json=json.dumps([column(name, kind) for name, kind in COLUMNS.items()]),
    sample_json="[]",
    created_by=None,
    updated_by=None,
    maintained_by=None,
)


def identity(spec: dict[str, Any], item: CatalogueItem = ITEM, version: str = "") -> str:
    query = rules.select(item, spec)
    assert not isinstance(query, str), query
    return rules.fingerprint(item, query, version)


class Filter(NamedTuple):
    """What a filter means."""

    name: str
    operator: str
    value: Any


class Meaning(NamedTuple):
    """What a request asks for, apart from how it is written."""

    columns: frozenset[str]
    filters: frozenset[Filter]
    ratio: float
    seed: int


moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1))
values = {
    "ok": st.booleans(),
    "n": st.integers(-(2**63), 2**64 - 1) | st.integers(-2, 2),
    "price": (st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 2).map(float)).map(lambda x: x + 0.0),
    "word": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
    | st.sampled_from(["5", "true", "True", "a,b", "a", "b", "n=5", "', '"]),
    "day": moments,
    "a,b": st.sampled_from(["", "5", "x,n=5"]),
}


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    name = draw(st.sampled_from(list(COLUMNS)))
    operators = ("=", "!=") if name == "ok" else rules.OPERATORS
    return Filter(name, draw(st.sampled_from(operators)), draw(values[name]))


@st.composite
def meanings(draw: st.DrawFn) -> Meaning:
    ratio = draw(st.sampled_from([0.0, 1.0, 1.0, 0.5, 0.1]) | st.floats(0, 1).map(lambda x: x + 0.0))
    return Meaning(
        frozenset(draw(st.sets(st.sampled_from(list(COLUMNS)), min_size=1))),
        frozenset(draw(st.lists(filters(), max_size=3))),
        ratio,
        draw(st.integers(-(2**63), 2**63 - 1)) if 0 < ratio < 1 else 0,
    )


@st.composite
def moments_written(draw: st.DrawFn, moment: datetime) -> str:
    minutes = draw(st.sampled_from([None, 0, 330, -480, 60]))
    local = moment + timedelta(minutes=minutes or 0)
    text = local.isoformat(sep=draw(st.sampled_from(["T", " "])), timespec="microseconds")
    if minutes is None:
        return text
    if minutes == 0:
        return text + draw(st.sampled_from(["Z", "z", "+00:00", "-0000", "+00", " Z"]))
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    return f"{text}{sign}{hours:02}{draw(st.sampled_from([':', '']))}{rest:02}"


@st.composite
def filters_written(draw: st.DrawFn, meant: Filter) -> dict[str, Any]:
    value = meant.value
    if meant.name == "n" and value in (0, 1):
        value = draw(st.sampled_from([value, bool(value)]))
    elif meant.name == "price" and value.is_integer() and abs(value) < 2**53:
        value = draw(st.sampled_from([value, int(value), -0.0 if value == 0 else value]))
    elif meant.name == "day":
        value = draw(moments_written(value))
    return {"name": meant.name, "operator": meant.operator, "value": value, **draw(st.sampled_from([{}, {"note": 1}]))}


@st.composite
def written(draw: st.DrawFn, meant: Meaning) -> dict[str, Any]:
    """One of the many ways to write a request."""
    stated = list(meant.filters)
    stated += draw(st.lists(st.sampled_from(stated), max_size=2)) if stated else []
    spec: dict[str, Any] = {
        "columns": draw(st.permutations(sorted(meant.columns))),
        "filters": [draw(filters_written(each)) for each in draw(st.permutations(stated))],
    }
    if meant.ratio in (0.0, 1.0):
        options: list[dict[str, Any]] = [{"randomize_ratio": meant.ratio}, {"randomize_ratio": int(meant.ratio)}]
        options += [{"randomize_ratio": -0.0}] if meant.ratio == 0 else []
        spec |= draw(st.sampled_from([*options, {}] if meant.ratio == 1 else options))
        spec |= draw(st.sampled_from([{}, {"seed": 5}]))
    else:
        spec |= {"randomize_ratio": meant.ratio}
        spec |= draw(st.sampled_from([{}, {"seed": 0}])) if meant.seed == 0 else {"seed": meant.seed}
    return {**spec, **draw(st.sampled_from([{}, {"extra": [1]}]))}


@calm
@given(st.data(), meanings())
def test_all_ways_to_write_a_request_are_one_request(data: st.DataObject, meant: Meaning) -> None:
    first, second = data.draw(written(meant)), data.draw(written(meant))
    assert identity(first) == identity(second)


@calm
@given(st.data(), meanings(), meanings())
def test_requests_that_mean_something_else_are_others(data: st.DataObject, one: Meaning, other: Meaning) -> None:
    same = one == other
    assert (identity(data.draw(written(one))) == identity(data.draw(written(other)))) == same


@calm
@given(st.data(), meanings(), filters())
def test_one_more_filter_makes_another_request(data: st.DataObject, meant: Meaning, more: Filter) -> None:
    wider = meant._replace(filters=meant.filters | {more})
    same = more in meant.filters
    assert (identity(data.draw(written(meant))) == identity(data.draw(written(wider)))) == same


@calm
@given(meanings().flatmap(written))
def test_the_data_and_the_item_belong_to_the_identity(spec: dict[str, Any]) -> None:
    from dataclasses import replace

    others = [
        identity(spec, version="another"),
        identity(spec, replace(ITEM, id=8)),
        identity(spec, replace(ITEM, source="numbers.parquet")),
        identity(spec, replace(ITEM, executor_type="DATABRICKS")),
    ]
    assert len({identity(spec), *others}) == 5
    # Who maintains it, its sample and its name do not.
    assert identity(spec, replace(ITEM, name="renamed", sample_json='[{"n": 1}]')) == identity(spec)


def test_an_identity_does_not_change_from_version_to_version() -> None:
    """A fingerprint is stored: a change of this value asks everybody's data again, so it must be meant."""
    moment = datetime(2013, 1, 1, tzinfo=timezone.utc).isoformat()
    spec = {"columns": ["n", "word"], "filters": [{"name": "day", "operator": ">", "value": moment}]}
    assert identity(spec) == identity({**spec, "columns": ["word", "n"], "randomize_ratio": 1.0})
    assert len(identity(spec)) == 64 and int(identity(spec), 16)


@pytest.fixture
def item(owner: Api, run: Any) -> dict[str, Any]:
    """An item whose executor is not served yet, so that nothing runs."""
    body = {"name": "all", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": ITEM.spec}
    return run(owner.post("/catalogue/items/", body)).json


async def ask(caller: Api, item: Any, spec: dict[str, Any]) -> Answer:
    return await caller.post("/downloader/requests/", {"catalogue_item_id": item["id"], "spec": spec})


async def test_over_http_equal_requests_are_shared_and_others_are_not(owner: Api, item: Any) -> None:
    def where(name: str, value: Any, operator: str = "=") -> dict[str, Any]:
        return {"name": name, "operator": operator, "value": value}

    def spec(*filters: Any, columns: Any = ("n",), **rest: Any) -> dict[str, Any]:
        return {"columns": list(columns), "filters": list(filters), **rest}

    # Each line is one request; within a line all ways to write it.
    requests = [
        [spec(), spec(randomize_ratio=1), spec(randomize_ratio=1.0), spec(seed=7), spec(extra="x")],
        [
            spec(randomize_ratio=0),
            spec(randomize_ratio=0.0),
            spec(randomize_ratio=-0.0),
            spec(randomize_ratio=0, seed=1),
        ],
        [spec(randomize_ratio=0.5), spec(randomize_ratio=0.5, seed=0), spec(randomize_ratio=5e-1)],
        [spec(randomize_ratio=0.5, seed=1)],
        [spec(columns=["n", "word"]), spec(columns=["word", "n"])],
        [spec(where("n", 1)), spec(where("n", True)), spec(where("n", 1), where("n", 1))],
        [spec(where("n", 1), where("n", 2)), spec(where("n", 2), where("n", 1))],
        [spec(where("n", 2))],
        [spec(where("n", 2, "!="))],
        [spec(where("word", "5"))],
        [spec(where("word", "5 "))],
        [spec(where("word", "a,word=b"))],
        [spec(where("word", "a"), where("word", "b"))],
        [spec(where("price", 5)), spec(where("price", 5.0))],
        [spec(where("price", 0.0)), spec(where("price", -0.0)), spec(where("price", 0))],
        [spec(where("ok", True))],
        [spec(where("ok", False))],
        [
            spec(where("day", "2013-01-01")),
            spec(where("day", "2013-01-01T00:00")),
            spec(where("day", "2013-01-01 00:00:00.000Z")),
            spec(where("day", "2013-01-01T05:30:00+05:30")),
            spec(where("day", "2012-12-31T16:00-0800")),
        ],
        [spec(where("day", "2013-01-01T00:00:00.000001"))],
    ]
    seen: dict[int, int] = {}
    for number, ways in enumerate(requests):
        for position, way in enumerate(ways):
            answer = await ask(owner, item, way)
            expected = (200, "DOWNLOADREQUEST_READ") if position else (201, "DOWNLOADREQUEST_CREATED")
            assert (answer.status, answer.event) == expected, way
            assert seen.setdefault(answer.json["id"], number) == number, way
            # What was first asked for stands, as it was written.
            assert answer.json["spec"] == ways[0], way
            assert answer.headers["Location"] == f"/a%40b/cosphere/downloader/requests/{answer.json['id']}"
    assert len(seen) == len(requests)
    listed = (await owner.get("/downloader/requests/")).json["requests"]
    assert [request["id"] for request in listed] == sorted(seen)
    # A value that fits no more than it did before is refused, also when its text was asked for.
    assert (await ask(owner, item, spec(where("n", "1")))).status == 400


async def test_a_request_belongs_to_all_who_ask_and_keeps_its_first_author(
    owner: Api, researcher: Api, admin: Api, item: Any
) -> None:
    first = await ask(researcher, item, {"columns": ["n", "word"], "filters": []})
    assert first.json["created_by"]["id"] == researcher.account["id"]
    for caller in (owner, admin, researcher):
        answer = await ask(caller, item, {"columns": ["word", "n"], "filters": []})
        assert (answer.status, answer.json["id"]) == (200, first.json["id"])
        assert answer.json["created_by"] == first.json["created_by"]
        assert answer.json["spec"] == first.json["spec"]
    assert (await researcher.delete(f"/downloader/requests/{first.json['id']}")).status == 200
    left = (await owner.get(f"/downloader/requests/{first.json['id']}")).json
    assert (left["is_cancelled"], left["created_by"]["id"]) == (False, researcher.account["id"])


async def test_another_item_is_another_request(owner: Api, item: Any) -> None:
    body = {"name": "twin", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": ITEM.spec}
    twin = (await owner.post("/catalogue/items/", body)).json
    spec = {"columns": ["n"], "filters": []}
    answers = await asyncio.gather(*(ask(owner, each, spec) for each in (item, twin)))
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]
