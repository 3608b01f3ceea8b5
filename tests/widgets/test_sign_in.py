"""SignIn without a browser: who asks, what is shown, and that nothing secret is in its state."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pyarrow as pa
import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import NotSignedIn, SignIn, Workspace
from cosphere_jupyter.client import signing
from cosphere_jupyter.widgets.core import descendants
from cosphere_jupyter.widgets.sign_in import NotebookSignIn

NOT_YET = (404, "COULD_NOT_FIND_AUTHREQUEST", {})


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "POLL_SECONDS", 0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WorkspaceServer]:
    with WorkspaceServer(tmp_path / "results") as running:
        yield running


@pytest.fixture
def ws(server: WorkspaceServer) -> Iterator[Workspace]:
    """A workspace whose token has expired."""
    server.expired = {"a.b.c"}
    with Workspace(server.url, "a.b.c", sign_in=False, cache=False) as workspace:
        yield workspace


@pytest.fixture
def sign_in(ws: Workspace) -> Iterator[SignIn]:
    made = SignIn(ws)
    yield made
    made.close()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def invitation(sign_in: SignIn) -> str:
    return str(sign_in._card._invitation.value)


def words(sign_in: SignIn) -> str:
    return str(sign_in._card.line.text)


def buttons(sign_in: SignIn) -> list[str]:
    return [each.description for each in sign_in._card.action.children]


def test_it_shows_a_link_and_a_code_waits_on_a_thread_and_goes_on(
    sign_in: SignIn, ws: Workspace, server: WorkspaceServer
) -> None:
    heard: list[Any] = []
    sign_in.observe(lambda change: heard.append(change["new"]), "account")
    assert (sign_in.state, sign_in.account, buttons(sign_in)) == ("ready", None, ["Sign in"])
    assert "does not know who you are" in words(sign_in)
    server.answers_to_polls = [NOT_YET] * 50
    started = time.monotonic()
    sign_in._start.click()
    assert time.monotonic() - started < 0.5
    shown = until(lambda: "href" in invitation(sign_in) and invitation(sign_in))
    [uuid] = server.sign_ins
    assert f'href="{server.url}cosphere/accounts/auth_requests/{uuid}/authenticate/ui/' in shown
    assert 'target="_blank" rel="noopener"' in shown and f">{uuid[:8]}</code>" in shown
    assert "Asked for by cosphere-jupyter" in shown
    assert (sign_in.state, buttons(sign_in)) == ("waiting", ["Cancel"])
    server.answers_to_polls = []
    assert sign_in.wait(10)
    assert (sign_in.state, words(sign_in), buttons(sign_in)) == ("done", "Signed in as rosa@lab.example.", [])
    assert heard == [sign_in.account] and sign_in.account.email == "rosa@lab.example"
    assert "href" not in invitation(sign_in), "the link is used"
    assert list(ws.requests) == []


def test_pressing_twice_asks_once(sign_in: SignIn, server: WorkspaceServer) -> None:
    server.answers_to_polls = [NOT_YET] * 1000
    sign_in.start()
    sign_in.start()
    until(lambda: "href" in invitation(sign_in))
    assert len(server.sign_ins) == 1


def test_waiting_can_be_given_up_and_begun_again(sign_in: SignIn, ws: Workspace, server: WorkspaceServer) -> None:
    server.answers_to_polls = [NOT_YET] * 1000
    sign_in.start()
    until(lambda: "href" in invitation(sign_in))
    sign_in._cancel.click()
    assert sign_in.wait(10)
    assert (sign_in.state, buttons(sign_in)) == ("failed", ["Ask for a new link"])
    assert words(sign_in) == "Nobody waits any more for this sign-in."
    assert "href" not in invitation(sign_in)
    server.answers_to_polls = []
    sign_in._start.click()
    assert sign_in.wait(10)
    assert sign_in.state == "done" and len(server.sign_ins) == 2
    assert ws.me.id == 7


def test_a_link_that_expired_is_told_with_a_way_on(sign_in: SignIn, server: WorkspaceServer) -> None:
    server.answers_to_polls = [(400, "EXPIRED_AUTH_REQUEST_DETECTED", {})]
    sign_in.start()
    assert sign_in.wait(10)
    assert sign_in.state == "failed"
    assert words(sign_in) == "nobody signed in while the link was good; ask again for a new one"


def test_a_page_of_another_server_is_not_shown(sign_in: SignIn, server: WorkspaceServer) -> None:
    server.base = "https://evil.example/"
    sign_in.start()
    assert sign_in.wait(10)
    assert "a page of another server" in words(sign_in) and "evil" not in invitation(sign_in)


def test_closing_ends_the_waiting(ws: Workspace, server: WorkspaceServer) -> None:
    server.answers_to_polls = [NOT_YET] * 1000
    sign_in = SignIn(ws)
    sign_in.start()
    until(lambda: "href" in invitation(sign_in))
    parts = descendants(sign_in)
    sign_in.close()
    until(lambda: not [each for each in threading.enumerate() if each.name == "cosphere-sign-in"])
    assert all(each.comm is None for each in (*parts, sign_in._start, sign_in._cancel))


def test_others_wait_for_the_same_sign_in(sign_in: SignIn, ws: Workspace, server: WorkspaceServer) -> None:
    """A call that would ask by itself, in another thread, uses the token that somebody gets meanwhile."""
    server.answers_to_polls = [NOT_YET] * 20
    sign_in.start()
    until(lambda: "href" in invitation(sign_in))
    ws.http._sign_in = lambda http, refusal: pytest.fail("it is being asked already")
    assert list(ws.requests) == []
    assert sign_in.wait(10) and len(server.sign_ins) == 1


def test_no_token_and_no_verifier_is_in_the_state(sign_in: SignIn, server: WorkspaceServer) -> None:
    states: list[str] = []

    def note(_: Any) -> None:
        found = ipywidgets.Widget.get_manager_state()["state"].values()
        states.append(json.dumps([each["state"] for each in found]))

    for widget in (sign_in, *descendants(sign_in)):
        widget.observe(note)
    sign_in.start()
    assert sign_in.wait(10)
    for widget in (sign_in, *descendants(sign_in)):
        widget.unobserve(note)
    verifier = next(body["code_verifier"] for body in server.bodies if "code_verifier" in body)
    [token] = [jwt for jwt in server.jwts if jwt.startswith("head.")]
    assert len(states) >= 3 and any("auth_requests" in state for state in states)
    for secret in (verifier, token, token.split(".")[1], "a.b.c"):
        assert not any(secret in state for state in states)


def test_the_card_of_a_cell_falls_back_to_the_plain_link() -> None:
    board = NotebookSignIn()
    url = "http://127.0.0.1:1/accounts/auth_requests/x/?a=1&b=<2>"
    shown = board.shown(url, "abcd1234")
    assert set(shown) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    for text in (shown["text/html"], board._card._invitation.value):
        assert "a=1&amp;b=&lt;2&gt;" in text and "abcd1234" in text and "<2>" not in text
    board._handle = type("Handle", (), {"update": lambda *_, **__: None})()
    board.ended("Signed in.")
    assert board._card.comm is None


def test_a_monitor_whose_token_expires_offers_to_sign_in_and_goes_on(server: WorkspaceServer) -> None:
    # This small server has no tasks: what matters is who may ask for them.
    with Workspace(server.url, "a.b.c", sign_in=True, cache=False) as ws:
        server.expired = {"a.b.c"}
        server.interceptors.append(
            lambda handler: handler.refuse(401, "AUTH_TOKEN_EXPIRED") if needs_token(handler, server) else None
        )
        monitor = ws.monitor()
        (offered,) = until(lambda: monitor._sign_in.children)
        assert isinstance(offered, SignIn) and monitor._sign_in.layout.display is None
        assert server.sign_ins == {}, "a thread asks nobody by itself"
        offered._start.click()
        assert offered.wait(10) and offered.state == "done"
        until(lambda: not monitor._sign_in.children)


def test_the_catalogue_and_a_request_go_on_where_they_were_once_somebody_has_signed_in(server: WorkspaceServer) -> None:
    column = {"name": "n", "type": "INTEGER", "size": 8, "is_enum": False, "is_nullable": False, "distribution": None}
    server.add_item("flights", [column])
    server.will_answer("flights", pa.table({"n": [1, 2, 3]}))
    with Workspace(server.url, "a.b.c", sign_in=True, cache=False) as ws:
        builder = ws.builder("flights")
        assert builder.wait(10) and not builder.sign_in.children
        server.expired = {"a.b.c"}
        browser = ws.browse("fl")
        builder.submit()
        assert browser.wait(10) and builder.wait(10)
        assert not browser.tables and builder.request is None and server.sign_ins == {}
        (offered,), (other,) = browser._sign_in.children, builder.sign_in.children
        offered.start()
        until(lambda: browser.tables and not browser._sign_in.children)
        assert browser.tables[0].name == "flights" and browser._error.text == ""
        assert len(server.sign_ins) == 1
        other.start()
        until(lambda: builder.request is not None and not builder.sign_in.children)
        assert builder.wait(10) and builder.state.startswith("Ready, 3 rows")
        assert len(server.sign_ins) == 1, "nobody is asked twice"
        for each in (browser, builder):
            each.close()


def needs_token(handler: Any, server: WorkspaceServer) -> bool:
    token = handler.request.headers.get("Authorization", "").removeprefix("Bearer ")
    return "/v1/" in handler.request.path and token in server.expired


def test_a_workspace_that_shall_not_ask_raises(server: WorkspaceServer) -> None:
    with pytest.raises(NotSignedIn):
        Workspace(server.url, sign_in=False)
