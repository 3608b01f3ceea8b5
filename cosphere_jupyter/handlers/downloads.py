"""The Downloads API: create, show and fetch typed downloads; ours are the types and who may ask for which.

Errors are ``{"errors": [text, …]}``. This is the one place in which the error tree becomes this face's statuses.
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from ..errors import (
    AccessDenied,
    BodyUnreadable,
    Conflict,
    FieldsInvalid,
    IdentityRefused,
    Invalid,
    NotFound,
    QueryInvalid,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from ..exports.service import Download
from .access import Route
from .base import BaseHandler
from .fields import Field, Integer, Json, Text, parse_body
from .permissions import FIELDS as PERMISSION_FIELDS
from .permissions import entities_of, permissions_of

LONGEST_WAIT = 30
LONGEST_KEY = 255
LARGEST_INFO = 100

_HTTP_TEXTS = {
    400: "the request cannot be read",
    403: "this may not be done from another page",
    404: "there is nothing at this path",
    405: "this method is not served here",
    413: "the body is too large",
}


def _download_errors(download: Any) -> list[str]:
    return [] if isinstance(download, dict) else ["An object is required."]


def _info_errors(info: Any) -> list[str]:
    return [] if isinstance(info, dict) and len(info) <= LARGEST_INFO else ["An object is required."]


CREATE_FIELDS: dict[str, Field] = {"download": Json(_download_errors)}
DOWNLOAD_FIELDS: dict[str, Field] = {
    "download_type": Text(64),
    "info": Json(_info_errors, required=False, null=True, default=None),
}
READ_FIELDS: dict[str, Field] = {"wait": Integer(0, LONGEST_WAIT, default=0)}


class DownloadsFace(BaseHandler):
    """Base of the Downloads face."""

    def initialize(self, name: str, route: Route | None = None) -> None:
        """Forget the Content-Type: bodies are JSON whatever they say, so tornado shall not parse forms."""
        super().initialize(name, route)
        self.request.headers.pop("Content-Type", None)

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and body for an error."""
        status, texts = _describe(error, status)
        return status, {"errors": texts}

    def path_of(self, download: Download) -> str:
        """Return the relative URL of a download."""
        return f"{self.services.mount(self.base_url)}api/downloads/{download.id}"

    def entity(self, download: Download) -> dict[str, Any]:
        """Return a DownloadResponse; ``created_at``, ``progress`` (0 to 1), ``error`` and ``task`` are ours."""
        return {
            "id": download.id,
            "download_type": download.download_type,
            "user_id": str(download.account_id),
            "state": download.state,
            "url": f"{self.path_of(download)}/file" if download.state == "done" else None,
            "created_at": download.created_at,
            "progress": self.services.exports.progress_of(download),
            "error": download.error,
            "task": download.task and download.task.key,
        }


def _describe(error: BaseException | None, status: int) -> tuple[int, list[str]]:
    if isinstance(error, BodyUnreadable):
        return 422, ["the body is not JSON"]
    if isinstance(error, Invalid):
        return 400 if isinstance(error, QueryInvalid) else 422, _texts(error)
    if isinstance(error, Unauthenticated):
        return 401, [_sentence(error.reason)]
    if isinstance(error, AccessDenied):
        return 403, [str(error)]
    if isinstance(error, NotFound):
        return 404, [str(error)]
    if isinstance(error, Conflict):
        return 409, [_sentence(error.event)]
    if isinstance(error, IdentityRefused):
        return 401, ["who is said to be calling cannot be confirmed"]
    if isinstance(error, TooManyAttempts):
        return 429, [str(error)]
    if isinstance(error, QuotaExceeded):
        return 422, [str(error)]
    if isinstance(error, Unavailable):
        return 503, [str(error)]
    if isinstance(error, HTTPError) and status < 500:
        return status, [_HTTP_TEXTS.get(status, "the request cannot be served")]
    return 500, ["an unexpected error; the server's log tells more"]


def _texts(error: Invalid) -> list[str]:
    """Name the field before each text, but for those about the whole."""
    return [
        text if field in ("non_field_errors", "__all__") else f"{field}: {text}"
        for field, messages in (error.errors or {}).items()
        for text in messages
    ]


def _sentence(event: str) -> str:
    return event.replace("_", " ").lower()


class DownloadsHandler(DownloadsFace):
    """``/api/downloads``."""

    async def post(self) -> None:
        """Create a new download; asked twice with one ``Idempotency-Key``, it is the same."""
        outer = await self.body(CREATE_FIELDS)
        try:
            values = parse_body(DOWNLOAD_FIELDS, outer["download"])
            download = await self.services.exports.create(**values, caller=self.account, idempotency_key=self._key())
        except FieldsInvalid as error:
            raise FieldsInvalid(_inside_download(error)) from None
        self.set_header("Location", self.path_of(download))
        self.send_json({"download": self.entity(download)}, 201)

    def _key(self) -> str | None:
        keys = self.request.headers.get_list("Idempotency-Key")
        if not keys:
            return None
        if len(keys) > 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isprintable():
            raise FieldsInvalid({IDEMPOTENCY_KEY: [f"must be one text of at most {LONGEST_KEY} characters"]})
        return keys[0]


IDEMPOTENCY_KEY = "Idempotency-Key"


def _inside_download(error: FieldsInvalid) -> dict[str, Any]:
    """Name the fields as they stand in the body."""
    errors = error.errors or {}
    return {field if field == IDEMPOTENCY_KEY else f"download.{field}": errors[field] for field in errors}


class DownloadHandler(DownloadsFace):
    """``/api/downloads/{download_id}``."""

    async def get(self, download_id: str) -> None:
        """Show a download; with ``wait`` (seconds, at most 30) answers at its next change or its end."""
        seconds = self.query(READ_FIELDS)["wait"]
        self.counts_as_activity = not seconds
        download = await self.services.exports.wait(download_id, self.account, seconds)
        self.send_json({"download": self.entity(download)})


class DownloadFileHandler(DownloadsFace):
    """``/api/downloads/{download_id}/file``."""

    async def get(self, download_id: str) -> None:
        """Lead to the file by a signed link that is made anew each time."""
        result_name, file_name = await self.services.exports.file(download_id, self.account)
        link = self.services.links.sign(result_name, file_name)
        self.set_status(302)
        self.set_header("Location", f"{self.services.mount(self.base_url)}results/{link}")
        self.finish()


class DownloadTypesHandler(DownloadsFace):
    """``/api/download_types``: ours."""

    async def get(self) -> None:
        """List the types that the caller may see; ``level`` is "read", or "write" if new ones may be asked for."""
        found = await self.services.exports.types(self.account)
        entities = [
            {
                "name": each.name,
                "description": each.description,
                "formats": each.formats,
                "level": level.name.lower(),
            }
            for each, level in found
        ]
        self.send_json({"download_types": entities})


class DownloadTypePermissionsHandler(DownloadsFace):
    """``/api/download_types/{name}/permissions``: ours."""

    async def get(self, name: str) -> None:
        """Say who may see ("read") and ask for ("write") downloads of a type."""
        self.send_json({"permissions": entities_of(await self.services.exports.permissions(name))})

    async def put(self, name: str) -> None:
        """Replace that: what is sent is all that is given from then on."""
        wanted = permissions_of(await self.body(PERMISSION_FIELDS))
        self.send_json({"permissions": entities_of(await self.services.exports.set_permissions(name, wanted))})


class DownloadsNotFoundHandler(DownloadsFace):
    """Every other path of this face: a 404 in its own shape."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse whatever the method."""
        raise HTTPError(404)
