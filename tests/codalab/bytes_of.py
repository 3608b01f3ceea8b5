"""What tests of contents share: bundles that wait for contents, sending them, reading them, archives of every kind."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any
from urllib.parse import quote, urlencode

from support import Answer, Api
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

CONTENTS = "/rest/bundles/{uuid}/contents"
COMMAND_LINE = {"X-Requested-With": "XMLHttpRequest"}


class Shelf:
    """Bundles of one account, and calls of it or of others; errors are plain text."""

    def __init__(self, caller: Api, services: Any) -> None:
        self.caller = caller
        self.services = services

    async def bundle(self, name: str = "data", **values: Any) -> str:
        """Store a bundle, which waits for contents unless ``state`` is another, and return its uuid."""
        from cosphere_jupyter.bundles.records import NewBundle, store_bundle

        columns = {"owner_id": self.caller.account["id"], "bundle_type": "dataset", "state": "uploading", **values}
        new = NewBundle(metadata={"name": name}, **columns)
        await self.services.database.write(lambda connection: store_bundle(connection, new))
        return new.uuid

    async def stored(self, uuid: str) -> Any:
        """The bundle as it is stored."""
        from cosphere_jupyter.bundles.records import read_bundle

        return await self.services.database.read(lambda connection: read_bundle(connection, uuid))

    async def used(self) -> int:
        """The bytes that the account is charged."""
        from cosphere_jupyter.bundles.usage import read_usage

        account_id = self.caller.account["id"]
        found = await self.services.database.read(lambda connection: read_usage(connection, account_id))
        return int(found.disk_used)

    async def send(
        self, uuid: str, content: bytes, filename: str | None = None, caller: Api | None = None, **query: Any
    ) -> Answer:
        """Send contents by PUT."""
        asked = {**({} if filename is None else {"filename": filename}), **query}
        path = f"{CONTENTS.format(uuid=uuid)}/blob/?{urlencode(asked)}"
        return await (caller or self.caller)("PUT", path, raw=content, headers=COMMAND_LINE)

    async def filled(self, content: bytes, filename: str, name: str = "data") -> str:
        """Make a bundle with contents and return its uuid."""
        uuid = await self.bundle(name)
        sent = await self.send(uuid, content, filename)
        assert (sent.status, sent.body) == (200, b""), sent.body
        return uuid

    async def info(self, uuid: str, path: str = "", caller: Api | None = None, **query: Any) -> Answer:
        """Ask what lies at a path."""
        return await self._get(uuid, "info", path, caller, query, {})

    async def blob(
        self, uuid: str, path: str = "", caller: Api | None = None, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        """Ask for the bytes at a path."""
        return await self._get(uuid, "blob", path, caller, query, headers or {})

    async def _get(
        self, uuid: str, what: str, path: str, caller: Api | None, query: dict[str, Any], headers: dict[str, str]
    ) -> Answer:
        where = f"{CONTENTS.format(uuid=uuid)}/{what}/{quote(path, safe='/')}?{urlencode(query)}"
        return await fetch(caller or self.caller, where, headers)


async def fetch(caller: Api, path: str, headers: dict[str, str]) -> Answer:
    """Get what lies at a path, with these headers only; gzip is taken off the body, not off the headers."""
    known = {} if caller.authorization is None else {"Authorization": caller.authorization}
    request = HTTPRequest(
        caller.base + path,
        headers={**known, **COMMAND_LINE, **headers},
        decompress_response=False,
        follow_redirects=False,
        request_timeout=60,
    )
    response = await AsyncHTTPClient().fetch(request, raise_error=False)
    body = response.body or b""
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return Answer(response.code, response.headers, body)


async def tree(shelf: Shelf) -> str:
    """Make a bundle with folders, files and links, and return its uuid."""
    packed = tar_of(
        ("a.txt", b"hello\n"),
        ("sub/inner", b"\0\1\2"),
        ("sub/deep/x.csv", b"1,2\n"),
        special("link", tarfile.SYMTYPE, "a.txt"),
        special("dirlink", tarfile.SYMTYPE, "sub"),
        special("loop", tarfile.SYMTYPE, "loop"),
    )
    return await shelf.filled(packed, "tree.tar.gz", name="tree")


async def give(shelf: Shelf, uuid: str, account: Api | None) -> None:
    """Let somebody read a bundle; everybody, if it is nobody."""
    from cosphere_jupyter.permissions.service import EVERYONE, Level, Permission, Subject
    from cosphere_jupyter.permissions.service import give as give_permission

    subject = EVERYONE if account is None else Subject("account", account.account["id"])
    bundle = await shelf.stored(uuid)
    permission = Permission(subject, Level.READ)
    await shelf.services.database.write(lambda c: give_permission(c, "bundle", bundle.id, permission))


def told(answer: Answer) -> tuple[int, str]:
    """The status and the text of an answer."""
    return answer.status, answer.body.decode()


def tar_of(*members: Any, mode: str = "w:gz") -> bytes:
    """Return an archive of members: (name, bytes) of a file, or a ``TarInfo``, with its bytes or without."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def special(name: str, type_: bytes, linkname: str = "", **values: Any) -> tarfile.TarInfo:
    """Return a member that is no file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, linkname
    for key, value in values.items():
        setattr(info, key, value)
    return info


def unpacked(answer: Answer) -> dict[str, Any]:
    """What an archive holds: bytes of files, targets of links, None for folders."""
    with tarfile.open(fileobj=io.BytesIO(answer.body), mode="r:gz") as tar:
        found = {}
        for member in tar:
            data = tar.extractfile(member) if member.isreg() else None
            found[member.name] = data.read() if data else member.linkname or None
        return found
