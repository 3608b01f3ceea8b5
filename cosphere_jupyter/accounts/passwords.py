"""Password hashes: argon2id (OWASP's minimum, 30 ms of CPU), made and checked in one thread of their own.

One thread bounds both memory (19 MiB a hash) and the share of the machine that guessing can take; the event loop
and the database's threads never wait for a hash.
"""

from __future__ import annotations

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import FieldsInvalid

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 8, 1024


def check_password(password: str) -> str:
    """Return the password in normal form C, or raise ``FieldsInvalid`` with what is wrong with it."""
    try:
        normal = unicodedata.normalize("NFC", password)
        size = len(normal.encode())
    except UnicodeEncodeError:
        raise FieldsInvalid({"password": ["Not a valid string."]}) from None
    if "\0" in normal:
        raise FieldsInvalid({"password": ["Null characters are not allowed."]})
    if size < SHORTEST:
        raise FieldsInvalid({"password": [f"Ensure this field has at least {SHORTEST} characters."]})
    if size > LONGEST:
        raise FieldsInvalid({"password": [f"Ensure this field has no more than {LONGEST} characters."]})
    return normal


class Passwords:
    """Hashes passwords off the event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cosphere-argon2")

    async def hash(self, password: str) -> str:
        """Return the argon2id hash of a checked password (about 30 ms in the thread)."""
        normal = check_password(password)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: _hasher().hash(normal))

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1)
