"""How people name one bundle."""

from __future__ import annotations

import pytest
from codalab.catalog import UNKNOWN, Bundles, dataset

from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID as PUBLIC

PREFIX = "0xab" + "0" * 28


@pytest.fixture
def mine(rosa):
    return Bundles(rosa)


@pytest.fixture
def paper(mine, run):
    """A worksheet with the bundles a, b, a2, b (again), each named by its number."""

    async def make():
        worksheet = await mine.worksheet("paper")
        uuids = []
        for number, name in enumerate(["a", "b", "a2", "b"]):
            own = {**dataset(name), "uuid": f"{PREFIX}{number:02x}"}
            uuids.append(await mine.make(own, worksheet=worksheet))
        return worksheet, uuids

    return run(make())


async def found(api, worksheet, *specs):
    answer = await api.call("GET", "bundles", specs=list(specs), worksheet=worksheet, include="owner")
    assert answer.status == 200, answer.body
    return [each["id"] for each in answer.json["data"]]


async def refused(api, spec, worksheet):
    answer = await api.call("GET", "bundles", specs=spec, worksheet=worksheet)
    return answer.status, answer.body.decode()


async def test_specs_name_bundles_in_the_order_in_which_they_are_asked(mine, paper):
    worksheet, (a, b, a2, later) = paper
    names = {
        a: a,
        PREFIX + "02": a2,
        "a": a,
        "b": later,
        "b^1": later,
        "b^2": b,
        "^": later,
        "^1": later,
        "^2": a2,
        "^4": a,
        "a.*": a2,
        "a%^2": a,
        "A.*": a2,
        ".*": later,
        "paper/a": a,
        "paper//a": a,
        f"{worksheet}/^2": a2,
    }
    assert await found(mine, worksheet, *names) == list(names.values())
    assert await found(mine, worksheet, "a", "a") == [a, a]


async def test_a_name_without_a_worksheet_is_that_of_an_own_bundle(mine, otto, paper):
    _, (_, _, _, later) = paper
    assert await found(mine, "", "b", "paper/b") == [later, later]
    assert (await refused(Bundles(otto), "b", ""))[0] == 404


async def test_what_a_spec_does_not_find_is_told(mine, paper):
    worksheet, _ = paper
    other = await mine.make({**dataset(), "uuid": "0xabcd" + "0" * 28})
    assert await found(mine, worksheet, "0xabc") == [other]
    texts = {
        "foo": (404, "bundle spec foo doesn't match any bundles"),
        "foo.*": (404, "bundle spec foo.* doesn't match any bundles"),
        "foo^2": (404, "bundle spec foo doesn't match any bundles"),
        "0x12": (404, "uuid prefix 0x12 doesn't match any bundles"),
        "0xab": (400, "More than one bundle has uuid prefix 0xab"),
        "^99": (400, "4 bundles, index 99 out of bounds"),
        "^0": (400, "4 bundles, index 0 out of bounds"),
        "b^9": (400, "bundle spec b matches 2 bundles, index 9 out of bounds"),
        "a b": (400, "Invalid bundle_spec: a b"),
        "": (400, "Invalid bundle_spec: "),
        "7": (400, "Invalid bundle_spec: 7"),
        UNKNOWN: (404, f"Bundle {UNKNOWN} not found"),
        "nowhere/a": (404, "No worksheet found with name 'nowhere'"),
    }
    for spec, answer in texts.items():
        assert await refused(mine, spec, worksheet) == answer


async def test_others_do_not_learn_the_names_of_private_bundles(mine, otto, anybody, paper):
    worksheet, (a, *_) = paper
    await mine.permit(a, PUBLIC, 0)
    for caller in (otto, anybody):
        api = Bundles(caller)
        assert (await refused(api, "a", worksheet))[0] == 404
        assert (await refused(api, PREFIX + "00"[:1], worksheet))[0] == 400
        answer = await api.call("GET", "bundles", specs=["^4"], worksheet=worksheet)
        assert answer.json["data"][0]["attributes"]["metadata"] == {"name": "<private>"}


async def test_very_many_names_are_refused(mine, paper):
    worksheet, (a, *_) = paper
    status, text = await refused(mine, ["a"] * 501, worksheet)
    assert (status, text) == (400, "at most 5000 uuids and 500 names can be asked for at once")
    assert await found(mine, worksheet, *["a"] * 100, *[a] * 600) == [a] * 700
