"""What all faces share: who is calling, what they may, bodies in, JSON out, errors in the face's own shape."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, cast

import orjson
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado.web import HTTPError

from ..accounts.basic import Peer
from ..accounts.identity import Caller
from ..accounts.service import Account
from ..accounts.task_credentials import Page
from ..errors import AccessDenied, BodyUnreadable, CosphereError, Unauthenticated, Unavailable
from ..json_values import LARGEST_ID
from .access import Access, Route
from .fields import Fields, FieldsFor, parse_body, parse_query
from .rendered import RenderedBodies, Version

if TYPE_CHECKING:
    from ..services import Services

SERVICES = "cosphere_services"
RENDERED = "cosphere_rendered"
# Why the workspace could not be opened when this was logged last.
REFUSAL = "cosphere_refusal"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Parsing more than this on the event loop would be felt in notebooks.
PARSE_ON_LOOP = 64 * 1024
# Checking a field may cost a hundred times what parsing it does.
CHECK_ON_LOOP = 4 * 1024
LARGEST_BODY = 16 * 1024 * 1024


class BaseHandler(ExtensionHandlerMixin, JupyterHandler):
    """Base of every handler of ours; the table of routes gives it the access of each of its methods."""

    route: Route
    caller: Caller | None = None
    _refusal: Unavailable | None = None
    # Long waits and polls are no sign that somebody is there: idle servers must still be culled.
    counts_as_activity = True
    content_type: ClassVar[str] = "application/json"
    # What a 401 asks for.
    challenge: ClassVar[str] = 'Bearer realm="cosphere"'
    # API keys stand in web pages for everybody to read: no face but that of tasks takes them.
    takes_api_keys: ClassVar[bool] = False
    # Whether even a GET changes something, so that a foreign page must not be able to send it.
    has_effects: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Mark every verb as one that does not need *Jupyter's* login: ``prepare`` decides by the route's access."""
        super().__init_subclass__(**kwargs)
        for verb in ("get", "head", "post", "put", "patch", "delete", "options"):
            if verb in cls.__dict__:
                setattr(cls, verb, allow_unauthenticated(cls.__dict__[verb]))

    def initialize(self, name: str, route: Route | None = None) -> None:
        """Take the route's row (a handler without one refuses everything)."""
        super().initialize(name)
        self.route = route or Route("", type(self), {})
        self.current_user = None

    @property
    def services(self) -> Services:
        """The rooms behind the faces."""
        return cast("Services", self.settings[SERVICES])

    @property
    def account(self) -> Account:
        """The caller's account; only where the route's access demands one."""
        if self.caller is None:
            raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")
        return self.caller.account

    # -- before the verb -------------------------------------------------------------------------------------------

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse what may not pass: foreign hosts, unknown methods, callers without the route's access."""
        if not self.check_host():
            raise AccessDenied("this host name is not served here")
        if self.request.method == "OPTIONS":
            return
        method = "GET" if self.request.method == "HEAD" else str(self.request.method)
        if method not in self.route.access:
            raise HTTPError(405)
        access = self.route.access[method]
        await self._open_workspace()
        if access not in (Access.OPEN, Access.SIGNED_LINK):
            await self._authorise(access)
        self.set_cors_headers()

    async def _open_workspace(self) -> None:
        try:
            await self.services.ready()
        except Unavailable as error:
            self._refusal = error
            raise
        self.settings.pop(REFUSAL, None)

    async def _authorise(self, access: Access) -> None:
        headers = self.request.headers
        page = Page(headers.get("Referer"), headers.get("Origin"))
        peer = Peer(self.request.remote_ip or "", self.request.protocol == "https")
        self.caller = await self.services.identity.find(self.authorization(), self._jupyter_knows, page, peer)
        if self.caller is None:
            raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")
        if self.caller.api_key and not self.takes_api_keys:
            raise AccessDenied("an API key may only create tasks and read them")
        if self.caller.is_ambient and (self.has_effects or self.request.method not in SAFE_METHODS):
            self._check_page()
        if access is Access.ADMIN and not self.caller.account.is_admin:
            raise AccessDenied("this needs an account of type ADMIN")

    def _check_page(self) -> None:
        """Refuse what a foreign page may have made a browser send with what the browser knows."""
        if self.caller is None or self.caller.carrier != "basic":
            # Jupyter's own rules: the _xsrf cookie beside the header, and the origin (of which it says 404).
            try:
                super().check_xsrf_cookie()
            except HTTPError as error:
                raise AccessDenied("this may not be done from another page") from error
            return
        headers = self.request.headers
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none").lower()
        is_own = origin is None or origin.lower().partition("://")[2] == self.request.host.lower()
        # A GET gets here only if it changes something, which any link could do.
        if not is_own or site not in ("none", "same-origin") or self.request.method in SAFE_METHODS:
            raise AccessDenied("a page of another origin, or a link, may not use a password that the browser knows")

    def authorization(self) -> str | None:
        """Return the credential that was sent, as the header ``Authorization`` has it."""
        return self.request.headers.get("Authorization")

    async def _jupyter_knows(self) -> bool:
        user = self.identity_provider.get_user(self)
        if inspect.isawaitable(user):
            user = await user
        self.current_user = self._jupyter_current_user = user
        if user is None:
            return False
        # Jupyter looks at its cookie when the token is wrong; here a bad credential does not fall through to another.
        is_token_sent = "Authorization" in self.request.headers and self.identity_provider.auth_enabled
        return self.token_authenticated or not is_token_sent

    def check_xsrf_cookie(self) -> None:
        """Not here: tornado asks before anybody knows who is calling; see ``_authorise``."""

    def set_secure_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Set none: a caller with a token in the header shall not leave with a login cookie of thirty days."""

    # -- reading ---------------------------------------------------------------------------------------------------

    async def body(self, fields: Fields | FieldsFor) -> dict[str, Any]:
        """Return the parsed fields of the JSON body, whatever its Content-Type; an empty body counts as ``{}``."""
        raw = self.request.body
        if len(raw) > LARGEST_BODY:
            raise HTTPError(413)
        return await self.off_loop_if(len(raw) > CHECK_ON_LOOP, lambda: parse_body(fields, _load(raw)))

    def query(self, fields: Fields) -> dict[str, Any]:
        """Return the parsed fields of the query string; of a repeated one the last counts."""
        arguments = self.request.query_arguments
        texts = {name: values[-1].decode(errors="surrogateescape") for name, values in arguments.items()}
        return parse_query(fields, texts)

    @staticmethod
    async def off_loop_if(heavy: bool, work: Callable[[], Any]) -> Any:
        """Run ``work`` in a thread if it is heavy."""
        return await asyncio.to_thread(work) if heavy else work()

    @staticmethod
    def path_id(text: str) -> int:
        """Return an id from a path; what is too long for one is an id that nothing has."""
        return int(text) if len(text) <= 16 and int(text) <= LARGEST_ID else 0

    # -- answering -------------------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        """Nothing of ours is cached or sniffed; answers hold links that expire."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    @property
    def content_security_policy(self) -> str:
        """Answers are data: nothing in them may run or load anything."""
        return f"{super().content_security_policy}; default-src 'none'"

    def compute_etag(self) -> None:
        """No ETag: hashing every answer costs more than it saves."""

    def send_json(self, body: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.send_rendered(orjson.dumps(body), status)

    def send_rendered(self, body: bytes, status: int = 200) -> None:
        """Answer with JSON that is written already."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(body)

    async def send_kept(self, version: Version | None, read: Callable[[], Awaitable[bytes]]) -> None:
        """Answer with the JSON that ``read`` returns, or with what this caller got here before at the same ``version``.

        ``version`` is that of everything that the answer depends on, besides the caller and the address.
        """
        bodies: RenderedBodies = self.settings.setdefault(RENDERED, RenderedBodies())
        key = (self.account.id, self.account.is_admin, self.request.uri)
        body = bodies.find(key, version)
        if body is None:
            body = await read()
            bodies.keep(key, version, body)
        self.send_rendered(body)

    def on_finish(self) -> None:
        """Tell Jupyter that somebody is there."""
        super().on_finish()
        if self.caller is not None and self.counts_as_activity:
            self.settings["api_last_activity"] = datetime.now(timezone.utc)

    def set_cors_headers(self) -> None:
        """As Jupyter has it, but without the empty header that it sends to callers who are no page."""
        super().set_cors_headers()
        if self._headers.get("Access-Control-Allow-Origin") == "":
            self.clear_header("Access-Control-Allow-Origin")

    @allow_unauthenticated
    async def head(self, *args: str, **kwargs: str) -> None:
        """Answer as GET does, without the body."""
        if "GET" not in self.route.access:
            raise HTTPError(405)
        answer: Awaitable[None] | None = self.get(*args, **kwargs)
        if answer is not None:
            await answer

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Say which methods there are."""
        self.set_header("Allow", ", ".join(self.route.allowed_methods()))
        self.set_cors_headers()
        self.finish()

    # -- errors ----------------------------------------------------------------------------------------------------

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and body for an error, in the face's shape; ``status`` is what tornado thinks of it."""
        raise NotImplementedError

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: the one way from the error tree to HTTP."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status, body = self.error_answer(error, status_code)
        if status == 401:
            self.set_header("WWW-Authenticate", self.challenge)
        if status == 405:
            self.set_header("Allow", ", ".join(self.route.allowed_methods()))
        if retry_after := getattr(error, "retry_after", None):
            self.set_header("Retry-After", str(retry_after))
        self.send_json(body, status)

    def _log(self) -> None:
        """Log the request; of all that are refused because the workspace is not open, one says so for the others."""
        if self._refusal is None:
            super()._log()
            return
        text = str(self._refusal)
        is_new = self.settings.get(REFUSAL) != text
        self.settings[REFUSAL] = text
        level = logging.WARNING if is_new else logging.DEBUG
        self.log.log(level, "Requests are refused: %s", text)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Only the unexpected is worth a traceback."""
        if isinstance(value, CosphereError | HTTPError):
            self.log.debug("%s: %s", type(value).__name__, value)
        else:
            self.log.error("Unexpected error in %s", type(self).__name__, exc_info=(typ, value, tb))


def _load(raw: bytes) -> Any:
    if not raw.strip():
        return {}
    try:
        # Not orjson: the API takes NaN for JSON and complains about it in the field's own message.
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise BodyUnreadable from None
