"""Signing in by a link: shown where somebody sits, polled as the server likes it, and kept in memory only."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import NotSignedIn, Workspace
from cosphere_jupyter.client import signing

NOT_YET = (404, "COULD_NOT_FIND_AUTHREQUEST", {})


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "POLL_SECONDS", 0.02)


@pytest.fixture
def signed_in(server: WorkspaceServer) -> Iterator[Workspace]:
    with Workspace(server.url, sign_in=True) as ws:
        yield ws


def polls(server: WorkspaceServer) -> int:
    return len(server.paths("/auth_tokens/"))


def test_a_workspace_without_an_identity_shows_a_link_waits_and_goes_on(
    server: WorkspaceServer, capsys: pytest.CaptureFixture[str]
):
    server.answers_to_polls = [NOT_YET] * 3
    with Workspace(server.url, sign_in=True) as ws:
        assert ws.me.id == 7
        told = capsys.readouterr()
        [uuid] = server.sign_ins
        assert f"{server.url}cosphere/accounts/auth_requests/{uuid}/authenticate/ui/" in told.err
        assert f"check code {uuid[:8]}. Waiting" in told.err
        assert told.err.endswith("Signed in as rosa@lab.example.\n")
        assert told.out == ""
        assert polls(server) == 4
        assert server.seen[-1][2]["Authorization"].startswith("Bearer head.")
        assert len(server.paths("/accounts/me")) == 2
        list(ws.requests)
        assert len(server.sign_ins) == 1


def test_no_secret_of_signing_in_is_shown_or_written(
    signed_in: Workspace, server: WorkspaceServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    token = next(jwt for jwt in server.jwts if jwt.startswith("head."))
    [uuid] = server.sign_ins
    verifier = next(body["code_verifier"] for body in server.bodies if "code_verifier" in body)
    shown = [repr(signed_in), repr(signed_in.http), repr(vars(signed_in)), signed_in._repr_html_()]
    shown += [capsys.readouterr().err]
    for secret in (token, verifier):
        assert len(secret) > 20
        assert not any(secret in text for text in shown)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert "; signed in" in repr(signed_in)
    assert server.sign_ins[uuid]["code_challenge"] != verifier


def test_a_process_that_nobody_sits_at_is_refused_at_once(server: WorkspaceServer):
    for sign_in in (None, False):
        with pytest.raises(NotSignedIn, match="could not find auth token"):
            Workspace(server.url, sign_in=sign_in)
    script = f"from cosphere_jupyter import Workspace; Workspace({server.url!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "NotSignedIn: could not find auth token" in done.stderr
    assert server.sign_ins == {}


def test_somebody_at_a_terminal_is_asked(server: WorkspaceServer):
    import os
    import pty

    # A terminal of its own, as a user has it.
    leader, follower = pty.openpty()
    code = "from cosphere_jupyter import Workspace; print('hello', Workspace(url).me.email)"
    script = f"url = {server.url!r}; {code}"
    try:
        done = subprocess.run([sys.executable, "-c", script], stdin=follower, stderr=follower, stdout=subprocess.PIPE)
        os.set_blocking(leader, False)
        told = os.read(leader, 10_000).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.stdout.decode() == "hello rosa@lab.example\n"
    assert "Sign in to the workspace: http://127.0.0.1" in told
    assert "Signed in as rosa@lab.example." in told


def test_an_expired_token_is_replaced_by_signing_in_again(signed_in: Workspace, server: WorkspaceServer):
    assert signed_in.me.id == 7
    server.expired = server.jwts - {"a.b.c"}
    assert list(signed_in.requests) == []
    assert len(server.sign_ins) == 2
    assert server.seen[-1][2]["Authorization"].removeprefix("Bearer ") not in server.expired
    # Somebody else may have signed in.
    asked = len(server.paths("/accounts/me"))
    assert signed_in.me.id == 7
    assert len(server.paths("/accounts/me")) == asked + 1


def test_an_expired_token_that_was_given_is_replaced_too(server: WorkspaceServer):
    server.expired = {"a.b.c"}
    with Workspace(server.url, "a.b.c", sign_in=False) as ws, pytest.raises(NotSignedIn, match="auth token expired"):
        _ = ws.me
    with Workspace(server.url, "a.b.c", sign_in=True) as ws:
        assert ws.me.id == 7


def test_a_broken_token_is_told_and_nobody_is_asked(server: WorkspaceServer):
    server.interceptors.append(lambda handler: handler.refuse(401, "AUTH_TOKEN_WAS_BROKEN"))
    with Workspace(server.url, "x.y.z", sign_in=True) as ws, pytest.raises(NotSignedIn, match="broken"):
        _ = ws.me
    assert server.sign_ins == {}


def test_a_server_that_wants_to_be_asked_less_often_is(server: WorkspaceServer):
    server.answers_to_polls = [(429, "TOO_MANY_ATTEMPTS", {"Retry-After": "1"}), NOT_YET]
    started = time.monotonic()
    with Workspace(server.url, sign_in=True) as ws:
        assert ws.me.id == 7
    assert 1.0 <= time.monotonic() - started < 5
    assert polls(server) == 3


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: WorkspaceServer):
    server.answers_to_polls = [(503, "SERVICE_UNAVAILABLE", {}), NOT_YET]
    with Workspace(server.url, sign_in=True) as ws:
        assert ws.me.id == 7


def test_a_link_that_expired_is_one_clear_error(server: WorkspaceServer, capsys: pytest.CaptureFixture[str]):
    server.answers_to_polls = [NOT_YET, (400, "EXPIRED_AUTH_REQUEST_DETECTED", {})]
    with pytest.raises(NotSignedIn, match="nobody signed in while the link was good; ask again") as caught:
        Workspace(server.url, sign_in=True)
    assert caught.value.event == "EXPIRED_AUTH_REQUEST_DETECTED"
    assert capsys.readouterr().err.endswith("nobody signed in while the link was good; ask again for a new one\n")
    assert polls(server) == 2


def test_waiting_ends_with_the_life_of_the_link(server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(signing, "LIFE_SECONDS", 0.3)
    server.answers_to_polls = [NOT_YET] * 1000
    started = time.monotonic()
    with pytest.raises(NotSignedIn, match="nobody signed in while the link was good"):
        Workspace(server.url, sign_in=True)
    assert 0.3 <= time.monotonic() - started < 3


def test_a_page_of_another_server_is_not_shown(
    server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    server.base = "//evil.example/"
    for base in ("//evil.example/", "javascript:alert(1)//", "https://evil.example/"):
        server.base = base
        with pytest.raises(NotSignedIn, match="a page of another server"):
            Workspace(f"http://127.0.0.1:{server.port}/", sign_in=True)
    assert capsys.readouterr().err == ""


def test_a_server_without_sign_in_says_that_a_token_is_needed(server: WorkspaceServer):
    server.interceptors.append(
        lambda handler: handler.refuse(404, "NOT_FOUND") if "auth_requests" in handler.request.path else None
    )
    with pytest.raises(NotSignedIn, match=r"COSPHERE_TOKEN \(signing in by a link does not work there: not found\)"):
        Workspace(server.url, sign_in=True)


def test_threads_that_are_refused_at_once_ask_once(signed_in: Workspace, server: WorkspaceServer):
    server.expired = server.jwts - {"a.b.c"}
    server.answers_to_polls = [NOT_YET] * 5
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(list(signed_in.requests))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [[]] * 8
    assert len(server.sign_ins) == 2


def test_tab_completion_asks_nobody_to_sign_in(signed_in: Workspace, server: WorkspaceServer):
    server.expired = server.jwts - {"a.b.c"}
    assert signed_in.catalogue._ipython_key_completions_() == []
    assert len(server.sign_ins) == 1


def test_the_challenge_is_that_of_the_standard():
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert signing.challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_server_that_is_not_there_is_found_out_when_it_is_used():
    Workspace("http://127.0.0.1:1/", sign_in=False).close()
