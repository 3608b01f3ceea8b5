"""How the command line administers a workspace, whether a server has it open or not.

If no server owns the data directory, the rules are called directly. If one does, the same commands go to it over HTTP,
signed with the directory's own key: whoever can read that key owns the workspace anyway.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..accounts.tokens import Claims, TokenSigner
from ..errors import Conflict, CosphereError, Invalid, NotFound, Unavailable
from ..services import Services, Settings

ELSEWHERE = "WORKSPACE_IS_SERVED_ELSEWHERE"
CREDENTIALS = "accounts/task_credentials/"
ACTIONS = "api/v1/actions/"
_PATIENCE = 30.0


class AdministrationError(Exception):
    """The command could not be done; the text says why."""


class StillStarting(AdministrationError):
    """Another process holds the workspace but cannot be asked yet: a server that starts, or another command."""


class Administration:
    """The commands about accounts and their credentials; each opens the workspace for a moment."""

    def __init__(self, data_dir: Path, log: logging.Logger) -> None:
        self._settings = Settings(data_dir=data_dir, data_folders=())
        self._log = log

    @property
    def data_dir(self) -> Path:
        """The workspace that is administered."""
        return self._settings.data_dir

    def create(self, values: dict[str, Any]) -> dict[str, Any]:
        """Create an account and return it."""
        return self._run(
            lambda services: services.accounts.create(**values),
            lambda server: server.call("POST", "accounts/", values),
        )

    def list(self) -> list[dict[str, Any]]:
        """Return all accounts."""
        found = self._run(
            lambda services: services.accounts.bulk_read(),
            lambda server: server.call("GET", "accounts/")["accounts"],
        )
        return list(found)

    def token(self, email: str) -> str:
        """Return a new JWT for the account with this e-mail address."""

        async def directly(services: Services) -> str:
            return await services.accounts.issue_token((await services.accounts.find(email)).id)

        return str(self._run(directly, lambda server: server.token(email)))

    def set_active(self, email: str, is_active: bool) -> None:
        """Disable the account with this e-mail address, so that its credentials are void at once, or enable it.

        What was void stays void: whoever is enabled signs in again.
        """

        async def directly(services: Services) -> None:
            await services.accounts.update((await services.accounts.find(email)).id, {"is_active": is_active})

        self._run(directly, lambda server: server.set_active(email, is_active))

    def credentials(self) -> Sequence[dict[str, Any]]:
        """Return all secrets and API keys, without their texts."""
        found: Sequence[dict[str, Any]] = self._run(
            lambda services: services.task_credentials.bulk_read(),
            lambda server: server.call("GET", CREDENTIALS)["task_credentials"],
        )
        return found

    def create_credential(self, email: str | None, values: dict[str, Any]) -> str:
        """Create a secret or an API key for an account (None: the owner's) and return its text."""

        async def directly(services: Services) -> str:
            accounts = services.accounts
            account = await (accounts.find(email) if email else accounts.owner())
            return (await services.task_credentials.create(account.id, **values))[1]

        return str(self._run(directly, lambda server: server.create_credential(email, values)))

    def revoke_credential(self, credential_id: str) -> None:
        """Make a secret or an API key void at once."""
        self._run(
            lambda services: services.task_credentials.revoke(credential_id),
            lambda server: server.call("DELETE", f"{CREDENTIALS}{credential_id}"),
        )

    def create_action(self, body: Any) -> dict[str, Any]:
        """Create an action of objects and return it."""
        from ..objects.actions import entity_of

        async def directly(services: Services) -> dict[str, Any]:
            return entity_of(await services.actions.create(body, await services.accounts.owner()))

        return dict(self._run(directly, lambda server: server.call("POST", ACTIONS, body)))

    def actions(self) -> Sequence[dict[str, Any]]:
        """Return all actions of objects."""
        from ..objects.actions import entity_of

        async def directly(services: Services) -> Sequence[dict[str, Any]]:
            return [entity_of(action) for action in await services.actions.bulk_read()]

        found: Sequence[dict[str, Any]] = self._run(directly, lambda server: server.request("GET", ACTIONS))
        return found

    def _run(self, directly: Callable[[Services], Awaitable[Any]], over_http: Callable[[_Server], Any]) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._try(directly, over_http)
            except StillStarting:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _try(self, directly: Callable[[Services], Awaitable[Any]], over_http: Callable[[_Server], Any]) -> Any:
        try:
            return asyncio.run(self._directly(directly))
        except Unavailable as error:
            if error.event != ELSEWHERE:
                raise AdministrationError(f"{error} ({error.__cause__})" if error.__cause__ else str(error)) from None
        except CosphereError as error:
            raise AdministrationError(_words(error)) from None
        return over_http(_Server(self._settings.data_dir))

    async def _directly(self, directly: Callable[[Services], Awaitable[Any]]) -> Any:
        services = Services(self._settings, self._log, runs_tasks=False)
        await services.ready()
        try:
            return _plain(await directly(services))
        finally:
            await services.stop()


class _Server:
    """The server that has the workspace open."""

    def __init__(self, data_dir: Path) -> None:
        from ..database.ownership import Ownership

        owner = Ownership(data_dir).owner()
        self.url, account = str(owner.get("url") or ""), owner.get("account")
        if not self.url or not account:
            raise StillStarting(f"process {owner.get('pid', 'unknown')} has this workspace open and does not answer")
        if not self.url.startswith(("http://", "https://")):
            raise AdministrationError(f"the server at {self.url} cannot be reached from here; stop it first")
        signer = TokenSigner((data_dir / "keys" / "jwt.key").read_bytes(), lifetime=300)
        claims = Claims(account["id"], account["email"], account["type"], account["epoch"])
        self._headers = {"Authorization": f"Bearer {signer.sign(claims)}"}

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(self.request(method, path, body))

    def request(self, method: str, path: str, body: Any = None) -> Any:
        import httpx

        url = f"{self.url.rstrip('/')}/cosphere/{path}"
        try:
            answer = httpx.request(
                method,
                url,
                json=body,
                headers=self._headers,
                timeout=_PATIENCE,
                trust_env=False,
                verify=not _is_loopback(url),
            )
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise AdministrationError(f"the server at {self.url} has this workspace open but: {error}") from None
        if answer.status_code >= 400:
            raise AdministrationError(_words_of(content))
        return content

    def token(self, email: str) -> str:
        return str(self.call("POST", f"accounts/{self._id(email)}/auth_tokens/")["token"])

    def set_active(self, email: str, is_active: bool) -> None:
        self.call("PUT", f"accounts/{self._id(email)}", {"is_active": is_active})

    def create_credential(self, email: str | None, values: dict[str, Any]) -> str:
        account = {"account_id": self._id(email)} if email else {}
        return str(self.call("POST", CREDENTIALS, {**account, **values})["credential"])

    def _id(self, email: str) -> int:
        for account in self.call("GET", "accounts/")["accounts"]:
            if account["email"] == email:
                return int(account["id"])
        raise AdministrationError("no such account")


def _plain(result: Any) -> Any:
    """Turn accounts and credentials into what the server would answer, so that both ways give the same."""
    from ..accounts.service import Account
    from ..accounts.task_credentials import TaskCredential

    if isinstance(result, list):
        return [_plain(each) for each in result]
    return dict(vars(result)) if isinstance(result, Account | TaskCredential) else result


def _words(error: CosphereError) -> str:
    if isinstance(error, Invalid | NotFound):
        return str(error)
    if isinstance(error, Conflict):
        return _sentence(error.event)
    return str(error)


def _words_of(content: dict[str, Any]) -> str:
    if errors := content.get("errors"):
        return "; ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items())
    return str(content.get("message") or _sentence(content.get("@event", "unknown error")))


def _sentence(event: str) -> str:
    return event.replace("_", " ").lower()


def _is_loopback(url: str) -> bool:
    """A server on this machine may well have a certificate of its own making."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
