"""Secrets and API keys over HTTP, for ADMINs: what ``jupyter cosphere secret`` and ``apikey`` do.

These commands are ours, in the CoSphere API's envelope.
"""

from __future__ import annotations

from typing import Any

from ..accounts.task_credentials import KINDS, TaskCredential, as_written
from .cosphere import CosphereHandler
from .fields import Choice, Field, Integer, Json


def _text_errors(value: Any) -> list[str]:
    is_texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return [] if is_texts else ["A list of texts is required."]


CREATE_FIELDS: dict[str, Field] = {
    "kind": Choice(KINDS),
    "account_id": Integer(default=None),
    "referers": Json(_text_errors, default=()),
    "task_names": Json(_text_errors, default=()),
}


class TaskCredentialsHandler(CosphereHandler):
    """``/accounts/task_credentials/``."""

    async def get(self) -> None:
        """BULK_READ_TASK_CREDENTIALS, without their texts."""
        credentials = await self.services.task_credentials.bulk_read()
        entities = [entity_of(credential) for credential in credentials]
        self.send_event("TASK_CREDENTIALS_BULK_READ", "task_credentials_list", task_credentials=entities)

    async def post(self) -> None:
        """CREATE_TASK_CREDENTIAL; ``credential`` is its text, told this once. Without ``account_id`` the caller's."""
        values = await self.body(CREATE_FIELDS)
        account_id = values.pop("account_id") or self.account.id
        credential, text = await self.services.task_credentials.create(account_id, **values)
        self.send_json({"@event": "TASK_CREDENTIAL_CREATED", **entity_of(credential), "credential": text}, 201)


class TaskCredentialHandler(CosphereHandler):
    """``/accounts/task_credentials/{id}``."""

    async def delete(self, credential_id: str) -> None:
        """REVOKE_TASK_CREDENTIAL: void at once; it stays in the list."""
        credential = await self.services.task_credentials.revoke(credential_id)
        self.send_json({"@event": "TASK_CREDENTIAL_REVOKED", **entity_of(credential)})


def entity_of(credential: TaskCredential) -> dict[str, Any]:
    """Return what everybody who may list credentials is told of one: not its text, which is stored nowhere."""
    origins = [as_written(origin) for origin in credential.referers]
    return {"@type": "task_credential", **vars(credential), "referers": origins}
