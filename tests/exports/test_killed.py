"""Children and servers that are killed while they make files: no half file, no lost download, no leftover."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from real_server import RealServer
from support import Api

ROUNDS = 8


async def busy_child(folder: Path, seconds: float = 30) -> int:
    """Wait for the child that writes a CSV file below ``folder``; return its process id."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                files = [Path(each.path) for each in child.open_files()]
            except psutil.Error:
                continue
            if any(path.is_relative_to(folder) and path.suffix == ".csv" and path.stat().st_size for path in files):
                return int(child.pid)
        assert asyncio.get_running_loop().time() < deadline, "no child writes anything"
        await asyncio.sleep(0.02)


async def big_request(owner: Api, root: Path, big_parquet: Path) -> int:
    os.link(big_parquet, root / "big.parquet")
    body = {"executor_type": "DUCKDB", "source": "big.parquet", "maintained_by_id": owner.account["id"]}
    item = (await owner.post("/catalogue/items/", {"name": "big", **body})).json
    spec = {"columns": ["n", "x"], "filters": [{"name": "n", "operator": "<", "value": 2_500_000}]}
    asked = await owner.post("/downloader/requests/", {"catalogue_item_id": item["id"], "spec": spec})
    request = await owner.settled(asked.json["id"], 120)
    assert request["task"]["status"] == "success", request["task"]
    return int(request["id"])


def folders(services: Any) -> set[str]:
    root = services.store.root
    return {folder.relative_to(root).as_posix() for folder in root.glob("??/*/*")}


@pytest.mark.slow
async def test_a_killed_child_is_replaced_once_and_twice_is_too_often(
    owner: Api, root: Path, services: Any, downloads: Any, big_parquet: Path
) -> None:
    request_id = await big_request(owner, root, big_parquet)
    before = folders(services)
    for kills in (1, 2):
        download = await downloads.ask(owner, "download_request", id=request_id)
        path = f"/api/downloads/{download['id']}"
        for _ in range(kills):
            pid = await busy_child(services.store.root)
            shown = (await owner.get(path)).json["download"]
            assert (shown["state"], shown["url"]) == ("running", None)
            assert (await owner.get(f"{path}/file")).status == 404
            os.kill(pid, signal.SIGKILL)
            while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
        settled = await downloads.settled(owner, download, 120)
        if kills == 1:
            assert settled["state"] == "done", settled
            answer = await downloads.file(owner, settled)
            table = downloads.read(answer.body, "csv")
            assert table.num_rows == 2_500_000
            [made] = folders(services) - before
            assert made.endswith("-2"), "what the second attempt wrote, and nothing of the first"
            before.add(made)
        else:
            assert (settled["state"], settled["url"]) == ("failed", None)
            assert settled["error"] == "worker killed by signal 9 (out of memory?) twice"
            await asyncio.sleep(0.5)
            assert folders(services) == before


@pytest.mark.slow
async def test_progress_is_shown_while_a_big_file_is_written(
    owner: Api, root: Path, services: Any, downloads: Any, big_parquet: Path
) -> None:
    request_id = await big_request(owner, root, big_parquet)
    download = await downloads.ask(owner, "download_request", id=request_id)
    seen = []
    while download["state"] not in ("done", "failed"):
        download = (await owner.get(f"/api/downloads/{download['id']}?wait=5")).json["download"]
        if download["progress"] is not None:
            seen.append(download["progress"])
    assert download["state"] == "done"
    assert seen == sorted(seen) and len(set(seen)) > 2
    assert 0 < seen[0] < 1 and seen[-1] <= 1


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.timeout(600)
def test_a_killed_server_loses_no_download_that_it_has_acknowledged(tmp_path: Path) -> None:
    server = RealServer(tmp_path)
    rows = 200_000
    pq.write_table(pa.table({"n": pa.array(range(rows), pa.int64())}), server.root / "numbers.parquet")
    server.start()
    request = server.settled(server.request(server.create_item("numbers", "numbers.parquet"))["id"])
    acknowledged: dict[str, str] = {}
    keys: dict[str, str] = {}
    for number in range(ROUNDS):
        clients = [
            threading.Thread(target=ask_until_killed, args=(server, request["id"], acknowledged, keys, f"{number}-{n}"))
            for n in range(4)
        ]
        for client in clients:
            client.start()
        time.sleep(0.3 + 0.15 * number)
        server.kill()
        for client in clients:
            client.join()
        check_what_lies_there(server)
        server.start()
    assert len(acknowledged) > ROUNDS
    # Whoever lost the answer asks again under the same key, and gets the download that was stored, or a new one.
    for key, download_type in list(keys.items()):
        again = ask(server, request["id"], download_type, key)
        assert again.status_code == 201, again.text
        acknowledged[again.json()["download"]["id"]] = download_type
    deadline = time.monotonic() + 240
    for download_id, download_type in acknowledged.items():
        while (download := shown(server, download_id))["state"] not in ("done", "failed"):
            assert time.monotonic() < deadline, download
        assert download["state"] == "done", download["error"]
        assert download["download_type"] == download_type
        content = fetch(server, download)
        if download_type == "download_request":
            assert content.count(b"\n") == rows + 1
    server.stop()
    with sqlite3.connect(server.data_dir / "cosphere.sqlite") as database:
        assert database.execute("SELECT count(*) FROM tasks WHERE completed_at IS NULL").fetchone() == (0,)
        stored = {row[0] for row in database.execute("SELECT id FROM typed_downloads")}
        named = {row[0] for row in database.execute("SELECT result_name FROM tasks WHERE result_name IS NOT NULL")}
        [(blob,)] = database.execute("SELECT blob_name FROM download_requests").fetchall()
    assert set(acknowledged) <= stored
    server.start()
    results = server.data_dir / "results"
    assert {folder.relative_to(results).as_posix() for folder in results.glob("??/*/*")} == {*named, blob}
    server.stop()
    print(f"{ROUNDS} kills: {len(acknowledged)} downloads acknowledged, 0 lost, no half file, no leftover")


def ask(server: RealServer, request_id: int, download_type: str, key: str) -> httpx.Response:
    info = {"id": request_id} if download_type == "download_request" else {}
    body = {"download": {"download_type": download_type, "info": info}}
    return server.call("POST", "/api/downloads", body, headers={"Idempotency-Key": key}, timeout=20)


def ask_until_killed(
    server: RealServer, request_id: int, acknowledged: dict[str, str], keys: dict[str, str], name: str
) -> None:
    number = 0
    try:
        while True:
            number += 1
            download_type = ("download_request", "catalogue", "tasks")[number % 3]
            keys[f"{name}-{number}"] = download_type
            answer = ask(server, request_id, download_type, f"{name}-{number}")
            if answer.status_code == 201:
                acknowledged[answer.json()["download"]["id"]] = download_type
                del keys[f"{name}-{number}"]
            time.sleep(0.05)
    except httpx.HTTPError:
        return


def shown(server: RealServer, download_id: str) -> dict[str, Any]:
    answer = server.call("GET", f"/api/downloads/{download_id}?wait=5")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["download"])


def fetch(server: RealServer, download: dict[str, Any]) -> bytes:
    origin = server.url.removesuffix("/base/")
    found = server.call("GET", origin + download["url"])
    assert found.status_code == 302
    answer = httpx.get(origin + found.headers["Location"], trust_env=False)
    assert answer.status_code == 200
    return answer.content


def check_what_lies_there(server: RealServer) -> None:
    """Between kill and start: what is visible is whole."""
    time.sleep(0.2)
    for manifest in (server.data_dir / "results").glob("??/*/*/manifest.json"):
        if manifest.parent.suffix != ".partial":
            for file in httpx.Response(200, content=manifest.read_bytes()).json()["files"]:
                assert (manifest.parent / file["name"]).stat().st_size == file["bytes"], file
