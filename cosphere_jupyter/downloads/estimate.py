"""How big the result of a request will be, before anything is run.

Rows are counted exactly where a second is enough; else the matching rows of the stored sample tell, and where too few
of them match, what is known of each column by itself. Each finished request corrects the table's factor, by which
estimates of bytes are multiplied where no rows of the present data show better.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..catalogue.service import CatalogueItem, Profile, Profiles, read_profile, store_factor
from ..database.engine import Database
from ..errors import ExecutionError, Unavailable
from ..executors.base import Query
from ..executors.duckdb.executor import DuckDBExecutor
from ..tasks.engine import Call, TaskEngine
from . import spec as rules
from .sizing import LEAST_PROBE, Model, Probe, empty_size

if TYPE_CHECKING:
    from .service import DownloadRequest, Downloads

COUNT_SECONDS = 1.2
CALL_SECONDS = 20.0
AT_ONCE = 2
# With fewer matching rows, a sample knows less than the columns' histograms.
FEW = 30
# How fast the factor follows, the requests it learns from, and its bounds.
LEARNING = 0.2
LEARNT_ROWS = 1_000
LEAST_FACTOR, GREATEST_FACTOR = 0.5, 2.0
LEAST_RATIO, GREATEST_RATIO = 0.25, 4.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """Bytes of the result with likely bounds, its rows (None if nobody knows), and how this was found out.

    Where nothing is known at all the bounds are None, too, and the size is 0: the API wants a number.
    """

    size: int
    rows: int | None
    low: int | None
    high: int | None
    method: str


class Estimates:
    """Answers how big a request's result will be."""

    def __init__(
        self, database: Database, downloads: Downloads, engine: TaskEngine, duckdb: DuckDBExecutor, profiles: Profiles
    ) -> None:
        self._database = database
        self._downloads = downloads
        self._engine = engine
        self._duckdb = duckdb
        self._profiles = profiles
        self._places = asyncio.Semaphore(AT_ONCE)

    async def estimate(self, item_id: int, spec: Mapping[str, Any], caller: Account) -> Estimate:
        """Estimate a request; wrong ones are refused as they are when a request is created."""
        item, query = await self._downloads.select(item_id, spec, caller)
        profile = await self._database.read(lambda connection: read_profile(connection, item.id))
        if item.executor_type != "DUCKDB":
            return combine(item, query, None, None)
        source = await asyncio.to_thread(self._duckdb.resolve, item.source or "")
        types = {column["name"]: column["type"] for column in item.spec}
        is_current = profile is not None and profile.data_version == source.version
        sample = self._profiles.sample_of(profile) if profile is not None and _fits(item, query, profile) else None
        params = self._duckdb.estimate_params(source, query, types, sample, COUNT_SECONDS)
        try:
            async with self._places:
                found = await self._engine.call(Call(self._duckdb.estimate_entry, params), CALL_SECONDS)
        except (ExecutionError, Unavailable) as error:
            _log.info("Item %s: cannot look at the data for an estimate: %s", item.id, error)
            found = None
        return combine(item, query, profile, found, is_current=is_current)


def combine(
    item: CatalogueItem,
    query: Query,
    profile: Profile | None,
    found: Mapping[str, Any] | None,
    *,
    is_current: bool = True,
) -> Estimate:
    """Put together what a profile knows and what ``found`` (see `estimating.measure`) says of this query."""
    if query.ratio == 0:
        return _exactly(empty_size(query), 0, "nothing is asked for")
    written = found["probe"] if found else None
    probe = Probe(**written) if written else None
    counted, is_sample = (found["rows"], found["is_sample"]) if found else (None, False)
    if probe and not is_sample and counted == probe.rows:
        return _exactly(probe.overhead + sum(probe.columns.values()), counted, "written for a try")
    model = Model.of_profile(item, profile, query, is_current) if profile else Model.of_item(item)
    if probe and not is_sample:
        model = model.with_probe(probe)
    rows = _counted(counted) or _rows_of(model, query, probe if is_sample else None, (found or {}).get("table_rows"))
    if rows is None:
        return _of_sizes(item, query, model)
    doubt = _doubt(profile, probe, is_current)

    def size(number: float) -> float:
        return model.size(item, query, number, probe if is_sample else None)

    low, likely, high = size(rows.least) / doubt, size(rows.likely), size(rows.most) * doubt
    if rows.most == 0:
        return _exactly(probe.overhead if probe and not probe.rows else likely, 0, rows.method)
    method = f"{rows.method}; {_method(profile, probe, is_sample)}"
    return Estimate(round(likely), round(rows.likely), math.floor(low), math.ceil(high), method)


@dataclass(frozen=True)
class _Rows:
    """A number of rows, likely bounds of it, and how it was found."""

    likely: float
    least: float
    most: float
    method: str


def _counted(rows: int | None) -> _Rows | None:
    return None if rows is None else _Rows(rows, rows, rows, "counted")


def _rows_of(model: Model, query: Query, probe: Probe | None, table_rows: int | None) -> _Rows | None:
    """Estimate the rows that nobody has counted."""
    total = model.rows or table_rows
    if total is None:
        return None
    known = model.fraction(query)
    if probe is None or not model.sample_rows:
        likely = total * known * query.ratio
        if not query.filters and model.sample_rows and model.is_current:
            drawn = 2 * math.sqrt(likely * (1 - query.ratio))
            return _Rows(likely, max(0.0, likely - drawn), min(likely + drawn, total), "all rows of the table")
        return _Rows(likely, likely / 3, min(likely * 3, total), "from the distributions of the columns")
    seen, of = probe.rows, model.sample_rows
    spread = 2 * math.sqrt(seen * max(0.0, 1 - seen / of)) if of < total else 0.0
    share, method = seen / of, f"from {seen} of {of} rows of the sample"
    if of < total and seen < FEW:
        # Rarer than the sample can tell: what each column says by itself counts as much as two rows that were seen.
        share = share ** (seen / (seen + 2)) * known ** (2 / (seen + 2)) if seen else min(known, 1 / of)
        spread = 2 * math.sqrt(seen + 1) + 1
        method = f"{method} and the distributions of the columns"
    scale = total * query.ratio
    drawn = 2 * math.sqrt(scale * share * (1 - query.ratio))
    least = max(0.0, scale * min(share, max(0.0, seen - spread) / of) - drawn)
    most = min(scale * max(share, (seen + spread) / of) + drawn, total)
    return _Rows(scale * share, least, most, method)


def _exactly(size: float, rows: int, method: str) -> Estimate:
    return Estimate(round(size), rows, round(size), round(size), method)


def _of_sizes(item: CatalogueItem, query: Query, model: Model) -> Estimate:
    """Estimate where not even the number of rows of the table is known."""
    known = [column["size"] for column in item.spec if column["name"] in query.columns and column["size"] is not None]
    size = max(0.0, sum(known)) * model.fraction(query) * query.ratio
    if not known:
        return Estimate(0, None, None, None, "nothing is known of this table")
    return Estimate(round(size), None, math.floor(size / 10), math.ceil(size * 10), "from the sizes of the columns")


def _doubt(profile: Profile | None, probe: Probe | None, is_current: bool) -> float:
    """Return by how much the bytes of so many rows may be wrong, as a factor."""
    rows = probe.rows if probe else 0
    doubt = 1.15 if rows >= 1_000 else 1.25 if rows >= 100 else 1.5
    if profile is None:
        doubt *= 1.2 if probe else 2.0
    return doubt if is_current else doubt * 1.3


def _method(profile: Profile | None, probe: Probe | None, is_sample: bool) -> str:
    if probe and not is_sample:
        return f"bytes of {probe.rows} rows of the result"
    if probe and probe.rows >= LEAST_PROBE:
        return f"bytes of {probe.rows} rows of the sample"
    return "bytes of the columns" if profile else "bytes of the catalogue's sizes"


def _fits(item: CatalogueItem, query: Query, profile: Profile) -> bool:
    """Whether the profile is about the columns of this query as the item has them now."""
    known = profile.facts["columns"]
    names = {*query.columns, *(each.column for each in query.filters)}
    return all(name in known and known[name]["type"] == (item.column(name) or {}).get("type") for name in names)


# -- beside the life of requests ---------------------------------------------------------------------------------------


def quick_estimate(connection: Connection, item: CatalogueItem, query: Query, version: str) -> Estimate | None:
    """Return the estimate of a new request from the item's profile alone, None without one. Never fails."""
    try:
        profile = read_profile(connection, item.id)
        is_current = profile is not None and profile.data_version == version
        return None if profile is None else combine(item, query, profile, None, is_current=is_current)
    except Exception:
        _log.exception("Item %s: no size could be estimated", item.id)
        return None


def learn(connection: Connection, request: DownloadRequest) -> None:
    """Correct the factor of a table by a finished request: its real bytes over those expected of its rows."""
    try:
        profile = read_profile(connection, request.item.id)
        query = rules.select(request.item, request.spec)
        if profile is None or isinstance(query, str):
            return
        factor = learnt_factor(request.item, query, profile, (request.result or {})["rows"], request.real_size or 0)
    except Exception:
        _log.exception("Request %s: nothing could be learnt from it", request.id)
        return
    if factor != profile.factor:
        store_factor(connection, request.item.id, factor)


def learnt_factor(item: CatalogueItem, query: Query, profile: Profile, rows: int, size: int) -> float:
    """Return the factor after a request that gave ``rows`` rows and ``size`` bytes: a moving average of logarithms."""
    if rows < LEARNT_ROWS or size <= 0:
        return profile.factor
    expected = replace(Model.of_profile(item, profile, query), factor=1.0).size(item, query, rows)
    ratio = min(max(size / expected, LEAST_RATIO), GREATEST_RATIO)
    factor = profile.factor ** (1 - LEARNING) * ratio**LEARNING
    return min(max(factor, LEAST_FACTOR), GREATEST_FACTOR)
