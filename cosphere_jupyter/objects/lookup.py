"""What data may name in the workspace, asked inside the transaction that checks them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from ..accounts.service import accounts_by_id
from ..json_values import LARGEST_ID
from .dialect import ReferencedAction
from .records import TYPE_IDS
from .tables import actions, object_files, objects


class WorkspaceLookup:
    """Answers for one object; ``object_id`` is None for one that is not there yet."""

    def __init__(self, connection: Connection, object_id: int | None) -> None:
        self._connection = connection
        self._object_id = object_id

    def action_of(self, object_id: int) -> ReferencedAction | None:
        """Return the action that made an object; None without such an object."""
        query = select(actions.c.id, actions.c.type).join(objects, objects.c.action_id == actions.c.id)
        if not 0 < object_id <= LARGEST_ID:
            return None
        row = self._connection.execute(query.where(objects.c.id == object_id)).one_or_none()
        return None if row is None else ReferencedAction(row.id, TYPE_IDS[row.type])

    def has_account(self, account_id: int) -> bool:
        """Whether there is an account of this id."""
        return 0 < account_id <= LARGEST_ID and account_id in accounts_by_id(self._connection, {account_id})

    def file_name(self, file_id: int) -> str | None:
        """Return the name of a file of the object, or its address; None without such a file."""
        if self._object_id is None or not 0 <= file_id <= LARGEST_ID:
            return None
        is_it = (object_files.c.object_id == self._object_id) & (object_files.c.file_id == file_id)
        row = self._connection.execute(select(object_files).where(is_it)).one_or_none()
        return None if row is None else str(row.original_file_name or row.url)
