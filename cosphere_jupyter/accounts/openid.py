"""Signing in through an outside issuer: the authorization code flow with PKCE, and attaching by id token.

Nothing is kept between the steps: the ``state`` that goes to the issuer and back is signed and holds the sign-in
request, masked; the PKCE secret and the nonce are computed from a key that never leaves this server. What comes back
from the issuer is an id token bound to one sign-in request, which the page sends to ATTACH_ACCOUNT_TO_AUTH_REQUEST once
the person has agreed: somebody who is lured to the issuer by a link still sees who asks before anything is granted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from logging import Logger
from typing import Any
from urllib.parse import urlencode, urlsplit

from sqlalchemy import Connection, delete, exists, insert, select

from ..database.engine import Database
from ..errors import AccessDenied, Conflict, IdentityRefused, NotFound
from .issuers import Issuers
from .oidc import Identity, digest_of, unverified_parties, verify_id_token
from .providers import Provider
from .service import OWNER, Account, as_account, insert_account, read_account
from .sign_in import PENDING_SECONDS, SignIn, attach
from .tables import accounts, identities, used_id_tokens


@dataclass(frozen=True)
class Returned:
    """Somebody has come back from the issuer: for which request, as whom, and with what to attach them."""

    request_uuid: str
    email: str
    id_token: str


class OpenIdSignIn:
    """Sign-in by id tokens of the configured providers."""

    def __init__(
        self,
        database: Database,
        sign_in: SignIn,
        providers: tuple[Provider, ...],
        key: bytes,
        clock: Callable[[], datetime],
        log: Logger,
        issuers: Issuers | None = None,
    ) -> None:
        """``key`` signs what goes to the issuer and back; ``clock`` tells the present instant."""
        self.providers = providers
        self.issuers = issuers or Issuers()
        self._database = database
        self._sign_in = sign_in
        self._key = key
        self._clock = clock
        self._log = log

    def close(self) -> None:
        """Let the threads go."""
        self.issuers.close()

    def provider(self, name: str) -> Provider:
        """Return a provider by its name or raise ``NotFound``."""
        for provider in self.providers:
            if provider.name == name:
                return provider
        raise NotFound("provider")

    def nonce(self, request_uuid: str) -> str:
        """Return what an id token for this request must carry as its ``nonce``."""
        return self._mac("nonce", request_uuid)

    # -- the authorization code flow -----------------------------------------------------------------------------------

    async def authorization_url(self, name: str, request_uuid: str, redirect_uri: str) -> str:
        """Return where to send a browser so that its user signs in for a pending request."""
        provider = self.provider(name)
        await self._sign_in.read(request_uuid)
        endpoint = await self.issuers.endpoint(provider, "authorization_endpoint")
        salt = secrets.token_urlsafe(16)
        masked = self._mask(uuid.UUID(request_uuid).bytes, salt).hex()
        content = f"{provider.name}.{masked}.{int(self._clock().timestamp())}.{salt}"
        state = f"{content}.{self._mac('state', content)}"
        challenge = hashlib.sha256(self._mac("verifier", state).encode()).digest()
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": provider.redirect_uri or redirect_uri,
            "scope": provider.scope,
            "state": state,
            "nonce": self.nonce(request_uuid),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        if len(provider.hosted_domains) == 1:
            query["hd"] = provider.hosted_domains[0]
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def request_of(self, name: str, state: str) -> str:
        """Return the UUID of the request that a ``state`` of ours was made for; ``IdentityRefused`` for any other."""
        content, _, mac = state.rpartition(".")
        if not hmac.compare_digest(mac.encode(errors="replace"), self._mac("state", content).encode()):
            raise IdentityRefused("the state is not one of ours")
        provider, masked, issued, salt = content.split(".")
        if provider != name or not 0 <= self._clock().timestamp() - int(issued) + 1 <= PENDING_SECONDS:
            raise IdentityRefused("the state is of another provider, or too old")
        return str(uuid.UUID(bytes=self._mask(bytes.fromhex(masked), salt)))

    async def finish(self, name: str, state: str, code: str, redirect_uri: str, issuer: str | None) -> Returned:
        """Return who has come back with an authorization code; ``issuer`` is the ``iss`` parameter (RFC 9207)."""
        provider, request_uuid = self.provider(name), self.request_of(name, state)
        if issuer is not None and issuer not in provider.issuers:
            raise IdentityRefused("another issuer has answered")
        await self._sign_in.read(request_uuid)
        verifier = self._mac("verifier", state)
        token = await self.issuers.exchange(provider, code, provider.redirect_uri or redirect_uri, verifier)
        identity = await self._verify(provider, token, request_uuid)
        return Returned(request_uuid, identity.email, token)

    # -- attaching -----------------------------------------------------------------------------------------------------

    async def attach(self, request_uuid: str, token: str, email: str) -> None:
        """Attach the account that an id token speaks for; a new one is made for a person not seen before.

        In the order of the API: ``NotFound`` (or ``Conflict``, if expired), ``IdentityRefused`` for a bad token,
        ``Conflict`` if the token is another address's. A token is good once.
        """
        await self._sign_in.read(request_uuid)
        try:
            identity = await self._verify(self._provider_of(token), token, request_uuid)
            if identity.email.casefold() != email.casefold():
                raise Conflict("EMAIL_MISMATCH_DETECTED")
            moment = self._clock()
            await self._database.write(
                lambda connection: _attach(connection, request_uuid, identity, digest_of(token), moment)
            )
        except IdentityRefused as error:
            self._log.info("An id token was refused: %s", error)
            raise

    async def _verify(self, provider: Provider, token: str, request_uuid: str) -> Identity:
        return await verify_id_token(provider, token, self.nonce(request_uuid), self.issuers.keys, self._clock())

    def _provider_of(self, token: str) -> Provider:
        issuer, audiences = unverified_parties(token)
        known = [provider for provider in self.providers if issuer in provider.issuers]
        for provider in known:
            if provider.client_id in audiences:
                return provider
        raise IdentityRefused("the token is of an issuer, or for a client, that is not configured here")

    def _mask(self, value: bytes, salt: str) -> bytes:
        """Hide 16 bytes, or show them again: the issuer need not learn the UUID that fetches the token."""
        pad = hmac.new(self._key, f"mask\n{salt}".encode(), hashlib.sha256).digest()
        return bytes(left ^ right for left, right in zip(value, pad[:16], strict=True))

    def _mac(self, purpose: str, text: str) -> str:
        digest = hmac.new(self._key, f"{purpose}\n{text}".encode(errors="replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _attach(connection: Connection, request_uuid: str, identity: Identity, digest: str, moment: datetime) -> None:
    connection.execute(delete(used_id_tokens).where(used_id_tokens.c.expires_at < moment))
    if connection.execute(select(used_id_tokens).where(used_id_tokens.c.digest == digest)).first():
        raise IdentityRefused("the token was used already")
    connection.execute(insert(used_id_tokens).values(digest=digest, expires_at=identity.replayable_until))
    account = _account_of(connection, identity, moment)
    if not account.is_active:
        raise AccessDenied("this account is disabled")
    attach(connection, request_uuid, account.id, moment)


def _account_of(connection: Connection, identity: Identity, moment: datetime) -> Account:
    """Return the account of ``(issuer, subject)``; the first time, the one with the e-mail address or a new one."""
    is_known = (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)
    account_id = connection.execute(select(identities.c.account_id).where(is_known)).scalar_one_or_none()
    if account_id is not None:
        return read_account(connection, account_id)
    account = _account_with(connection, identity) or insert_account(
        connection, email=identity.email, name=identity.email.split("@")[0], type="RESEARCHER"
    )
    values: dict[str, Any] = {"issuer": identity.issuer, "subject": identity.subject}
    connection.execute(insert(identities).values(**values, account_id=account.id, created_at=moment))
    return account


def _account_with(connection: Connection, identity: Identity) -> Account | None:
    """Return the account with the address, which the issuer has verified.

    Not one that is already known to this issuer as somebody else: then the mailbox has changed hands. And not that of
    a personal server's owner: whom this machine calls ``root@localhost`` no issuer can know.
    """
    row = connection.execute(select(accounts).where(accounts.c.email == identity.email)).one_or_none()
    if row is None:
        return None
    is_known = exists().where(identities.c.account_id == row.id, identities.c.issuer.in_([identity.issuer, OWNER[0]]))
    if connection.execute(select(is_known)).scalar_one():
        raise IdentityRefused("the e-mail address belongs to another person")
    return as_account(row)
