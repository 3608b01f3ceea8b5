"""Password hashes: argon2id (OWASP's minimum, 30 ms of CPU), made and checked in one thread of their own.

One thread bounds both memory (19 MiB a hash) and the share of the machine that guessing can take; the event loop
and the database's threads never wait for a hash.
"""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import FieldsInvalid, Unavailable
from ..field_messages import NOT_TEXT, NULL_CHARACTERS, at_least, at_most
from ..json_values import is_unicode
from .common_passwords import is_common

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# In characters.
SHORTEST, LONGEST = 8, 1024
TOO_COMMON = "This password is too common."
# Verifications that may wait for the thread: the last of them waits for about a second.
LONGEST_QUEUE = 32


def check_password(password: str) -> str:
    """Return a new password in normal form C, or raise ``FieldsInvalid`` with what is wrong with it."""
    normal = _normal(password)
    if len(normal) < SHORTEST:
        raise _invalid(at_least(SHORTEST))
    if is_common(normal):
        raise _invalid(TOO_COMMON)
    return normal


def _normal(password: str) -> str:
    """Return what may be somebody's password in normal form C: of old ones no more is asked."""
    normal = unicodedata.normalize("NFC", password)
    if not is_unicode(normal):
        raise _invalid(NOT_TEXT)
    if "\0" in normal:
        raise _invalid(NULL_CHARACTERS)
    if len(normal) > LONGEST:
        raise _invalid(at_most(LONGEST))
    return normal


def _invalid(message: str) -> FieldsInvalid:
    return FieldsInvalid({"password": [message]})


class Passwords:
    """Hashes and verifies passwords off the event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cosphere-argon2")
        self._dummy: str | None = None
        self._waiting = 0
        # How many hashes were computed to verify a password, right or wrong: for tests and metrics.
        self.verifications = 0

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a checked password (about 30 ms in the thread)."""
        normal = check_password(password)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: _hasher().hash(normal))

    async def verify(self, stored: str | None, password: str) -> tuple[bool, str | None]:
        """Return whether the password is the stored hash's, and a new hash if the old one's parameters are outdated.

        Without a stored hash (no such account, or one without a password) a dummy is verified, which takes as long.
        ``Unavailable`` at once when too many wait for the thread already.
        """
        if self._waiting >= LONGEST_QUEUE:
            raise Unavailable("too many people are signing in at this moment", retry_after=2)
        try:
            normal = _normal(password)
        except FieldsInvalid:
            return False, None
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._verify, stored, normal)
        finally:
            self._waiting -= 1

    def _verify(self, stored: str | None, password: str) -> tuple[bool, str | None]:
        from argon2.exceptions import InvalidHashError, VerificationError

        hasher = _hasher()
        if self._dummy is None:
            self._dummy = hasher.hash("nobody's password")
        self.verifications += 1
        try:
            hasher.verify(stored or self._dummy, password)
        except (VerificationError, InvalidHashError):
            return False, None
        if stored is None:
            return False, None
        return True, hasher.hash(password) if hasher.check_needs_rehash(stored) else None

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1)
