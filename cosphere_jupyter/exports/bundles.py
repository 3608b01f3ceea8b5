"""The contents of a bundle as one archive: ``{"uuid": "0x…", "path": "a/part/of/it"}``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..accounts.service import Account
from ..errors import AccessDenied, ExecutionError, FieldsInvalid, Invalid, NotFound
from ..tasks.engine import Call
from .types import DownloadType, Info


class Place(Protocol):
    """Where contents lie: names below a root, and what they are called."""

    @property
    def root(self) -> Path:
        """The folder or file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that lead to them."""

    @property
    def name(self) -> str:
        """What a download of them is called."""


# Returns where a path of a bundle lies, if the caller may read that.
Find = Callable[[str, str, Account], Awaitable[Place]]


class BundleType(DownloadType):
    """A bundle, or a part of it, as ``.tar.gz``."""

    name = "bundle"
    description = "The contents of a bundle, or what lies at info.path in it, as an archive; info.uuid is the bundle's."
    formats = ("tar.gz",)

    def __init__(self, find: Find) -> None:
        self._find = find

    async def accept(self, info: Mapping[str, Any], caller: Account) -> Info:
        """Return the bundle and the path; ``FieldsInvalid`` if the caller can read nothing there."""
        options, uuid, path = self.options(info), info.get("uuid"), info.get("path", "")
        if not isinstance(uuid, str):
            raise FieldsInvalid({"info.uuid": ["the uuid of a bundle is required"]})
        if not isinstance(path, str):
            raise FieldsInvalid({"info.path": ["must be a path in the bundle"]})
        try:
            await self._find(uuid, path, caller)
        except (AccessDenied, NotFound, Invalid) as error:
            raise FieldsInvalid({"info.uuid": [str(error)]}) from None
        return {"uuid": uuid, "path": path, **options}

    async def may_read(self, info: Info, caller: Account) -> bool:
        """Whether the caller may still read the bundle; what is gone was read before."""
        try:
            await self._find(info["uuid"], info["path"], caller)
        except AccessDenied:
            return False
        except (NotFound, Invalid):
            return True
        return True

    async def prepare(self, info: Info, caller: Account, folder: Path) -> Call:
        """Name what is to be packed."""
        try:
            place = await self._find(info["uuid"], info["path"], caller)
        except (AccessDenied, NotFound, Invalid) as error:
            raise ExecutionError(str(error)) from None
        params = {
            "root": str(place.root),
            "names": list(place.names),
            "name": place.name,
            # Named by the bundle's uuid: what people call it may be anything.
            "file": str(folder / f"{info['uuid']}.{info['format']}"),
        }
        return Call("cosphere_jupyter.bundles.packing:pack", params)
