"""The workspace's own JSON Web Tokens (RFC 7519), signed with HMAC-SHA256.

Claims: ``id``, ``email``, ``type`` and ``exp`` as the CoSphere API has them; ``iat``, ``iss``, ``aud``, ``jti`` and
``epoch`` are ours. The role is never read from a token: it names the account as it was, and the account must still be
so. A token that names another issuer or audience is refused; one that names none is of before, and good while it lasts.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from ..errors import Unauthenticated

ISSUER = AUDIENCE = "cosphere"
ALGORITHM = "HS256"
KEY_BYTES = 32


@dataclass(frozen=True)
class Claims:
    """What a good token says of its bearer."""

    account_id: int
    email: str
    type: str
    epoch: int


def read_or_create_key(path: Path) -> bytes:
    """Return the secret in ``path`` (at least 32 bytes, mode 0600); made at random the first time.

    Written aside and renamed by the one process that owns the directory: a kill leaves no key or a whole one.
    """
    if not path.exists():
        aside = path.with_suffix(".tmp")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    key = path.read_bytes()
    if len(key) < KEY_BYTES:
        raise ValueError(f"the key file {path.name} holds fewer than {KEY_BYTES} bytes")
    return key


class TokenSigner:
    """Makes and verifies our tokens."""

    def __init__(self, key: bytes, lifetime: int) -> None:
        """``lifetime`` in seconds; a token that claims to live longer is not one of ours."""
        self._key = key
        self._lifetime = lifetime
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})

    def sign(self, claims: Claims) -> str:
        """Return a token that is good for the configured lifetime."""
        issued = int(time.time())
        payload = {
            "id": claims.account_id,
            "email": claims.email,
            "type": claims.type,
            "epoch": claims.epoch,
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + self._lifetime,
            "jti": secrets.token_hex(8),
        }
        return self._jwt.encode(payload, self._key, algorithm=ALGORITHM)

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token, or raise ``Unauthenticated`` with the API's word for what is wrong."""
        payload = self._decode(token)
        if not {"id", "email", "type"} <= payload.keys():
            raise Unauthenticated("AUTH_TOKEN_MISSING_FIELDS_DETECTED")
        account_id, email, kind, epoch = (payload.get(claim) for claim in ("id", "email", "type", "epoch"))
        if type(account_id) is not int or not isinstance(email, str) or not isinstance(kind, str):
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
        if not 0 < account_id < 2**53 or type(epoch) is not int:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT")
        return Claims(account_id, email, kind, epoch)

    def _decode(self, token: str) -> dict[str, Any]:
        if len(token) > 8192:
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
        try:
            payload: dict[str, Any] = self._jwt.decode(
                token, self._key, algorithms=[ALGORITHM], options={"require": ["exp"], "verify_aud": False}
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("AUTH_TOKEN_EXPIRED") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN") from None
        # The library takes a number's text for a number.
        if isinstance(payload["exp"], str) or payload["exp"] > time.time() + self._lifetime + 60:
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
        audience = payload.get("aud", AUDIENCE)
        if payload.get("iss", ISSUER) != ISSUER or AUDIENCE not in (audience if type(audience) is list else [audience]):
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
        return payload
