"""What stands behind the table: paths without their slash, and paths that nothing serves."""

from __future__ import annotations

from tornado.web import HTTPError

from .cosphere import CosphereHandler


class SlashHandler(CosphereHandler):
    """A collection's path without its slash: GET goes to the right one, everything else must say it right."""

    def get(self) -> None:
        """Redirect for good."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{self.request.path}/{query}", permanent=True)


class NotFoundHandler(CosphereHandler):
    """Everything else below the mount point: a JSON 404, because Jupyter's own page holds its token."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse whatever the method."""
        raise HTTPError(404)
