"""From a download request to a bundle: ``bundles/freeze`` (ours)."""

from __future__ import annotations

from ...bundles.freeze import Wanted
from .base import attributes_of
from .bundles import BundleDocumentsHandler


class FreezeHandler(BundleDocumentsHandler):
    """``/bundles/freeze``: ``{"data": {"type": "bundles", "attributes": {"request_id", "name", "worksheet"}}}``."""

    async def post(self) -> None:
        """Make a dataset of a request's result and answer with it, in a list as POST /bundles does."""
        wanted = Wanted.of(attributes_of(await self.one_resource("bundles")))
        uuid = await self.services.freezing.freeze(wanted, self.account)
        await self.send_bundles(await self.services.bundles.read([uuid], self.reader, self.wanted))
