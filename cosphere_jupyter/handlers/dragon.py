"""The tasks API's face (Dragon): who may use it, how its parameters are read, and its errors' shape.

Source: the Dragon tasks API, "General notes", "Authentication" and "HTTP Status codes". This is the one place in which
the error tree becomes this face's statuses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar, TypeVar

from tornado.web import Finish, HTTPError

from ..accounts.identity import IdentityChain
from ..accounts.service import Account
from ..accounts.task_credentials import as_written, origin_of
from ..errors import (
    AccessDenied,
    BodyUnreadable,
    Conflict,
    FieldsInvalid,
    Invalid,
    NotFound,
    QueryInvalid,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from ..json_values import is_storable
from ..tasks.records import Task
from .access import Access, Route
from .base import PARSE_ON_LOOP, BaseHandler
from .dragon_statuses import UNKNOWN, StatusRenderer
from .fields import Boolean, Field, FieldError

T = TypeVar("T")

RENDERER = "cosphere_task_statuses"
LARGEST_BODY = 2 * 1024 * 1024
# Preflights of a page may be remembered for so long, in seconds.
PREFLIGHT_SECONDS = 600

REFUSALS = {
    "COULD_NOT_FIND_AUTH_TOKEN": "credentials are missing, or their scheme is not known",
    "TASK_CREDENTIAL_WAS_BROKEN": "this secret or API key is not valid",
    "REFERER_IS_NOT_IN_WHITELIST": "the Referer of this request is not in the whitelist of the API key",
    "WRONG_EMAIL_OR_PASSWORD_DETECTED": "the name or the password is wrong",
    "TWO_CREDENTIALS_DETECTED": "more than one credential was sent",
    "SECRET_IN_URL_DETECTED": "a secret does not belong into a URL: send it in the body or the Authorization header",
    "API_KEY_IN_URL_DETECTED": "only a GET takes its API key from the URL",
}
_HTTP_TEXTS = {404: "there is nothing here", 405: "this method is not allowed here", 413: "the body is too large"}


class DragonHandler(BaseHandler):
    """Base of the tasks API."""

    challenge: ClassVar[str] = 'Secret realm="cosphere", Api-Key realm="cosphere"'
    takes_api_keys: ClassVar[bool] = True

    # The JSON body of a POST: what it says of credentials counts before the rest is looked at.
    _json: Any = None
    _is_json_bad = False
    _allowed_origin: str | None = None
    _work: asyncio.Future[Any] | None = None
    _is_gone = False

    def initialize(self, name: str, route: Route | None = None) -> None:
        """Forget the Content-Type: bodies are JSON whatever they say, so tornado shall not parse forms."""
        super().initialize(name, route)
        self.request.headers.pop("Content-Type", None)

    # -- before the verb -------------------------------------------------------------------------------------------

    async def prepare(self) -> None:  # type: ignore[override]
        """Read the body, since it may hold the credential, and find out whether the page may read the answer."""
        if len(self.request.body) > LARGEST_BODY:
            raise HTTPError(413)
        if self.request.method == "POST":
            raw = self.request.body
            is_heavy = len(raw) > PARSE_ON_LOOP
            self._json, self._is_json_bad = await self.off_loop_if(is_heavy, lambda: _parse(raw))
        origin = origin_of(self.request.headers.get("Origin", ""))
        if origin is not None:
            await self.services.ready()
            if await self.services.task_credentials.knows(origin):
                self._allowed_origin = origin
        await super().prepare()

    async def _authorise(self, access: Access) -> None:
        if access is Access.TASK_KEY and self.services.settings.open_task_statuses:
            return
        await super()._authorise(access)
        if self.caller is not None and self.caller.is_ambient:
            # What the browser adds by itself is for Jupyter's own pages.
            self._allowed_origin = None

    def authorization(self) -> str | None:
        """Return the credential of header, body or query; one in the body wins over a header that says nothing."""
        header = super().authorization()
        inline = self._inline_credentials()
        if header is not None and IdentityChain.is_understood(header):
            inline.append(header.strip())
        if len(set(inline)) > 1:
            raise Unauthenticated("TWO_CREDENTIALS_DETECTED")
        return inline[0] if inline else header

    def _inline_credentials(self) -> list[str]:
        """Return the credentials of body and query, written as the header would have them."""
        query, is_get = self.request.query_arguments, self.request.method in ("GET", "HEAD")
        if "secret" in query:
            raise Unauthenticated("SECRET_IN_URL_DETECTED")
        if "api_key" in query and not is_get:
            raise Unauthenticated("API_KEY_IN_URL_DETECTED")
        body = self._json if isinstance(self._json, dict) else {}
        found = [("Secret", body["secret"])] if "secret" in body else []
        found += [("Api-Key", body["api_key"])] if "api_key" in body else []
        found += [("Api-Key", each.decode(errors="replace")) for each in query.get("api_key", [])]
        if any(not isinstance(text, str) or not text for _, text in found):
            raise Unauthenticated("TASK_CREDENTIAL_WAS_BROKEN")
        return [f"{scheme} {text}" for scheme, text in found]

    # -- pages of other origins ------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        """What a page may read depends on its origin, also for caches."""
        super().set_default_headers()
        self.set_header("Vary", "Origin")

    def set_cors_headers(self) -> None:
        """Let pages read the answer whose origin is in the whitelist of an API key, and no others (Jupyter's would)."""
        if self._allowed_origin is not None:
            self.set_header("Access-Control-Allow-Origin", as_written(self._allowed_origin))
            if self.request.method == "OPTIONS":
                self.set_header("Access-Control-Allow-Methods", ", ".join(self.route.allowed_methods()))
                self.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type")
                self.set_header("Access-Control-Max-Age", str(PREFLIGHT_SECONDS))

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields of the body, or what is in the query string of a GET (repeated ones as a list)."""
        if self.request.method != "POST":
            arguments = self.request.query_arguments.items()
            texts = {name: [value.decode(errors="replace") for value in values] for name, values in arguments}
            return {name: values if len(values) > 1 else values[0] for name, values in texts.items()}
        if self._is_json_bad:
            raise BodyUnreadable
        if not isinstance(self._json, dict):
            raise FieldsInvalid({"body": ["the body is no JSON object"]})
        return self._json

    def invalid(self, name: str, text: str) -> Invalid:
        """Return the error of a parameter."""
        kind = FieldsInvalid if self.request.method == "POST" else QueryInvalid
        return kind({name: [text]})

    def parameter(self, name: str, field: Field) -> Any:
        """Return a parameter's parsed value, or the field's default."""
        values = self.parameters
        if name not in values:
            return field.default
        try:
            return field.parse(values[name])
        except FieldError as error:
            raise self.invalid(name, f"{name}: {' '.join(error.messages)}") from None

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, which a query string holds as text; absent means false."""
        return bool(self.parameter(name, Boolean(default=False)))

    # -- tasks -----------------------------------------------------------------------------------------------------

    @property
    def reader(self) -> Account | None:
        """Who reads tasks; None where knowing a key is enough."""
        return None if self.caller is None else self.caller.account

    def may_read(self, task: Task) -> bool:
        """Whether an API key may read this of its account's tasks; other callers read what the tasks' service gives."""
        key = self.caller.api_key if self.caller else None
        return key is None or (task.owner_id == key.account_id and key.allows(task.name))

    def refuse_api_keys(self) -> None:
        """Refuse what a key that everybody can read must not do."""
        if self.caller is not None and self.caller.api_key:
            raise AccessDenied("an API key may only create tasks and read them")

    async def read_tasks(self, keys: Sequence[str]) -> dict[str, Task]:
        """Return those of the tasks that there are for this caller."""
        found = await self.services.task_list.read(keys, self.reader)
        return {key: task for key, task in found.items() if self.may_read(task)}

    async def while_connected(self, work: Awaitable[T]) -> T:
        """Wait for something that takes long, as long as the client waits for it, too."""
        self._work = asyncio.ensure_future(work)
        if self._is_gone:
            self._work.cancel()
        try:
            return await self._work
        except asyncio.CancelledError:
            if self._is_gone:
                raise Finish from None
            self._work.cancel()
            raise

    def on_connection_close(self) -> None:
        """Stop waiting: nobody is there."""
        super().on_connection_close()
        self._is_gone = True
        if self._work is not None:
            self._work.cancel()

    # -- answering -------------------------------------------------------------------------------------------------

    @property
    def statuses(self) -> StatusRenderer:
        """What makes statuses of tasks, for all requests together."""
        renderer: StatusRenderer | None = self.settings.get(RENDERER)
        if renderer is None:
            renderer = self.settings[RENDERER] = StatusRenderer(self.services)
        return renderer

    @property
    def mount(self) -> str:
        """The address below which the workspace is served, as this client sees it."""
        return f"{self.request.protocol}://{self.request.host}{self.services.mount(self.base_url)}"

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and body for an error."""
        status, errors = _describe(error, status)
        return status, {"status": "error", "errors": errors}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error that a whitelisted page can read."""
        self.set_cors_headers()
        super().write_error(status_code, **kwargs)

    def _log(self) -> None:
        """Log the path alone: the query string holds parameters of tasks and keys, and so does a page's address."""
        self.request.uri = self.request.path + ("?…" if self.request.query else "")
        if referer := self.request.headers.get("Referer"):
            self.request.headers["Referer"] = origin_of(referer) or "(no origin)"
        super()._log()


class DragonNotFoundHandler(DragonHandler):
    """Paths of the tasks API that nothing serves."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse whatever the method."""
        raise HTTPError(404)


def _parse(raw: bytes) -> tuple[Any, bool]:
    """Return the JSON of a body, and whether it is bad; an empty body counts as ``{}``."""
    if not raw.strip():
        return {}, False
    try:
        body = json.loads(raw.decode())
    except (ValueError, RecursionError):
        return None, True
    return (body, False) if is_storable(body) else (None, True)


def _describe(error: BaseException | None, status: int) -> tuple[int, list[dict[str, str]]]:
    if isinstance(error, BodyUnreadable):
        return 400, [_item("body", "body", "the body is no JSON that can be stored")]
    if isinstance(error, Invalid):
        location = "query" if isinstance(error, QueryInvalid) else "body"
        texts = (error.errors or {}).items()
        return 400, [_item(name, location, text) for name, all_texts in texts for text in all_texts]
    if isinstance(error, Unauthenticated):
        return 401, [_item("Authorization", "header", REFUSALS.get(error.reason, "this token is not valid"))]
    if isinstance(error, QuotaExceeded | TooManyAttempts):
        # The document's status for limits of an account.
        return 401, [_item("account", "limits", str(error))]
    if isinstance(error, AccessDenied):
        return 403, [_item("Authorization", "header", str(error))]
    if isinstance(error, NotFound):
        return 404, [_item("task", "query", UNKNOWN if error.kind == "task" else str(error))]
    if isinstance(error, Conflict):
        return 400, [_item("tasks", "body", error.event.replace("_", " ").lower())]
    if isinstance(error, Unavailable):
        return 503, [_item("server", "server", str(error))]
    if isinstance(error, HTTPError) and status < 500:
        return status, [_item("request", "request", _HTTP_TEXTS.get(status, error.reason or "this is not allowed"))]
    return 500, [_item("server", "server", "an unexpected error; the server's log tells more")]


def _item(name: str, location: str, description: str) -> dict[str, str]:
    return {"name": name, "location": location, "description": description}
