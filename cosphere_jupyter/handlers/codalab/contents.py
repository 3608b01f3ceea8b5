"""What lies in a bundle: ``contents/info``."""

from __future__ import annotations

import asyncio

import orjson

from .base import API_VERSION, CodaLabHandler


class InfoHandler(CodaLabHandler):
    """``/rest/bundles/{uuid}/contents/info/[path]?depth=``."""

    async def get(self, uuid: str, path: str) -> None:
        """Say what lies at a path, and in it down to ``depth``."""
        depth = self.integer("depth", 0)
        found = await self.services.bundle_contents.info(uuid, path, depth, self.reader)
        # A folder of many thousand files takes its time to write.
        body = {"data": found, "meta": {"version": API_VERSION}}
        self.send_rendered(await asyncio.to_thread(orjson.dumps, body))
