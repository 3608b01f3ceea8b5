"""Results over HTTP: manifest, files with ranges, the archive of several, and what is refused."""

from __future__ import annotations

import asyncio
import io
import tarfile
import time

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def ready(owner, numbers_item, run):
    async def make():
        spec = {"columns": ["n", "half"], "filters": []}
        created = await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
        return await owner.settled(created.json["id"])

    return run(make())


async def test_the_download_uri_is_a_parquet_file_that_needs_no_other_credential(ready, anybody):
    answer = await anybody.get(ready["download_uri"])
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    table = pq.read_table(io.BytesIO(answer.body))
    assert table.column_names == ["n", "half"]
    assert table.num_rows == 1000
    assert len(answer.body) == ready["real_size"]


async def test_the_manifest_names_the_files_with_links_of_their_own(ready, anybody):
    manifest = (await anybody.get(ready["manifest_uri"])).json
    assert manifest["rows"] == 1000
    assert manifest["bytes"] == ready["real_size"] == sum(file["bytes"] for file in manifest["files"])
    assert manifest["schema"] == [{"name": "n", "type": "int64"}, {"name": "half", "type": "double"}]
    for file in manifest["files"]:
        assert len((await anybody.get(file["uri"])).body) == file["bytes"]


async def test_ranges_give_parts_of_a_file(ready, anybody):
    whole = (await anybody.get(ready["download_uri"])).body
    size = len(whole)
    cases = {
        "bytes=0-3": (206, whole[:4], f"bytes 0-3/{size}"),
        "bytes=4-": (206, whole[4:], f"bytes 4-{size - 1}/{size}"),
        "bytes=-4": (206, whole[-4:], f"bytes {size - 4}-{size - 1}/{size}"),
        f"bytes=0-{size * 2}": (206, whole, f"bytes 0-{size - 1}/{size}"),
        f"bytes={size}-": (416, b"", f"bytes */{size}"),
        "bytes=5-2": (416, b"", f"bytes */{size}"),
        "bytes=-0": (416, b"", f"bytes */{size}"),
        "bytes=-": (200, whole, None),
        "bytes=0-1,3-4": (200, whole, None),
        "lines=0-1": (200, whole, None),
        "bytes=a-b": (200, whole, None),
    }
    for header, (status, body, content_range) in cases.items():
        answer = await anybody.get(ready["download_uri"], headers={"Range": header})
        assert (answer.status, answer.body, answer.headers.get("Content-Range")) == (status, body, content_range), (
            header
        )


async def test_head_gives_the_headers_alone(ready, anybody):
    answer = await anybody("HEAD", ready["download_uri"])
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == ready["real_size"]


async def test_without_a_good_signature_nothing_is_given(ready, anybody, owner):
    bare, query = ready["download_uri"].split("?")
    manifest_query = ready["manifest_uri"].split("?")[1]
    assert (await anybody.get(bare)).status == 400
    assert (await owner.get(bare)).status == 400
    for wrong in (manifest_query, query.replace("expires=", "expires=9"), query[:-2], "expires=x&signature=y"):
        assert (await anybody.get(f"{bare}?{wrong}")).status == 403, wrong


async def test_a_result_of_several_files_is_given_as_an_archive(ready, services, anybody):
    """The store's own files, as a big result has them."""
    name = ready["blob_name"]
    store = services.store
    other = name[:-1] + "2"
    folder = store.begin(other)
    whole = store.file(name, "part-0.parquet").read_bytes()
    files = [{"name": f"part-{n}.parquet", "bytes": len(whole), "rows": 1000} for n in range(3)]
    for file in files:
        (folder / file["name"]).write_bytes(whole)
    store.publish(other, {"files": files, "rows": 3000, "bytes": 3 * len(whole)})
    mount = ready["download_uri"].split("/results/")[0]
    answer = await anybody.get(f"{mount}/results/{services.links.sign(other, 'parts.tar')}")
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as archive:
        assert archive.getnames() == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
        assert all(archive.extractfile(member).read() == whole for member in archive)


async def test_a_big_download_leaves_the_event_loop_to_others(ready, services, anybody):
    """The server shares this loop with notebooks: it must turn many times during a download of 400 MB."""
    name = ready["blob_name"]
    big = name[:-1] + "3"
    folder = services.store.begin(big)
    size = 400 * 2**20
    with (folder / "part-0.parquet").open("wb") as file:
        file.truncate(size)
    services.store.publish(
        big, {"files": [{"name": "part-0.parquet", "bytes": size, "rows": 1}], "rows": 1, "bytes": size}
    )
    mount = ready["download_uri"].split("/results/")[0]
    received, stalls = await asyncio.gather(
        _download(f"{mount}/results/{services.links.sign(big, 'part-0.parquet')}"), _longest_stalls()
    )
    assert received == size
    # The whole takes about a second: had one callback sent it all, there would be a handful of turns.
    assert len(stalls) > 100


async def _download(url):
    """Read a response without keeping it, as another process would."""
    from urllib.parse import urlsplit

    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(
        next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1]
    )
    received = 0
    while received < length and (chunk := await reader.read(2**20)):
        received += len(chunk)
    writer.close()
    return received


async def _longest_stalls():
    turns, end = [], time.monotonic() + 1
    while time.monotonic() < end:
        before = time.monotonic()
        await asyncio.sleep(0)
        turns.append(time.monotonic() - before)
    return turns
