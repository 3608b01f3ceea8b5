"""Signed, short-lived links to files of results: whoever has one may read that one file until it expires.

They carry no identity, so that ``pandas.read_parquet(link)`` works anywhere, and are made anew with each response.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from urllib.parse import quote, urlencode

from ..errors import AccessDenied


class LinkSigner:
    """Makes and checks the query string of links."""

    def __init__(self, key: bytes, lifetime: int) -> None:
        """``lifetime`` in seconds."""
        self._key = key
        self._lifetime = lifetime

    def sign(self, name: str, file_name: str) -> str:
        """Return ``<name>/<file name>?expires=…&signature=…``, relative to where results are served."""
        expires = int(time.time()) + self._lifetime
        query = urlencode({"expires": expires, "signature": self._signature(name, file_name, str(expires))})
        return f"{quote(name)}/{quote(file_name)}?{query}"

    def check(self, name: str, file_name: str, expires: str, signature: str) -> None:
        """Raise ``AccessDenied`` unless the link is ours and still good."""
        expected = self._signature(name, file_name, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
            raise AccessDenied("this link was not signed by this workspace")
        if int(expires) < time.time():
            raise AccessDenied("this link has expired: read the download request again for a fresh one")

    def _signature(self, name: str, file_name: str, expires: str) -> str:
        text = "\n".join((name, file_name, expires)).encode(errors="replace")
        return base64.urlsafe_b64encode(hmac.new(self._key, text, hashlib.sha256).digest()).decode().rstrip("=")
