"""Objects in a notebook, against a real server: made, read, changed, searched, linked and shared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer

from cosphere_jupyter import InvalidRequest, NotAllowed, NotFound, ObjectChanged, Quantity, Workspace
from cosphere_jupyter.client.permissions import Permission

pytestmark = pytest.mark.slow

FLIGHTS = "SELECT range AS n FROM range(10)"


def node(type_: str, **keys: Any) -> dict[str, Any]:
    return {"type": type_, "title": type_.title(), **keys}


GROW = node("object", properties={"name": node("text"), "batch": node("text")}, required=["name"])
WEIGH = node(
    "object",
    properties={
        "name": node("text"),
        "mass": node("quantity", units="mg"),
        "sample": node("sample"),
        "is_good": node("bool"),
        "weighed": node("datetime"),
        "tags": node("tags"),
        "data": node("text", pattern="cosphere:"),
        "oven": node("object", properties={"temperature": node("quantity", units="degC")}),
        "layers": node("array", items=node("object", properties={"thickness": node("quantity", units="nm")})),
        "action_id": node("text"),
    },
    required=["name"],
)


@pytest.fixture(scope="module")
def lab(real: RealServer) -> RealServer:
    """The server with the actions Grow (0) and Weigh (1), a table, and Rosa, who is no ADMIN."""
    with Workspace(real.url, real.token) as ws:
        ws.actions.create("Grow", "sample", GROW, description="In the oven.")
        ws.actions.create("Weigh", "measurement", WEIGH)
        ws.catalogue.create(name="flights", source="flights.parquet")
    rosa = real.call("POST", "/accounts/", {"email": "rosa@lab.example", "type": "RESEARCHER"}).json()
    real.call("PUT", "/catalogue/items/1/permissions/", {"permissions": []})
    lab_of_rosa[real.url] = rosa["id"], real.call("POST", f"/accounts/{rosa['id']}/auth_tokens/").json()["token"]
    return real


lab_of_rosa: dict[str, tuple[int, str]] = {}
SERVER = "lab"


@pytest.fixture
def rosa(lab: RealServer) -> Iterator[Workspace]:
    with Workspace(lab.url, lab_of_rosa[lab.url][1]) as workspace:
        yield workspace


def test_actions_are_made_found_and_changed(ws: Workspace, rosa: Workspace):
    assert [(each.id, each.name, each.type) for each in ws.actions][:2] == [
        (0, "Grow", "sample"),
        (1, "Weigh", "measurement"),
    ]
    assert ws.actions["Weigh"].schema == WEIGH and ws.actions[0].description == "In the oven."
    with pytest.raises(NotFound, match="there is no action 'weig', did you mean 'Weigh'"):
        ws.actions["weig"]
    with pytest.raises(NotFound, match="action 77 does not exist"):
        ws.actions[77]
    with pytest.raises(InvalidRequest, match="invalid schema"):
        ws.actions.create("Bad", "sample", {"type": "object"})
    with pytest.raises(NotAllowed):
        rosa.actions.create("Mine", "sample", GROW)
    polish = ws.actions.create("Polish", "custom", GROW)
    assert polish.update(name="Polish it").name == ws.actions[polish.id].name == "Polish it"
    assert polish.refresh().type == "custom"


def test_plain_values_become_what_the_schema_says(ws: Workspace):
    crystal = ws.objects.create("Grow", name="Crystal 7")
    assert (crystal.name, crystal.version, crystal.action_id, crystal.schema) == ("Crystal 7", 0, 0, GROW)
    berlin = timezone(timedelta(hours=2))
    weighed = ws.objects.create(
        ws.actions["Weigh"],
        {"name": "First", "mass": "5 mg", "layers": [{"thickness": 7}, {"thickness": (0.1, "um")}]},
        sample=crystal,
        is_good=True,
        weighed=datetime(2026, 3, 1, 14, 30, tzinfo=berlin),
        tags={"b", "a"},
        oven={"temperature": Quantity(20, "degC")},
    )
    assert weighed.data["mass"] == {
        "_type": "quantity",
        "magnitude": 5,
        "units": "mg",
        "dimensionality": "[mass]",
        "magnitude_in_base_units": 5e-06,
    }
    assert weighed.values == {
        "name": "First",
        "mass": Quantity(5, "mg"),
        "layers": [{"thickness": Quantity(7, "nm")}, {"thickness": Quantity(0.1, "um")}],
        "sample": crystal.id,
        "is_good": True,
        "weighed": datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc),
        "tags": ["a", "b"],
        "oven": {"temperature": Quantity(20, "degC")},
    }
    assert weighed["mass"].magnitude == 5 and str(weighed["mass"]) == "5 mg"
    # As the API has it, nothing is changed.
    again = ws.objects.create(1, weighed.data)
    assert again.data == weighed.data
    assert [each.id for each in crystal.referring()] == [weighed.id, again.id]
    assert [each.id for each in weighed.referred()] == [crystal.id]


def test_all_that_is_wrong_is_told(ws: Workspace):
    with pytest.raises(InvalidRequest) as caught:
        ws.objects.create("Weigh", mass="5 km", is_good="yes")
    for part in ('missing required property "name"', "(at mass)", "(at is_good)"):
        assert part in str(caught.value)
    with pytest.raises(NotFound, match="there is no action 'Fly'"):
        ws.objects.create("Fly", name="A")
    with pytest.raises(NotFound, match="object 424242 does not exist"):
        ws.objects[424242]


def test_versions_are_made_and_nobody_s_change_is_lost(ws: Workspace):
    first = ws.objects.create("Weigh", name="A", mass="5 mg", is_good=True)
    other = ws.objects[first.id]
    assert first.update(mass="4.5 mg") is first and first.version == 1
    assert first.values == {"name": "A", "mass": Quantity(4.5, "mg"), "is_good": True}
    with pytest.raises(ObjectChanged, match="the current version is 1") as caught:
        other.update(mass=7)
    assert caught.value.status == 412
    assert other.refresh().update({"name": "B", "mass": 7}).values == {"name": "B", "mass": Quantity(7, "mg")}
    assert other.update(mass=None).values == {"name": "B"}
    assert [(each.version, each.name, "mass" in each.data) for each in first.versions] == [
        (0, "A", True),
        (1, "A", True),
        (2, "B", True),
        (3, "B", False),
    ]
    assert first != other and first.refresh() == other and hash(first) == hash(other)


def test_an_object_takes_the_new_schema_when_it_is_told_to(ws: Workspace):
    polish = ws.actions.create("Polish", "custom", GROW)
    made = ws.objects.create(polish, name="A")
    more = {**GROW, "properties": {**GROW["properties"], "grit": node("quantity", units="um")}}
    polish.update(schema=more)
    with pytest.raises(InvalidRequest, match='unknown property "grit"'):
        made.update(grit=(3, "um"))
    made.update(grit=3, use_new_schema=True)
    assert made.schema == more and made["grit"] == Quantity(3, "um")


def test_a_search_is_a_frame_in_one_unit(ws: Workspace):
    weigh = ws.actions["Weigh"]
    made = ws.objects.create_many(
        weigh,
        [
            {"name": "frame", "mass": "5 mg", "is_good": True, "oven": {"temperature": 20}},
            {"name": "frame", "mass": "0.004 g", "sample": None, "oven": {"temperature": (300, "K")}},
            {"name": "frame", "mass": "6 mg", "layers": [{"thickness": 7}, {"thickness": (0.1, "um")}]},
            {"name": "frame", "mass": "1 mg", "action_id": "mine"},
            {"name": "frame", "weighed": datetime(2026, 3, 1, tzinfo=timezone.utc), "mass": "7 mg"},
        ],
    )
    assert [each["name"] for each in made] == ["frame"] * 5 and [each.version for each in made] == [0] * 5
    df = ws.objects.search('mass > 3 mg and name == "frame"')
    assert list(df.index) == [made[4].id, made[2].id, made[1].id, made[0].id] and df.index.name == "object_id"
    assert df["mass"].tolist() == [7, 6, 4, 5] and str(df["mass"].dtype) == "float64"
    assert df["oven.temperature"].tolist()[2:] == [300, 293.15]
    assert df["layers"][made[2].id] == [{"thickness": 7}, {"thickness": 100}]
    assert df["is_good"].tolist()[3] is True and df["is_good"].isna().sum() == 3
    assert df["weighed"][made[4].id].isoformat() == "2026-03-01T00:00:00+00:00"
    assert df.attrs["units"] == {"mass": "mg", "oven.temperature": "K", "layers.?.thickness": "nm"}
    assert df["action_id"].unique().tolist() == [1] and "properties.action_id" not in df.columns
    assert ws.objects.find('name == "frame"', 2).to_pandas()["properties.action_id"].tolist()[1] == "mine"
    assert len(ws.objects.search('name == "frame"', 3)) == 3
    empty = ws.objects.search('name == "nothing"')
    assert len(empty) == 0 and list(empty.columns) == ["version_id", "action_id"]
    with pytest.raises(InvalidRequest, match="Error: "):
        ws.objects.search("mass >")


def test_lists_are_read_in_pages(ws: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cosphere_jupyter.client.objects.PAGE", 3)
    made = [each.id for each in ws.objects.create_many("Grow", [{"name": f"page {n}"} for n in range(8)])]
    assert [each.id for each in ws.objects.list(7)] == made[::-1][:7]
    assert [each.id for each in ws.objects.list(2, offset=1)] == made[::-1][1:3]
    assert {*made} <= {each.id for each in ws.objects}
    assert [each.action_id for each in ws.objects.list(3, type="sample")] == [0, 0, 0]
    assert ws.objects.list(3, action=ws.actions[0])[0].action_id == 0


def test_a_measurement_points_at_its_data(ws: Workspace, rosa: Workspace):
    request = ws.catalogue["flights"].select("n").where("n > 6").request()
    weighed = ws.objects.create("Weigh", name="linked", data=request)
    assert weighed.links == {"data": f"cosphere:requests/{request.id}"}
    assert weighed.follow("data").to_pandas()["n"].tolist() == [7, 8, 9]
    assert [each.id for each in ws.objects.linked_to(request)] == [weighed.id]
    assert len(ws.objects.linked_to(f"cosphere:requests/{request.id}0")) == 0
    assert len(ws.objects.find(f'data == "cosphere:requests/{request.id}"')) == 1
    bundle = ws.bundles.upload(b"1;2", "numbers.csv", progress=False)
    table, task = ws.catalogue["flights"], ws.tasks.create("hello", name="Ada")
    for handle in (table, task, ws.downloads.create("tasks"), weighed, bundle):
        linked = ws.objects.create("Weigh", name="linked", data=handle)
        assert type(linked.follow("data")) is type(handle)
        assert [each.id for each in ws.objects.linked_to(handle)] == [linked.id]
    with pytest.raises(InvalidRequest, match="pattern"):
        ws.objects.create("Weigh", name="linked", data="elsewhere")
    with pytest.raises(ValueError, match="nothing can link to 7"):
        ws.objects.linked_to(7)
    with pytest.raises(ValueError, match="leads to nothing of this workspace"):
        ws.objects.create("Weigh", name="odd", data="cosphere:requests/x").follow("data")
    with pytest.raises(KeyError):
        weighed.follow("mass")
    # Who may read the object learns what it names, and gets nothing more by that.
    weighed.permissions.give("read")
    with pytest.raises(NotFound):
        rosa.objects[weighed.id].follow("data")


def test_permissions_are_given_and_taken(ws: Workspace, rosa: Workspace, lab: RealServer):
    made = ws.objects.create("Grow", name="mine")
    with pytest.raises(NotAllowed, match="READ permissions"):
        rosa.objects[made.id]
    rosa_id, me = lab_of_rosa[lab.url][0], ws.me.id
    owner = Permission("account", me, "grant")
    assert list(made.permissions) == [owner]
    assert made.permissions.give("read") == [Permission("everyone", 0, "read"), owner]
    seen = rosa.objects[made.id]
    with pytest.raises(NotAllowed):
        seen.update(name="hers")
    assert made.permissions.give("none") == [owner]
    assert made.permissions.give("write", account=rosa_id) == [owner, Permission("account", rosa_id, "write")]
    assert seen.update(name="hers").name == "hers"
    assert made.permissions.replace(owner) == [owner]
    with pytest.raises(InvalidRequest, match="somebody must keep GRANT"):
        made.permissions.replace()
    with pytest.raises(ValueError, match="a level is one of"):
        made.permissions.give("all")
    with pytest.raises(NotFound, match="user 77 does not exist"):
        made.permissions.give("read", account=77)


def test_files_and_comments_belong_to_an_object(ws: Workspace, tmp_path: Path):
    made = ws.objects.create("Grow", name="filed")
    source = tmp_path / "spectrum.csv"
    source.write_bytes(b"1;2\n\xff")
    kept = made.files.add(source)
    assert (kept.file_id, kept.name, kept.read()) == (0, "spectrum.csv", b"1;2\n\xff")
    made.files.add(b"", "../../evil name.csv")
    link = made.files.add_link("https://lab.example/raw/7")
    assert [each.name or each.url for each in made.files] == ["spectrum.csv", "../../evil name.csv", link.url]
    saved = made.files[1].save(tmp_path)
    assert saved == tmp_path / "_.._evil name.csv" and saved.read_bytes() == b""
    assert made.files[0].save(tmp_path / "copy.csv").read_bytes() == b"1;2\n\xff"
    with pytest.raises(ValueError, match="this is a link"):
        made.files[2].read()
    with pytest.raises(TypeError, match="bytes need a name"):
        made.files.add(b"x")
    assert made.comments.add("Grew over night.").content == "Grew over night."
    [comment] = made.comments
    assert (comment.comment_id, comment.user_id, comment.created_at.tzinfo) == (0, ws.me.id, timezone.utc)


def test_hidden_objects_stand_in_no_list(ws: Workspace):
    made = ws.objects.create("Grow", name="hidden one").hide()
    assert len(ws.objects.find('name == "hidden one"')) == 0
    assert [each.id for each in ws.objects.list(hidden=True)] == [made.id]
    made.hide(False)
    assert len(ws.objects.find('name == "hidden one"')) == 1


def test_what_is_shown_is_escaped_and_asks_nobody(ws: Workspace, monkeypatch: pytest.MonkeyPatch):
    evil = "<script>alert(1)</script>\x1b"
    made = ws.objects.create("Weigh", name=evil, mass="5 mg", layers=[{"thickness": 1}])
    shown: list[Any] = [
        *(made, ws.objects.list(3), ws.objects, ws.actions, ws.actions[1]),
        *(made.files, made.comments, made.permissions, made.files.add(b"x", evil)),
    ]
    monkeypatch.setattr(type(ws.http), "call", lambda *_, **__: pytest.fail("the server was asked"))
    for each in shown:
        html = each._repr_html_()
        assert "<script" not in html and "\x1b" not in html and repr(each)
        assert not re.search(r"src=|url\(|href=", html)
    assert "5 mg" in made._repr_html_() and "thickness: 1 nm" in made._repr_html_()
