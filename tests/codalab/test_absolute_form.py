"""Uploads as the command line sends them: a whole URL as the request line, chunks, and zeros while it waits."""

from __future__ import annotations

from typing import Any

from codalab.bytes_of import CONTENTS, Shelf
from codalab.wire import Wire
from support import Api


def url_of(wire: Wire, uuid: str, host: str | None = None, scheme: str = "http") -> str:
    return f"{scheme}://{host or wire.place.netloc}{wire.place.path}{CONTENTS.format(uuid=uuid)}/blob/"


async def test_a_whole_url_is_taken_as_the_request_line(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        line = f"PUT {url_of(wire, uuid)}?filename=x.txt&unpack=1 HTTP/1.1"
        await wire.send(line, Transfer_Encoding="chunked", Connection="close", Accept_Encoding="identity")
        await wire.chunk(b"in ")
        await wire.chunk(b"pieces")
        await wire.chunk(b"")
        # While it waits for the answer.
        wire.writer.write(b"\0")
        assert await wire.answer() == (200, "")
        assert await wire.is_closed()
    async with Wire(shelf.caller) as wire:
        await wire.send(f"GET {url_of(wire, uuid, scheme='HTTP')} HTTP/1.1", Accept_Encoding="identity")
        assert await wire.answer() == (200, "in pieces")


async def test_zeros_after_the_body_break_nothing_that_follows(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x")
        await wire.chunk(b"mine")
        await wire.chunk(b"")
        wire.writer.write(b"\0\0\0")
        assert await wire.answer() == (200, "")
        # Whoever keeps connections knows not to keep this one.
        assert wire.headers["connection"] == "close"
        wire.writer.write(b"\0")
        assert await wire.is_closed()
    assert (await shelf.blob(uuid)).body == b"mine"


async def test_who_asks_before_sending_is_answered_before_sending(shelf: Shelf) -> None:
    ready, waiting = await shelf.bundle(state="ready"), await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        line = f"PUT {url_of(wire, ready)}?filename=x HTTP/1.1"
        await wire.send(line, Expect="100-continue", Content_Length="5")
        assert await wire.answer() == (403, "Contents cannot be modified, bundle already finalized.")
    async with Wire(shelf.caller) as wire:
        line = f"PUT {url_of(wire, waiting)}?filename=x HTTP/1.1"
        await wire.send(line, Expect="100-continue", Content_Length="5")
        assert await wire.answer() == (100, "")
        wire.writer.write(b"bytes")
        assert await wire.answer() == (200, "")


async def test_the_url_says_which_host_is_meant(shelf: Shelf, jp_serverapp: Any) -> None:
    uuid = await shelf.filled(b"x", "x")
    async with Wire(shelf.caller) as wire:
        await wire.send(f"GET {url_of(wire, uuid, host='evil.example:80')} HTTP/1.1")
        status, _ = await wire.answer()
        assert status == 403
    async with Wire(shelf.caller) as wire:
        await wire.send(f"GET {url_of(wire, uuid, host='localhost')} HTTP/1.1", Accept_Encoding="identity")
        assert await wire.answer() == (200, "x")


async def test_urls_of_others_are_left_as_they_are(shelf: Shelf) -> None:
    for path in ("/api/status", "/", "", "/lab", "//", "/cosphere/rest/bundles/", "/../cosphere", "/a%40b/api/status"):
        async with Wire(shelf.caller) as wire:
            await wire.send(f"GET http://{wire.place.netloc}{path} HTTP/1.1")
            status, _ = await wire.answer()
            # Jupyter knows no such path, and sends whoever asks to its own.
            assert status in (302, 404), path


async def test_a_bearer_needs_no_xsrf_cookie_and_an_ambient_cookie_does(shelf: Shelf, owner: Api) -> None:
    uuid = await shelf.bundle()
    path = f"{CONTENTS.format(uuid=uuid)}/blob/?filename=x"
    assert (await shelf.caller("PUT", path, raw=b"x")).status == 200
    assert (await owner.of(None)("PUT", path, raw=b"x", headers={"Cookie": "_xsrf=1"})).status in (401, 403)
