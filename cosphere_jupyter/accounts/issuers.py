"""What an issuer publishes (OpenID Connect Discovery 1.0, JSON Web Keys), fetched off the event loop and kept.

Both documents are kept as long as ``Cache-Control`` says, but at least 5 minutes and at most 24 hours; when the issuer
cannot be reached they do for 24 hours more. A key id that nobody knows leads to one new look at the keys, at most once
a minute, so that nobody can make this server hammer an issuer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from ..errors import IdentityRefused, Unavailable
from .providers import Provider, is_trustworthy

SECONDS = 5.0
LARGEST = 256 * 1024
SHORTEST_KEPT, LONGEST_KEPT = 300.0, 86400.0
STALE_FOR = 86400.0
REFETCH_SECONDS = 60.0
# After a failure the issuer is left alone for a moment; nobody waits five seconds for the same answer again.
PAUSE_SECONDS = 10.0

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})")


class _FetchFailed(Exception):
    """The issuer could not be reached, or did not answer as it should."""


@dataclass
class _Document:
    """One document of an issuer, and when it was looked at. Times of a clock that only goes forward."""

    content: dict[str, Any] = field(default_factory=dict)
    fresh_until: float = float("-inf")
    fetched_at: float = float("-inf")
    failed_at: float = float("-inf")


class Issuers:
    """The documents and keys of the configured issuers."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` tells seconds."""
        self._clock = clock
        self._documents: dict[tuple[str, str], _Document] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        # Threads of their own: an issuer that hangs keeps nobody else waiting.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="cosphere-oidc")

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def keys(self, provider: Provider, key_id: str) -> list[Mapping[str, Any]]:
        """Return the issuer's keys with this id; ``Unavailable`` if they cannot be had."""
        url = await self.endpoint(provider, "jwks_uri")
        found = _keys_with(await self._document(provider, url, "keys"), key_id)
        if not found:
            # Perhaps the keys were changed a moment ago.
            newest = await self._document(provider, url, "keys", newer_than=self._clock() - REFETCH_SECONDS)
            found = _keys_with(newest, key_id)
        return found

    async def endpoint(self, provider: Provider, name: str) -> str:
        """Return a URL that the issuer's discovery document names."""
        document = await self._discovery(provider)
        url = document.get(name)
        if not isinstance(url, str) or not is_trustworthy(url, provider.is_local):
            raise Unavailable(f"the issuer {provider.name} names no usable {name}")
        return url

    async def exchange(self, provider: Provider, code: str, redirect_uri: str, code_verifier: str) -> str:
        """Return the id token for an authorization code (RFC 6749, 4.1.3; RFC 7636)."""
        url = await self.endpoint(provider, "token_endpoint")
        methods = (await self._discovery(provider)).get("token_endpoint_auth_methods_supported")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": provider.client_id,
            "code_verifier": code_verifier,
        }
        headers = {"Accept": "application/json"}
        if provider.client_secret and isinstance(methods, list) and "client_secret_basic" not in methods:
            form["client_secret"] = provider.client_secret
        elif provider.client_secret:
            pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        try:
            status, answer, _ = await self._call(provider, "POST", url, headers, form)
        except _FetchFailed as error:
            raise Unavailable(f"the issuer {provider.name} cannot be asked now: {error}") from None
        token = answer.get("id_token")
        if status >= 500:
            raise Unavailable(f"the issuer {provider.name} answers with {status}")
        if status != 200 or not isinstance(token, str):
            raise IdentityRefused(f"the issuer gave no id token for the code (status {status})")
        return token

    # -- documents ---------------------------------------------------------------------------------------------------

    async def _discovery(self, provider: Provider) -> dict[str, Any]:
        url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._document(provider, url, "issuer")
        if document["issuer"] != provider.issuer:
            raise Unavailable(f"the issuer {provider.name} says that it is somebody else")
        return document

    async def _document(
        self, provider: Provider, url: str, required: str, newer_than: float | None = None
    ) -> dict[str, Any]:
        """Return a document that has the ``required`` key; with ``newer_than`` one fetched after that instant."""
        key = (provider.name, url)
        kept = self._documents.setdefault(key, _Document())
        async with self._locks.setdefault(key, asyncio.Lock()):
            moment = self._clock()
            is_too_old = newer_than is not None and kept.fetched_at < newer_than
            pause = REFETCH_SECONDS if moment < kept.fresh_until else PAUSE_SECONDS
            error = "it failed a moment ago"
            if (moment >= kept.fresh_until or is_too_old) and moment - kept.failed_at >= pause:
                try:
                    await self._fetch(provider, url, required, kept)
                    return kept.content
                except _FetchFailed as failure:
                    kept.failed_at, error = self._clock(), str(failure)
            if moment >= kept.fresh_until + STALE_FOR or is_too_old:
                raise Unavailable(f"the issuer {provider.name} cannot be asked now: {error}", retry_after=10)
            return kept.content

    async def _fetch(self, provider: Provider, url: str, required: str, kept: _Document) -> None:
        status, content, cache_control = await self._call(provider, "GET", url, {"Accept": "application/json"}, None)
        if status != 200 or required not in content:
            raise _FetchFailed(f"status {status}, or no {required}")
        moment = self._clock()
        kept.content, kept.fetched_at = content, moment
        kept.fresh_until = moment + _kept_seconds(cache_control)

    # -- HTTP --------------------------------------------------------------------------------------------------------

    async def _call(
        self, provider: Provider, method: str, url: str, headers: dict[str, str], form: dict[str, str] | None
    ) -> tuple[int, dict[str, Any], str]:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, _call, method, url, headers, form, not provider.is_local)
        try:
            return await asyncio.wait_for(work, SECONDS)
        except asyncio.TimeoutError:
            raise _FetchFailed(f"no answer within {SECONDS:.0f} s") from None


def _call(
    method: str, url: str, headers: dict[str, str], form: dict[str, str] | None, trust_env: bool
) -> tuple[int, dict[str, Any], str]:
    import httpx

    deadline = time.monotonic() + SECONDS
    # Unpacked bytes cannot be bounded before they are there.
    headers = {**headers, "Accept-Encoding": "identity"}
    body = bytearray()
    try:
        with (
            httpx.Client(trust_env=trust_env, timeout=SECONDS, follow_redirects=False) as client,
            client.stream(method, url, headers=headers, data=form) as response,
        ):
            if response.is_redirect:
                raise _FetchFailed("a redirect is not followed")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _FetchFailed("the answer is packed although this was not asked for")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > LARGEST:
                    raise _FetchFailed("the answer is too large")
                if time.monotonic() > deadline:
                    raise _FetchFailed("the answer takes too long")
            return response.status_code, _object(bytes(body)), response.headers.get("Cache-Control", "")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not its text: it may hold the URL with whatever stands in it.
        raise _FetchFailed(type(error).__name__) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise _FetchFailed("the answer is no JSON") from None
    if not isinstance(content, dict):
        raise _FetchFailed("the answer is no object")
    return content


def _kept_seconds(cache_control: str) -> float:
    text = cache_control.lower()
    match = _MAX_AGE.search(text)
    if match is None or "no-store" in text or "no-cache" in text:
        return SHORTEST_KEPT
    return min(LONGEST_KEPT, max(SHORTEST_KEPT, float(match[1])))


def _keys_with(document: Mapping[str, Any], key_id: str) -> list[Mapping[str, Any]]:
    keys = document.get("keys")
    return [key for key in keys if isinstance(key, dict) and key.get("kid") == key_id] if isinstance(keys, list) else []
