"""Requests written by hand, for what no client of ours sends: whole URLs, bodies in pieces, bytes that are none."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from codalab.bytes_of import CONTENTS, Shelf
from support import Api


class Wire:
    """A connection to the server of a caller."""

    def __init__(self, caller: Api) -> None:
        self.caller = caller
        self.place = urlsplit(caller.base)

    async def __aenter__(self) -> Wire:
        self.reader, self.writer = await asyncio.open_connection(self.place.hostname, self.place.port)
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.transport.abort()

    async def send(self, *lines: str, **headers: str) -> None:
        """Send a request line and headers; ``Host`` and who calls are added."""
        known = [f"Host: {self.place.netloc}", f"Authorization: {self.caller.authorization}", "X-Requested-With: x"]
        given = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, *known, *given, "", ""]).encode())
        await self.writer.drain()

    async def put(self, uuid: str, filename: str, length: int | None = None, **query: Any) -> None:
        """Begin an upload; in chunks, unless its length is given."""
        path = f"{self.place.path}{CONTENTS.format(uuid=uuid)}/blob/?{urlencode({'filename': filename, **query})}"
        how = {"Transfer_Encoding": "chunked"} if length is None else {"Content_Length": str(length)}
        await self.send(f"PUT {path} HTTP/1.1", **how)

    async def chunk(self, data: bytes) -> None:
        """Send a piece of the body; an empty one ends it."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def taken(self, shelf: Shelf, uuid: str, size: int) -> None:
        """Wait until the server has taken so many bytes for a bundle."""
        running = shelf.services.uploads._running
        for _ in range(500):
            if uuid in running and running[uuid].count == size:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"the server did not take {size} bytes")

    async def answer(self) -> tuple[int, str]:
        """Return status and body of the next answer."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        status, *lines = head.decode().split("\r\n")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await self.reader.readexactly(int(self.headers.get("content-length", 0)))
        return int(status.split()[1]), body.decode()

    async def is_closed(self) -> bool:
        """Whether the server ends the connection, soon."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 10) == b""
        except ConnectionError:
            return True
        except asyncio.TimeoutError:
            return False
