"""What all features' tables share: one metadata, naming rules and column types.

Each feature keeps its own ``tables.py``; ``all_tables()`` loads them, for migrations and tests.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import orjson
from sqlalchemy import DateTime, MetaData, Text
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware datetimes in, aware UTC datetimes out, on databases with and without time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Store as naive UTC."""
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Give back as aware UTC."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Json(TypeDecorator[Any]):
    """JSON kept as text, so that ``18.0`` stays a float and keys keep their order (jsonb would sort them)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Encode; None is SQL NULL."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        """Decode."""
        return None if value is None else orjson.loads(value)


def now() -> datetime:
    """The present instant, aware, UTC."""
    return datetime.now(timezone.utc)


def all_tables() -> MetaData:
    """Return the metadata with the tables of every feature loaded."""
    from ..accounts import tables as _accounts
    from ..bundles import tables as _bundles
    from ..catalogue import tables as _catalogue
    from ..downloads import tables as _downloads
    from ..exports import tables as _exports
    from ..objects import tables as _objects
    from ..permissions import tables as _permissions
    from ..tasks import tables as _tasks

    del _accounts, _bundles, _catalogue, _downloads, _exports, _objects, _permissions, _tasks
    return metadata
