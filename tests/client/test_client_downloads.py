"""Downloads that break, links that expire, files that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from client.flights import ROWS, ask, downloads
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import ResultUnreadable, Workspace
from cosphere_jupyter.client import download

# Frames


def test_a_broken_download_is_taken_up_where_it_broke(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    size = request._result().files[0].size
    server.break_after = [1000, 500, 1]
    assert request.to_arrow().num_rows == 1000
    ranges = [headers.get("Range") for _, path, headers in server.seen if path.endswith(".parquet")]
    assert ranges == [None, "bytes=1000-", "bytes=1500-", "bytes=1501-"]
    assert size > 1501


def test_a_server_without_ranges_sends_all_again(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    server.break_after = [1000]
    server.interceptors.append(lambda handler: handler.request.headers.pop("Range", None))
    assert ask(ws).to_arrow().num_rows == 1000
    assert len(downloads(server)) == 2


def test_a_download_that_never_gets_on_is_given_up(
    ws: Workspace, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(download, "BACK_OFF", 0.01)
    server.will_answer("flights", ROWS)
    server.break_after = [0] * 100
    with pytest.raises(ResultUnreadable, match=r"'part-0\.parquet' of the result could not be fetched") as caught:
        ask(ws).to_arrow()
    assert "signature" not in str(caught.value)
    assert len(downloads(server)) == download.ATTEMPTS
    assert not list((tmp_path / "cache").rglob("*.parquet"))


@pytest.mark.parametrize("wrong", [-10, 10])
def test_a_file_of_the_wrong_size_is_never_taken(
    ws: Workspace, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: int
):
    monkeypatch.setattr(download, "BACK_OFF", 0.01)
    server.publish("r", ROWS)
    manifest = json.loads((server.folder / "r" / "manifest.json").read_text())
    manifest["files"][0]["bytes"] += wrong
    (server.folder / "r" / "manifest.json").write_text(json.dumps(manifest))
    server.outcomes["flights"] = lambda request: server.finish(request, "r")
    with pytest.raises(ResultUnreadable, match="could not be fetched"):
        ask(ws).to_arrow()
    assert not list((tmp_path / "cache").rglob("*.parquet"))
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_an_expired_link_is_asked_for_again(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS, 3)
    request = ask(ws)
    _ = request.rows
    server.link_key = "second"
    assert request.to_arrow().num_rows == 1000
    # One read of the request gave fresh links to all files.
    assert len(server.paths("/downloader/requests/1")) == 1


def test_an_expired_link_to_the_manifest_is_asked_for_again(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    server.link_key = "second"
    assert request.rows == 1000


def test_no_credential_goes_with_a_signed_link(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    ask(ws).to_arrow()
    seen = [headers for _, path, headers in server.seen if "/results/" in path]
    assert len(seen) == 2
    assert not any("Authorization" in headers for headers in seen)


def test_names_of_the_server_are_no_paths_here(ws: Workspace, server: WorkspaceServer, tmp_path: Path):
    server.will_answer("flights", ROWS)
    request = ask(ws)
    manifest = request._result()
    file = download.File("../../../../evil.parquet", 1000, manifest.files[0].size, manifest.files[0].uri)
    request._manifest = download.Manifest(**{**vars(manifest), "files": (file,), "id": "../../evil"})
    assert request.to_arrow().num_rows == 1000
    assert not [path for path in tmp_path.rglob("*evil*") if "cosphere-results" not in path.parts]


def test_files_that_are_no_parquet_are_told(ws: Workspace, server: WorkspaceServer):
    server.publish("r", ROWS)
    path = server.folder / "r" / "part-0.parquet"
    path.write_bytes(b"\0" * path.stat().st_size)
    server.outcomes["flights"] = lambda request: server.finish(request, "r")
    with pytest.raises(ResultUnreadable, match="cannot be read"):
        ask(ws).to_arrow()


def test_a_result_with_fewer_rows_than_its_manifest_says_is_not_taken(ws: Workspace, server: WorkspaceServer):
    server.publish("r", ROWS)
    path = server.folder / "r" / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 1000', '"rows": 1001'))
    server.outcomes["flights"] = lambda request: server.finish(request, "r")
    with pytest.raises(ResultUnreadable, match="hold 1,000 rows, its manifest says 1,001"):
        ask(ws).to_arrow()


def test_a_download_leaves_no_parquet_behind(
    ws: Workspace, server: WorkspaceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    server.will_answer("flights", ROWS, 3)
    ask(ws).to_arrow()
    ask(ws).to_arrow(cache=False)
    assert not [path for path in tmp_path.rglob("*.parquet") if server.folder not in path.parents]


# Memory
