"""Finding the workspace: which server is taken, with which token, and what is said when there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import ServerNotFound, Workspace
from cosphere_jupyter.client.discovery import discover, workspace_url


def write_profile(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "jupyter" / "config" / "cosphere.json"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def other_process() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("http://host:8888", "http://host:8888/cosphere"),
        ("http://host:8888/", "http://host:8888/cosphere"),
        ("https://hub.example/user/rosa/", "https://hub.example/user/rosa/cosphere"),
        ("https://hub.example/user/rosa/lab?token=secret", "https://hub.example/user/rosa/cosphere"),
        ("http://host:8888/base/cosphere/", "http://host:8888/base/cosphere"),
        ("https://hub.example/services/cosphere", "https://hub.example/services/cosphere"),
        (" http://rosa:secret@host/tree ", "http://host/cosphere"),
        ("http://[::1]:8888", "http://[::1]:8888/cosphere"),
    ],
)
def test_the_url_of_a_jupyter_server_or_of_its_workspace_will_do(given: str, found: str):
    assert workspace_url(given) == found


@pytest.mark.parametrize("url", ["host:8888", "ftp://host/", "http://", "nonsense"])
def test_what_is_no_url_is_refused(url: str):
    with pytest.raises(ServerNotFound, match="starts with http"):
        Workspace(url=url)


def test_the_given_url_and_token_come_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COSPHERE_URL", "http://elsewhere/")
    server = discover("http://host:8888/", "secret")
    assert (server.url, server.token, server.way) == ("http://host:8888/cosphere", "secret", "the given url")
    assert "secret" not in repr(server)


def test_the_environment_comes_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COSPHERE_URL", "http://here/")
    monkeypatch.setenv("COSPHERE_TOKEN", "secret")
    write_profile(tmp_path, '{"url": "http://profile/"}')
    server = discover()
    assert (server.url, server.token) == ("http://here/cosphere", "secret")
    assert server.way == "COSPHERE_URL and COSPHERE_TOKEN"
    assert discover(token="mine").token == "mine"


def test_the_profile_comes_third(tmp_path: Path):
    path = write_profile(tmp_path, '{"url": "http://profile/", "token": "secret"}')
    server = discover()
    assert (server.url, server.token, server.way) == ("http://profile/cosphere", "secret", f"the profile {path}")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_profile_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    path = write_profile(tmp_path, '{"url": "http://profile/", "token": "secret"}', mode)
    with pytest.raises(ServerNotFound, match=f"chmod 600 {path}") as caught:
        discover()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 5}', '{"url": "http://x/", "token": 5}'])
def test_a_profile_that_cannot_be_read_is_refused_with_an_example(tmp_path: Path, text: str):
    write_profile(tmp_path, text)
    with pytest.raises(ServerNotFound, match="it looks like"):
        discover()


def test_in_a_hub_its_token_goes_to_the_given_workspace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-secret")
    monkeypatch.setenv("COSPHERE_URL", "https://hub.example/services/cosphere/")
    assert discover().token == "hub-secret"


def test_in_a_hub_the_service_is_taken_if_it_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with WorkspaceServer(tmp_path / "results", "hub-secret", base="/services/") as service:
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-secret")
        monkeypatch.setenv("JUPYTERHUB_PUBLIC_HUB_URL", f"http://127.0.0.1:{service.port}/hub/")
        with Workspace() as ws:
            assert ws.me.id == 7
            assert ws.url == f"http://127.0.0.1:{service.port}/services/cosphere"
            assert "service of this JupyterHub" in repr(ws)


def test_in_a_hub_without_the_service_the_own_server_is_taken(
    monkeypatch: pytest.MonkeyPatch, server: WorkspaceServer, running: Callable[..., Path]
):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-secret")
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_HUB_URL", f"{server.url}hub/")
    running(server)
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
    with Workspace() as ws:
        assert ws.me.id == 7
        assert "the Jupyter server of this notebook" in repr(ws)


def test_a_notebook_finds_the_server_that_started_it(
    monkeypatch: pytest.MonkeyPatch, server: WorkspaceServer, running: Callable[..., Path], other_process: int
):
    running("http://other:1/", other_process)
    running(server)
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
    with Workspace() as ws:
        assert ws.me.email == "rosa@lab.example"
        assert (
            repr(ws)
            == f"<Workspace {server.url}cosphere (the Jupyter server of this notebook (process {os.getpid()}))>"
        )


def test_the_only_running_server_is_taken(running: Callable[..., Path], dead_pid: int, tmp_path: Path):
    running("http://dead:1/", dead_pid)
    (tmp_path / "jupyter" / "runtime" / "jpserver-1.json").write_text("{broken")
    running("http://127.0.0.1:8888/base/", token="t")
    found = discover()
    assert (found.url, found.token) == ("http://127.0.0.1:8888/base/cosphere", "t")
    assert found.way == f"the only running Jupyter server (process {os.getpid()})"


def test_of_several_servers_that_of_this_folder_is_taken(
    monkeypatch: pytest.MonkeyPatch, running: Callable[..., Path], other_process: int, tmp_path: Path
):
    inner = tmp_path / "work" / "inner"
    inner.mkdir(parents=True)
    running("http://outer:1/", other_process, root_dir=str(tmp_path))
    running("http://inner:1/", root_dir=str(tmp_path / "work"))
    monkeypatch.chdir(inner)
    assert discover().url == "http://inner:1/cosphere"
    monkeypatch.chdir(tmp_path)
    assert discover().url == "http://outer:1/cosphere"
    monkeypatch.setenv("JPY_SESSION_NAME", str(inner / "a.ipynb"))
    assert discover().url == "http://inner:1/cosphere"


def test_of_several_servers_of_no_folder_none_is_guessed(
    running: Callable[..., Path], other_process: int, monkeypatch: pytest.MonkeyPatch
):
    running("http://one:1/", other_process, root_dir="/nowhere/one")
    running("http://two:1/", root_dir="/nowhere/two")
    with pytest.raises(ServerNotFound, match="none of them holds") as caught:
        discover()
    assert "http://one:1/" in str(caught.value)
    assert "http://two:1/" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_error_lists_everything_that_was_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JPY_PARENT_PID", "999999999")
    with pytest.raises(ServerNotFound) as caught:
        Workspace()
    text = str(caught.value)
    for part in (
        "COSPHERE_URL is not set",
        "cosphere.json",
        "no JupyterHub",
        "process 999999999",
        "no running",
        "Workspace(url=",
    ):
        assert part in text
    assert len(caught.value.tried) == 5


# Tokens go only where they belong


def test_a_given_url_gets_the_token_of_that_running_server(server: WorkspaceServer, running: Callable[..., Path]):
    running(server)
    with Workspace(server.url.replace("127.0.0.1", "localhost")) as ws:
        assert ws.me.id == 7


def test_a_given_url_gets_no_token_of_another_server(
    running: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    running("http://127.0.0.1:8888/")
    write_profile(tmp_path, '{"url": "http://profile/", "token": "profile-secret"}')
    monkeypatch.setenv("COSPHERE_URL", "http://here/")
    monkeypatch.setenv("COSPHERE_TOKEN", "env-secret")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-secret")
    assert discover("http://stranger/").token is None
    assert discover("http://127.0.0.1:8889/").token is None
    assert discover("http://127.0.0.1:8888/other/").token is None
    assert discover("http://127.0.0.1:8888/").token == "secret"
    assert discover("http://profile/cosphere").token == "profile-secret"
    assert discover("http://here").token == "env-secret"


def test_a_server_on_a_unix_socket_is_reached(tmp_path: Path, running: Callable[..., Path]):
    socket = tmp_path / "s"
    with WorkspaceServer(tmp_path / "results", socket=socket) as server:
        running("http+unix://socket/", token=server.token, sock=str(socket))
        with Workspace() as ws:
            assert ws.me.id == 7


# Another server has the workspace


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[WorkspaceServer]:
    with WorkspaceServer(tmp_path / "owners", token="owners-secret") as running:
        yield running


def elsewhere(server: WorkspaceServer, owner: WorkspaceServer, pid: int) -> None:
    """Let ``server`` answer as one that does not have the workspace."""
    server.interceptors.append(
        lambda handler: handler.refuse(
            503, "WORKSPACE_IS_SERVED_ELSEWHERE", message="this workspace is served elsewhere", pid=pid, url=owner.url
        )
    )


def test_a_workspace_that_another_server_has_is_followed(
    server: WorkspaceServer, owner: WorkspaceServer, running: Callable[..., Path], other_process: int
):
    elsewhere(server, owner, other_process)
    running(owner, other_process)
    with Workspace(server.url, server.token) as ws:
        assert ws.me.id == 7
        assert len(server.seen) == 1
        assert ws.url == f"{owner.url}cosphere"
        assert f"followed to process {other_process}" in repr(ws)
        assert "secret" not in repr(ws)
        list(ws.requests)
        assert len(server.seen) == 1


def test_a_jwt_is_kept_when_another_server_is_followed(
    server: WorkspaceServer, owner: WorkspaceServer, running: Callable[..., Path], other_process: int
):
    elsewhere(server, owner, other_process)
    running(owner, other_process)
    with Workspace(server.url, "a.b.c") as ws:
        assert ws.me.id == 7
        assert owner.seen[-1][2]["Authorization"] == "Bearer a.b.c"


def test_the_own_server_takes_over_when_the_followed_one_is_gone(
    server: WorkspaceServer, owner: WorkspaceServer, running: Callable[..., Path], other_process: int
):
    elsewhere(server, owner, other_process)
    running(owner, other_process)
    with Workspace(server.url, server.token) as ws:
        assert ws.me.id == 7
        owner.stop()
        server.interceptors.clear()
        assert list(ws.requests) == []
        assert ws.url == f"{server.url}cosphere"


def test_a_server_that_cannot_be_followed_is_named(server: WorkspaceServer, owner: WorkspaceServer):
    from cosphere_jupyter import ServerUnavailable

    elsewhere(server, owner, 999999999)
    with Workspace(server.url, server.token) as ws, pytest.raises(ServerUnavailable) as caught:
        _ = ws.me
    assert f"served by another Jupyter server: {owner.url}" in str(caught.value)
    assert f'Workspace(url="{owner.url}"' in str(caught.value)
    assert caught.value.event == "WORKSPACE_IS_SERVED_ELSEWHERE"


def test_the_token_of_the_owner_goes_only_where_its_file_says(
    server: WorkspaceServer, owner: WorkspaceServer, running: Callable[..., Path], other_process: int, tmp_path: Path
):
    with WorkspaceServer(tmp_path / "thief") as thief:
        elsewhere(server, thief, other_process)
        running(owner, other_process)
        with Workspace(server.url, server.token) as ws:
            assert ws.me.id == 7
        assert thief.seen == []


def test_the_runtime_files_are_the_ones_that_jupyter_writes():
    # The names that are read here are those of the real server's own file.
    import jupyter_server.serverapp as serverapp

    source = Path(serverapp.__file__).read_text()
    written = source[source.index("def server_info") :][:900]
    for name in ("url", "sock", "base_url", "token", "pid", "root_dir"):
        assert json.dumps(name) in written
