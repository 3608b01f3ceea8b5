"""What belongs to an object in the iffSamples face: files, comments, related objects, and the log of all objects."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import orjson

from ..objects.comments import Comment
from ..objects.files import ObjectFile
from ..objects.log import LogEntry
from ..permissions.service import Level
from .objects import references
from .samples import SamplesHandler


def file_entity(file: ObjectFile) -> dict[str, Any]:
    """Return a file as it is shown, without its content."""
    shown: dict[str, Any] = {"object_id": file.object_id, "file_id": file.file_id, "storage": file.storage}
    if file.storage == "url":
        return {**shown, "url": file.url}
    told = {"algorithm": file.hash_algorithm, "hexdigest": file.hash_hexdigest}
    return {**shown, "original_file_name": file.original_file_name, "hash": told}


def comment_entity(comment: Comment) -> dict[str, Any]:
    """Return a comment as it is shown."""
    return {
        "object_id": comment.object_id,
        "comment_id": comment.comment_id,
        "user_id": comment.user_id,
        "content": comment.content,
        "utc_datetime": f"{comment.created_at:%Y-%m-%dT%H:%M:%S.%f}",
    }


def log_entity(entry: LogEntry) -> dict[str, Any]:
    """Return an entry of the log as it is shown."""
    return {
        "log_entry_id": entry.id,
        "type": entry.type,
        "object_id": entry.object_id,
        "user_id": entry.user_id,
        "data": entry.data,
        "utc_datetime": f"{entry.created_at:%Y-%m-%d %H:%M:%S}",
        "is_imported": False,
    }


def _with_content(shown: dict[str, Any], content: bytes) -> bytes:
    # What is encoded needs no escapes, and there may be megabytes of it.
    return b'%s,"base64_content":"%s"}' % (orjson.dumps(shown)[:-1], base64.b64encode(content))


class FilesHandler(SamplesHandler):
    """``/objects/{object_id}/files/``."""

    async def get(self, object_id: str) -> None:
        """List the files, without their content."""
        found = await self.services.object_files.bulk_read(self.path_id(object_id), self.account)
        self.send_json([file_entity(file) for file in found])

    async def post(self, object_id: str) -> None:
        """Add a file or a link."""
        number, service = self.path_id(object_id), self.services.object_files
        await self.services.objects.demand(number, self.account, Level.WRITE)
        file = await service.create(number, await self.json_body(), self.account)
        self.send_created(file_entity(file), "objects", number, "files", file.file_id)


class FileHandler(SamplesHandler):
    """``/objects/{object_id}/files/{file_id}``."""

    async def get(self, object_id: str, file_id: str) -> None:
        """Show a file with its content."""
        ids = self.path_id(object_id), self.path_id(file_id)
        file, content = await self.services.object_files.read(*ids, self.account)
        if file.storage == "database":
            self.send_rendered(await asyncio.to_thread(_with_content, file_entity(file), content))
        else:
            self.send_json(file_entity(file))


class CommentsHandler(SamplesHandler):
    """``/objects/{object_id}/comments/``."""

    async def get(self, object_id: str) -> None:
        """List the comments."""
        found = await self.services.object_comments.bulk_read(self.path_id(object_id), self.account)
        self.send_json([comment_entity(comment) for comment in found])

    async def post(self, object_id: str) -> None:
        """Add one."""
        number, service = self.path_id(object_id), self.services.object_comments
        await self.services.objects.demand(number, self.account, Level.WRITE)
        comment = await service.create(number, await self.json_body(), self.account)
        self.send_created(comment_entity(comment), "objects", number, "comments", comment.comment_id)


class CommentHandler(SamplesHandler):
    """``/objects/{object_id}/comments/{comment_id}``."""

    async def get(self, object_id: str, comment_id: str) -> None:
        """Show one."""
        ids = self.path_id(object_id), self.path_id(comment_id)
        self.send_json(comment_entity(await self.services.object_comments.read(*ids, self.account)))


class RelatedObjectsHandler(SamplesHandler):
    """``/objects/{object_id}/related_objects``."""

    async def get(self, object_id: str) -> None:
        """Show which readable objects refer to it, and to which it refers, in their current versions."""
        referencing, referenced = await self.services.objects.related(self.path_id(object_id), self.account)
        shown = {"referencing_objects": referencing, "referenced_objects": referenced}
        self.send_json({key: references(ids) for key, ids in shown.items()})


class ObjectLocationsHandler(SamplesHandler):
    """``/objects/{object_id}/locations/``: nobody tells a workspace where things lie."""

    async def get(self, object_id: str) -> None:
        """Show that there are none."""
        await self.services.objects.demand(self.path_id(object_id), self.account, Level.READ)
        self.send_json([])


class ObjectLogHandler(SamplesHandler):
    """``/object_log_entries/``."""

    async def get(self) -> None:
        """List what was done to readable objects, newest first, after the entry of ``after_id``."""
        after = self.argument("after_id") or ""
        entry_id = int(after) if re.fullmatch(r"[0-9]{1,15}", after) else 0
        found = await self.services.object_log.after(entry_id, self.account)
        self.send_rendered(await asyncio.to_thread(lambda: orjson.dumps([log_entity(entry) for entry in found])))
