"""Secrets and API keys: what programs and web pages create tasks with.

A *secret* speaks for its account, from server to server. An *API key* stands in the source of a web page for everybody
to read, and may therefore only create tasks (of some names, if it names any) and read those, from the pages of the
origins in its whitelist. Both look like ``cs_<8 characters>_<random>``; only the SHA-256 digest is stored.
Source: the Dragon tasks API, "Authentication".
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from ..database.engine import Database
from ..database.schema import now
from ..errors import FieldsInvalid, NotFound, Unauthenticated
from .known import SECONDS, KnownCallers
from .service import Account, as_account, read_account
from .tables import accounts, task_credentials

SECRET, API_KEY = "secret", "api_key"
KINDS = (SECRET, API_KEY)

# A last use is noted once in so long, so that reading costs no writes.
NOTE_USE_AFTER = timedelta(hours=1)
LONGEST_NAME = 128
MOST_ENTRIES = 100

_LETTERS = string.ascii_letters + string.digits
_TEXT = re.compile(r"cs_([a-z0-9]{8})_[A-Za-z0-9]{32,128}")
# Strict on purpose: no user name, no backslash, no white space, no letter that a browser would have to translate.
_ORIGIN = re.compile(
    r"(https?)://((?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*|\[[0-9a-f:.]+\])"
    r"(?::([0-9]{1,5}))?(?:[/?#][^\s\\]*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class TaskCredential:
    """A secret or an API key, without its text. ``referers`` are origins as `origin_of` returns them."""

    id: str
    account_id: int
    kind: str
    referers: tuple[str, ...]
    task_names: tuple[str, ...]
    created_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    def allows(self, task_name: str) -> bool:
        """Whether tasks of this name may be created and read with it."""
        return not self.task_names or task_name in self.task_names


@dataclass(frozen=True)
class Page:
    """What a browser tells of the page that sends a request: the headers ``Referer`` and ``Origin``."""

    referer: str | None = None
    origin: str | None = None

    def is_among(self, origins: Sequence[str]) -> bool:
        """Whether the page is of one of these origins. The headers must agree; without both of them it is of none."""
        told = [text for text in (self.referer, self.origin) if text is not None]
        return bool(told) and all(origin_of(text) in origins for text in told)


def origin_of(url: str) -> str | None:
    """Return ``scheme://host:port`` of a URL, in small letters and always with its port; None if it has no origin."""
    match = _ORIGIN.fullmatch(url) if len(url) <= 4096 else None
    if match is None:
        return None
    scheme, host = match[1].lower(), match[2].lower()
    port = int(match[3]) if match[3] else _PORTS[scheme]
    return f"{scheme}://{host}:{port}" if 0 < port < 65536 else None


def as_written(origin: str) -> str:
    """Return an origin of `origin_of` as browsers write it: without the port that its scheme has anyway."""
    scheme, _, rest = origin.partition("://")
    return f"{scheme}://{rest.removesuffix(f':{_PORTS[scheme]}')}"


class TaskCredentials:
    """All that is done with secrets and API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: KnownCallers[tuple[Account, TaskCredential]] = KnownCallers()
        self._origins: frozenset[str] = frozenset()
        self._origins_until = 0.0

    async def create(
        self, account_id: int, kind: str, referers: Sequence[str] = (), task_names: Sequence[str] = ()
    ) -> tuple[TaskCredential, str]:
        """Make a credential for an account; returns it and its text, which is shown this once.

        Raises:
            NotFound: no such account.
            FieldsInvalid: an API key without a whitelist, a secret with one, or entries that are none.
        """
        origins = _checked(kind, referers, task_names)
        credential_id = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
        text = f"cs_{credential_id}_{''.join(secrets.choice(_LETTERS) for _ in range(40))}"
        values = {
            "id": credential_id,
            "account_id": account_id,
            "kind": kind,
            "digest": _digest(text),
            "referers": origins,
            "task_names": list(dict.fromkeys(task_names)),
            "created_at": now(),
        }
        credential = await self._database.write(lambda connection: _insert(connection, values))
        self.forget()
        return credential, text

    async def bulk_read(self) -> list[TaskCredential]:
        """Return all credentials, the oldest first, also revoked ones."""
        query = select(task_credentials).order_by(task_credentials.c.created_at, task_credentials.c.id)
        return await self._database.read(lambda connection: [_from_row(row) for row in connection.execute(query)])

    async def revoke(self, credential_id: str) -> TaskCredential:
        """Make a credential void at once; one that is void stays so. ``NotFound`` if there is none."""
        credential = await self._database.write(lambda connection: _revoke(connection, credential_id))
        self.forget()
        return credential

    def forget(self) -> None:
        """Forget what was found out a moment ago: a credential or an account has changed."""
        self._known.forget()
        self._origins_until = 0.0

    async def verify(self, kind: str, text: str) -> tuple[Account, TaskCredential]:
        """Return whom a credential of this kind speaks for, or raise ``Unauthenticated``."""
        if remembered := self._known.find(f"{kind} {text}"):
            return remembered
        generation = self._known.generation
        match = _TEXT.fullmatch(text)
        row = await self._database.read(lambda connection: _find(connection, match[1])) if match else None
        if row is None or not hmac.compare_digest(row.digest, _digest(text)):
            raise Unauthenticated("TASK_CREDENTIAL_WAS_BROKEN")
        found = as_account(row.account), _from_row(row.credential)
        account, credential = found
        if credential.kind != kind or credential.revoked_at is not None or not account.is_active:
            raise Unauthenticated("TASK_CREDENTIAL_WAS_BROKEN")
        self._known.remember(f"{kind} {text}", found, generation)
        self._note_use(credential)
        return found

    async def knows(self, origin: str) -> bool:
        """Whether an API key that is not revoked has this origin (as `origin_of` returns it) in its whitelist."""
        if time.monotonic() > self._origins_until:
            generation = self._known.generation
            self._origins = await self._database.read(_all_origins)
            if generation == self._known.generation:
                self._origins_until = time.monotonic() + SECONDS
        return origin in self._origins

    def _note_use(self, credential: TaskCredential) -> None:
        moment = now()
        before = moment - NOTE_USE_AFTER
        if credential.used_at is None or credential.used_at < before:
            table = task_credentials
            stale = table.c.used_at.is_(None) | (table.c.used_at < before)
            statement = update(table).where(table.c.id == credential.id, stale).values(used_at=moment)
            self._database.submit(lambda connection: connection.execute(statement))


@dataclass(frozen=True)
class _Found:
    digest: str
    credential: Row[Any]
    account: Row[Any]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checked(kind: str, referers: Sequence[str], task_names: Sequence[str]) -> list[str]:
    errors: dict[str, list[str]] = {}
    if kind not in KINDS:
        errors["kind"] = [f"must be one of {', '.join(KINDS)}"]
    if kind == SECRET and (referers or task_names):
        errors["referers"] = ["a secret has no whitelists: it is for programs, not for web pages"]
    if kind == API_KEY and not referers:
        errors["referers"] = ["name at least one origin whose pages may use the key, as https://lab.example"]
    origins: dict[str, None] = {}
    for text in referers:
        origin = origin_of(text)
        # A path would promise more than can be held: pages tell their origin only.
        if origin is None or text.rstrip("/").count("/") > 2 or "?" in text or "#" in text:
            errors["referers"] = [f"{text!r} is no origin: write scheme and host, as https://lab.example"]
        else:
            origins[origin] = None
    if not all(0 < len(name) <= LONGEST_NAME for name in task_names):
        errors["task_names"] = [f"a task's name has 1 to {LONGEST_NAME} characters"]
    if max(len(referers), len(task_names)) > MOST_ENTRIES:
        errors["referers"] = [f"at most {MOST_ENTRIES} origins and {MOST_ENTRIES} task names"]
    if errors:
        raise FieldsInvalid(errors)
    return list(origins)


def _insert(connection: Connection, values: dict[str, Any]) -> TaskCredential:
    read_account(connection, values["account_id"])
    connection.execute(insert(task_credentials).values(values))
    return _read(connection, values["id"])


def _read(connection: Connection, credential_id: str) -> TaskCredential:
    query = select(task_credentials).where(task_credentials.c.id == credential_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound("task credential")
    return _from_row(row)


def _revoke(connection: Connection, credential_id: str) -> TaskCredential:
    table = task_credentials
    live = (table.c.id == credential_id) & table.c.revoked_at.is_(None)
    connection.execute(update(table).where(live).values(revoked_at=now()))
    return _read(connection, credential_id)


def _find(connection: Connection, credential_id: str) -> _Found | None:
    table = task_credentials
    credential = connection.execute(select(table).where(table.c.id == credential_id)).one_or_none()
    if credential is None:
        return None
    account = connection.execute(select(accounts).where(accounts.c.id == credential.account_id)).one()
    return _Found(credential.digest, credential, account)


def _all_origins(connection: Connection) -> frozenset[str]:
    query = select(task_credentials.c.referers).where(task_credentials.c.revoked_at.is_(None))
    return frozenset(origin for origins in connection.execute(query).scalars() for origin in origins)


def _from_row(row: Row[Any]) -> TaskCredential:
    return TaskCredential(
        row.id,
        row.account_id,
        row.kind,
        tuple(row.referers),
        tuple(row.task_names),
        row.created_at,
        row.used_at,
        row.revoked_at,
    )
