"""What stands in places without widgets: every plain representation, escaped, and without asking the server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from client.lab_server import LabServer

from cosphere_jupyter import Workspace
from cosphere_jupyter.cli import demo_data

WILD = '<img src=x onerror="alert(1)">'

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabServer, dict[str, Any]]]:
    """One of each thing that shows itself, from a server that tells wild texts."""
    server = LabServer(tmp_path_factory.mktemp("shown"))
    demo_data.prepare(server.root / "data")
    server.start()
    with Workspace(server.url, server.token) as ws:
        table = ws.catalogue.create(name=f"t {WILD}", source="data/airlines.parquet", description=WILD, tags=[WILD])
        table.update_samples()
        query = table.select("name").where(f"name != '{WILD}'")
        request = query.request().wait(progress=False)
        files = ws.tasks.create("lab.files", size=4096).wait(progress=False)
        failed, text = ws.tasks.create(WILD), ws.tasks.create("lab.text").wait(progress=False)
        download = ws.downloads.create("catalogue").wait(progress=False)
        known = list(ws.requests), list(ws.catalogue)
        assert all(known) and request.rows == 16
        things = {
            "workspace": ws,
            "table": table,
            "column": table.columns[0],
            "catalogue": ws.catalogue,
            "search": ws.catalogue.search("t"),
            "query": query,
            "estimate": query.estimate(),
            "request": request,
            "requests": ws.requests,
            "task": files,
            "failed task": failed.refresh(),
            "wild task": text,
            "tasks": ws.tasks,
            "group": ws.tasks.list(),
            "download": download,
            "downloads": ws.downloads,
            "permissions": table.permissions,
        }
        yield server, things
    server.stop()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a representation asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "send", refuse)
    monkeypatch.setattr(socket.socket, "sendall", refuse)


class Tags(HTMLParser):
    """The tags of a text, and attributes that do something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.active += [name for name, value in attrs if name.startswith("on") or name in ("src", "href", "action")]


def forms(thing: Any) -> list[str]:
    found = [repr(thing)]
    if hasattr(thing, "_repr_html_"):
        found.append(thing._repr_html_())
    return found


@pytest.mark.usefixtures("no_network")
def test_every_representation_is_escaped_and_asks_nobody(shown: tuple[LabServer, dict[str, Any]]) -> None:
    _, things = shown
    for name, thing in things.items():
        for text in forms(thing):
            assert text, name
        if hasattr(thing, "_repr_html_"):
            tags = Tags(thing._repr_html_())
            assert not tags.found & {"img", "script", "iframe", "object", "link", "style", "a"}, name
            assert tags.active == [], name


def test_those_that_people_look_at_have_an_html_form(shown: tuple[LabServer, dict[str, Any]]) -> None:
    _, things = shown
    without = {name for name, thing in things.items() if not hasattr(thing, "_repr_html_")}
    assert without <= {"column", "estimate", "permissions"}, "these are one line of text"
    assert "&lt;img src=x" in things["table"]._repr_html_() and "&lt;img src=x" in things["failed task"]._repr_html_()


def test_no_representation_holds_a_secret(shown: tuple[LabServer, dict[str, Any]]) -> None:
    server, things = shown
    request, task = things["request"], things["task"]
    links = [request._data["manifest_uri"], *task.result.values()]
    signed = [str(link).partition("?")[2] for link in links if "://" in str(link)]
    assert len(signed) == 3 and all(len(each) > 20 for each in signed)
    for name, thing in things.items():
        for text in forms(thing):
            assert not any(secret in text for secret in (server.token, *signed)), name


def test_a_representation_takes_no_time(shown: tuple[LabServer, dict[str, Any]]) -> None:
    import time

    _, things = shown
    for name, thing in things.items():
        started = time.perf_counter()
        forms(thing)
        assert time.perf_counter() - started < 0.5, name
