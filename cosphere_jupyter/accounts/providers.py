"""Which OpenID Connect issuers people may sign in with: the configuration, checked when the server starts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

GOOGLE_ISSUER = "https://accounts.google.com"
ALGORITHMS = ("RS256", "ES256")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_TEXTS = ("name", "issuer", "client_id", "client_secret", "label", "scope", "redirect_uri")
_LISTS = ("hosted_domains", "email_domains", "algorithms")
_SWITCHES = ("requires_nonce",)


@dataclass(frozen=True)
class Provider:
    """An issuer as this deployment uses it.

    ``hosted_domains`` are the Google Workspace domains whose members may come (the ``hd`` claim, exactly);
    ``email_domains`` the domains that any issuer may vouch for. An empty tuple: all.
    """

    name: str
    issuer: str
    client_id: str
    client_secret: str = ""
    label: str = ""
    scope: str = "openid email profile"
    redirect_uri: str = ""
    hosted_domains: tuple[str, ...] = ()
    email_domains: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ALGORITHMS
    requires_nonce: bool = True

    @property
    def is_google(self) -> bool:
        """Whether this is Google, which has rules and a button of its own."""
        return self.issuer == GOOGLE_ISSUER

    @property
    def issuers(self) -> tuple[str, ...]:
        """How the issuer spells itself in tokens."""
        return (self.issuer, "accounts.google.com") if self.is_google else (self.issuer,)

    @property
    def is_local(self) -> bool:
        """Whether the issuer is on this machine, where plain HTTP will do."""
        return is_loopback(self.issuer)


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_trustworthy(url: str, local: bool) -> bool:
    """Whether a URL of an issuer may be used: https, or anything on this machine if the issuer is there, too."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (local and parts.scheme == "http" and is_loopback(url))


def read_providers(configured: Sequence[Mapping[str, Any]], google_client_id: str = "") -> tuple[Provider, ...]:
    """Return the providers of the configuration; ``ValueError`` says what is wrong with it."""
    google = [{"name": "google", "issuer": GOOGLE_ISSUER, "client_id": google_client_id}] if google_client_id else []
    providers = tuple(_read(entry) for entry in [*configured, *google])
    names = [provider.name for provider in providers]
    if len(set(names)) != len(names):
        raise ValueError("each provider needs a name of its own")
    return providers


def _read(entry: Mapping[str, Any]) -> Provider:
    if unknown := sorted(set(entry) - {*_TEXTS, *_LISTS, *_SWITCHES}):
        raise ValueError(f"unknown keys of a provider: {', '.join(map(str, unknown))}")
    for key in ("name", "issuer", "client_id"):
        if not entry.get(key):
            raise ValueError(f"a provider needs {key}")
    values: dict[str, Any] = dict(entry)
    for key in _TEXTS:
        if not isinstance(values.get(key, ""), str):
            raise ValueError(f"{key} of a provider must be text")
    for key in _LISTS:
        listed = values.get(key, ())
        if isinstance(listed, str) or not all(isinstance(each, str) for each in listed):
            raise ValueError(f"{key} of a provider must be a list of texts")
        if key in values:
            values[key] = tuple(listed)
    provider = Provider(**values)
    if not _NAME.fullmatch(provider.name):
        raise ValueError(f"the name of a provider is made of a-z, 0-9, '-' and '_': {provider.name!r}")
    if not is_trustworthy(provider.issuer, local=is_loopback(provider.issuer)):
        raise ValueError(f"the issuer must be an https URL (http on this machine only): {provider.issuer!r}")
    if not set(provider.algorithms) <= set(ALGORITHMS) or not provider.algorithms:
        raise ValueError(f"the algorithms of a provider are among {', '.join(ALGORITHMS)}")
    if not isinstance(provider.requires_nonce, bool):
        raise ValueError("requires_nonce of a provider must be true or false")
    return provider
