"""Searches over HTTP: what is found, by whom, and what is told of a search that is none."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from objects.conftest import Lab, text
from support import Api


def mass(magnitude: float, units: str = "mg") -> dict[str, Any]:
    return {"mass": {"_type": "quantity", "magnitude": magnitude, "units": units}}


async def found(caller: Api, query: str, more: str = "") -> list[int]:
    answer = await caller.get(f"/api/v1/objects/?q={quote(query)}{more}")
    assert answer.status == 200, answer.body
    return [each["object_id"] for each in answer.json]


@pytest.fixture
def weighed(lab: Lab, rosa: Api, run: Any) -> list[int]:
    """Five measurements: of 1 to 4 mg, one of which is good, and one of 1 g with notes."""
    ids = [
        run(lab.create(rosa, f"Alpha {n}", 1, **mass(n), is_good={"_type": "bool", "value": n == 2}))
        for n in range(1, 5)
    ]
    return [*ids, run(lab.create(rosa, "Beta", 1, **mass(1, "g"), notes=[text("first"), text("second")]))]


async def test_objects_are_found_by_their_values(weighed: list[int], rosa: Api, otto: Api) -> None:
    one, two, three, four, gram = weighed
    for query, expected in [
        ("mass > 3 mg", [gram, four]),
        ("mass >= 0.003 g", [gram, four, three]),
        ("mass == 1 g", [gram]),
        ("mass > 3 m", []),
        ("is_good", [two]),
        ("is_good == False and mass < 3 mg", [one]),
        ('name == "Beta"', [gram]),
        ('"lpha" in name', [four, three, two, one]),
        ('notes.? == "second"', [gram]),
        ('name = "Beta" or mass = 1 mg', [gram, one]),
        ("Alpha", []),
    ]:
        assert await found(rosa, query) == expected, query
        assert await found(otto, query) == [], query
    assert await found(rosa, "mass > 1 mg", "&limit=2&offset=1&action_id=1") == [four, three]
    assert await found(rosa, "") == weighed[::-1]


async def test_a_simple_search_looks_for_a_text_anywhere(weighed: list[int], rosa: Api) -> None:
    for query, expected in [
        ("alpha", weighed[3::-1]),
        ("SECOND", weighed[4:]),
        ("x", []),
        ("mass > 3 mg", weighed[:2:-1]),
    ]:
        assert await found(rosa, query, "&use_advanced_search=false") == expected, query


async def test_what_is_found_is_the_current_version(weighed: list[int], lab: Lab, rosa: Api) -> None:
    await lab.update(rosa, weighed[4], "Gamma")
    assert await found(rosa, 'name == "Beta"') == []
    assert await found(rosa, 'name == "Gamma"') == [weighed[4]]
    assert await found(rosa, "mass == 1 g") == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('name < "x"', "Error: "),
        ("mass >", "Error: Binary operator without right operand"),
        ("(mass > 3 mg", "Error: Unmatched opening parenthesis"),
        ('name == "x', "Error: Unfinished text"),
        ('"x"', "Error: Unable to use literal as search query"),
        ("mass > 3 nonsense", "Error: "),
        ("((((" * 2000, "Error: "),
        ("a == 1 and " * 500 + "a == 1", "Error: "),
        ("mass > " + "9" * 5000, "Error: "),
        ("not", "Error: "),
    ],
)
async def test_what_is_no_search_is_told(lab: Lab, rosa: Api, query: str, message: str) -> None:
    answer = await rosa.get(f"/api/v1/objects/?q={quote(query)}")
    assert answer.status == 400 and answer.json["message"].startswith(message), answer.body


async def test_odd_texts_find_nothing_and_break_nothing(weighed: list[int], rosa: Api) -> None:
    for query in ("%00", "%ff%fe", "%25", "'", "%22%27;--%22 in name", "%ed%a0%80", "%F0%9F%92%A5"):
        for more in ("", "&use_advanced_search=false"):
            answer = await rosa.get(f"/api/v1/objects/?q={query.replace(' ', '%20')}{more}")
            assert answer.status in (200, 400), (query, answer.body)
            assert answer.status == 400 or answer.json == [], (query, answer.body)
