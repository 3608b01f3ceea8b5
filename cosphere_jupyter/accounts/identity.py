"""Who is calling: one chain of verifiers, chosen by the scheme word of ``Authorization``.

A verifier answers *not mine* (``None``), an account, or *mine and bad* (``Unauthenticated``); a bad credential never
falls through to the next one. Today's links are the workspace's own JWT (``Bearer`` with two dots) and, last, whatever
the Jupyter Server itself accepts (token, cookie, password), which on a personal server is its owner.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import Unauthenticated
from .service import Account, Accounts

# RFC 9110: a scheme word, one space or more, one token68. Two values that a proxy joined do not match.
_AUTHORIZATION = re.compile(r"([A-Za-z][A-Za-z0-9-]*) +([A-Za-z0-9._~+/=-]+)")

_JUPYTER = re.compile(r"(token|bearer)\s", re.IGNORECASE)
# Three parts, the first of which is a JSON object in base64.
_JWT = re.compile(r"eyJ[^.]*\.[^.]*\.[^.]*")

JupyterIdentity = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Caller:
    """The account that calls and what it proved itself with (``jwt``, ``jupyter-token`` or ``jupyter-cookie``)."""

    account: Account
    carrier: str

    @property
    def is_ambient(self) -> bool:
        """Whether a browser adds the credential by itself, so that a foreign page could use it (XSRF)."""
        return self.carrier == "jupyter-cookie"


class IdentityChain:
    """Finds the caller of a request."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def find(self, authorization: str | None, jupyter: JupyterIdentity) -> Caller | None:
        """Return the caller, or None if no credential was sent; ``Unauthenticated`` for a bad one.

        ``jupyter`` asks the Jupyter Server whether it knows the sender of the request.
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
        if scheme in ("bearer", "token"):
            caller = await self._owner(jupyter, "jupyter-token")
            if caller is None:
                raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
            return caller
        raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")

    async def _owner(self, jupyter: JupyterIdentity, carrier: str) -> Caller | None:
        if not await jupyter():
            return None
        owner = await self._accounts.owner()
        if not owner.is_active:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT")
        return Caller(owner, carrier)
