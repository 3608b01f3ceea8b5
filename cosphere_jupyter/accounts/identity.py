"""Who is calling: one chain of verifiers, chosen by the scheme word of ``Authorization``.

A verifier answers *not mine* (``None``), an account, or *mine and bad* (``Unauthenticated``); a bad credential never
falls through to the next one. Today's links are the workspace's own JWT (``Bearer`` with two dots), OAuth tokens
(``Bearer`` with exactly 30 letters and digits), secrets and API keys of the tasks API (``Secret``, ``Api-Key``), name
and password (``Basic``) and, last, whatever the Jupyter Server itself accepts (token, cookie, password), which on a
personal server is its owner.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import Unauthenticated
from .basic import BasicAuthentication, Peer
from .oauth import OAuthTokens, is_token
from .service import Account, Accounts
from .task_credentials import API_KEY, SECRET, Page, TaskCredential, TaskCredentials

# RFC 9110: a scheme word, one space or more, one token68. Two values that a proxy joined do not match.
_AUTHORIZATION = re.compile(r"([A-Za-z][A-Za-z0-9-]*) +([A-Za-z0-9._~+/=-]+)")

_JUPYTER = re.compile(r"(token|bearer)\s", re.IGNORECASE)
# Three parts, the first of which is a JSON object in base64.
_JWT = re.compile(r"eyJ[^.]*\.[^.]*\.[^.]*")

_TASK_CREDENTIALS = {"secret": SECRET, "api-key": API_KEY}

JupyterIdentity = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Caller:
    """The account that calls and what it proved itself with.

    ``carrier`` is ``jwt``, ``oauth``, ``secret``, ``api-key``, ``basic``, ``jupyter-token`` or ``jupyter-cookie``.
    """

    account: Account
    carrier: str
    credential: TaskCredential | None = None

    @property
    def is_ambient(self) -> bool:
        """Whether a browser adds the credential by itself, so that a foreign page could use it (XSRF)."""
        return self.carrier in ("basic", "jupyter-cookie")

    @property
    def api_key(self) -> TaskCredential | None:
        """The API key that the caller came with: it may create tasks and read those, and nothing else."""
        return self.credential if self.carrier == "api-key" else None


class IdentityChain:
    """Finds the caller of a request."""

    def __init__(
        self, accounts: Accounts, oauth: OAuthTokens, task_credentials: TaskCredentials, basic: BasicAuthentication
    ) -> None:
        self._accounts = accounts
        self._oauth = oauth
        self._task_credentials = task_credentials
        self._basic = basic

    async def find(self, authorization: str | None, jupyter: JupyterIdentity, page: Page, peer: Peer) -> Caller | None:
        """Return the caller, or None if no credential was sent; ``Unauthenticated`` for a bad one.

        ``jupyter`` asks the Jupyter Server whether it knows the sender of the request; ``page`` is what sent it,
        ``peer`` where from.
        """
        if authorization is None:
            return await self._owner(jupyter, "jupyter-cookie")
        match = _AUTHORIZATION.fullmatch(authorization.strip())
        if match is None:
            # A Jupyter token may be any text: whoever chose one with other characters in it is still known.
            owner = await self._owner(jupyter, "jupyter-token") if _JUPYTER.match(authorization) else None
            if owner is None:
                raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")
            return owner
        scheme, credential = match[1].lower(), match[2]
        if scheme == "bearer" and _JWT.fullmatch(credential):
            return Caller(await self._accounts.authenticate(credential), "jwt")
        if scheme == "bearer" and is_token(credential):
            return Caller(await self._oauth.verify(credential), "oauth")
        if kind := _TASK_CREDENTIALS.get(scheme):
            account, found = await self._task_credentials.verify(kind, credential)
            if kind == API_KEY and not page.is_among(found.referers):
                raise Unauthenticated("REFERER_IS_NOT_IN_WHITELIST")
            return Caller(account, scheme, found)
        if scheme == "basic":
            return Caller(await self._basic.authenticate(credential, peer), "basic")
        if scheme in ("bearer", "token"):
            caller = await self._owner(jupyter, "jupyter-token")
            if caller is None:
                raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
            return caller
        raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")

    @staticmethod
    def is_understood(authorization: str) -> bool:
        """Whether a header's value is a credential of a known scheme, good or bad."""
        match = _AUTHORIZATION.fullmatch(authorization.strip())
        known = {*_TASK_CREDENTIALS, "basic", "bearer", "token"}
        return match[1].lower() in known if match else _JUPYTER.match(authorization) is not None

    async def _owner(self, jupyter: JupyterIdentity, carrier: str) -> Caller | None:
        if not await jupyter():
            return None
        owner = await self._accounts.owner()
        if not owner.is_active:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT")
        return Caller(owner, carrier)
