"""What a run or make waits for, decided inside a transaction: its parents, its owner's quotas.

A bundle that waits is no task yet and takes no slot. Source: the CodaLab API's semantics, section 7; the texts are its.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, exists, func, select

from ..accounts.service import read_account
from ..errors import AccessDenied, QuotaExceeded
from ..tasks import records as tasks
from .access import READ, demand
from .durations import show_seconds
from .records import (
    ACTIVE_STATES,
    CREATED,
    FAILED,
    FINAL_STATES,
    KILLED,
    STAGED,
    Bundle,
    read_bundles,
    update_bundle,
)
from .tables import bundle_dependencies, bundles
from .usage import Usage, read_usage

RUN, MAKE = "run", "make"
WAITING_STATES = (CREATED, STAGED)
USE_FLAG = "(Please use the --allow-failed-dependencies flag to depend on results of failed or killed bundles) "
FREE_SLOT = "Waiting for a free slot of this server."
# Names that are listed; more are counted.
NAMED = 5


def is_waiting(connection: Connection) -> bool:
    """Whether any run or make is no task yet."""
    return connection.execute(select(bundles.c.id).where(_WAITS).limit(1)).first() is not None


def ripe(connection: Connection) -> list[str]:
    """Return those of the waiting whose parents have all ended, or are gone; the oldest first."""
    parent = bundles.alias("parent")
    unfinished = (
        select(bundle_dependencies.c.bundle_id)
        .join(parent, parent.c.uuid == bundle_dependencies.c.parent_uuid)
        .where(bundle_dependencies.c.bundle_id == bundles.c.id, parent.c.state.not_in(FINAL_STATES))
        .where(parent.c.id != bundles.c.id)
    )
    query = select(bundles.c.uuid).where(_WAITS, ~exists(unfinished)).order_by(bundles.c.id)
    return list(connection.execute(query).scalars())


_WAITS = and_(bundles.c.bundle_type.in_((RUN, MAKE)), bundles.c.state.in_(WAITING_STATES), bundles.c.task_key.is_(None))


def stage(connection: Connection, bundle: Bundle) -> Bundle:
    """Take a waiting run or make as far as it can go: to *failed*, to *staged* with a task, or on waiting with why."""
    if bundle.state not in WAITING_STATES or bundle.task_key is not None:
        return bundle
    parents = read_bundles(connection, [each.parent_uuid for each in bundle.dependencies])
    problem = problem_of(connection, bundle)
    if problem is not None:
        return update_bundle(connection, bundle, state=FAILED, metadata={"failure_message": problem})
    if pending := [each for each in parents.values() if each.state not in FINAL_STATES]:
        return _wait(connection, bundle, CREATED, _waits_for(pending))
    if bundle.bundle_type == RUN:
        usage = read_usage(connection, bundle.owner_id)
        try:
            demand_time(usage)
        except QuotaExceeded as error:
            return update_bundle(connection, bundle, state=FAILED, metadata={"failure_message": str(error)})
        running = running_of(connection, bundle.owner_id)
        if usage.parallel_run_quota is not None and running >= usage.parallel_run_quota:
            why = f"Waiting: {running} of your runs are running, and your parallel run quota is "
            return _wait(connection, bundle, STAGED, f"{why}{usage.parallel_run_quota}.")
    # Copying may be done again after a crash; whether a command may, nobody knows.
    again = bundle.bundle_type == MAKE
    key = tasks.enqueue(
        connection,
        bundle.bundle_type,
        {"uuid": bundle.uuid},
        bundle.owner_id,
        is_idempotent=again,
        max_attempts=3 if again else 1,
    )
    return update_bundle(connection, bundle, state=STAGED, task_key=key, metadata={"staged_status": FREE_SLOT})


def _wait(connection: Connection, bundle: Bundle, state: str, why: str) -> Bundle:
    if bundle.state == state and bundle.metadata.get("staged_status") == why:
        return bundle
    return update_bundle(connection, bundle, state=state, metadata={"staged_status": why})


def _waits_for(pending: list[Bundle]) -> str:
    named = ", ".join(f"{each.name}({each.uuid}) is {each.state}" for each in pending[:NAMED])
    more = f", and {len(pending) - NAMED} more" if len(pending) > NAMED else ""
    return f"Waiting for parent bundles: {named}{more}."


def problem_of(connection: Connection, bundle: Bundle) -> str | None:
    """Return why a run can never begin, None if it may."""
    account = read_account(connection, bundle.owner_id)
    parents = read_bundles(connection, [each.parent_uuid for each in bundle.dependencies])
    wanted = dict.fromkeys(each.parent_uuid for each in bundle.dependencies)
    if missing := [uuid for uuid in wanted if uuid not in parents or uuid == bundle.uuid]:
        return f"Missing parent bundles: {', '.join(missing)}"
    try:
        for uuid in wanted:
            demand(connection, uuid, account, READ)
    except AccessDenied as error:
        return str(error)
    if bundle.metadata.get("allow_failed_dependencies"):
        return None
    texts = {FAILED: "Parent bundles failed: ", KILLED: "Parent bundles were killed: "}
    said = ""
    for state, text in texts.items():
        if ended := [uuid for uuid in wanted if parents[uuid].state == state]:
            said += f"{text}{', '.join(ended)} "
    return said + USE_FLAG if said else None


def running_of(connection: Connection, account_id: int) -> int:
    """Return how many runs of an account are tasks that have not ended."""
    is_at_work = bundles.c.state.in_(ACTIVE_STATES) | ((bundles.c.state == STAGED) & bundles.c.task_key.is_not(None))
    query = select(func.count()).where(bundles.c.owner_id == account_id, bundles.c.bundle_type == RUN, is_at_work)
    return int(connection.execute(query).scalar_one())


def unfinished(connection: Connection) -> list[dict[str, Any]]:
    """Return ``{"uuid", "task_key", "state"}`` of all runs and makes that some task has, or had, at work."""
    is_at_work = bundles.c.state.in_(ACTIVE_STATES) | ((bundles.c.state == STAGED) & bundles.c.task_key.is_not(None))
    query = select(bundles.c.uuid, bundles.c.task_key, bundles.c.state).where(
        bundles.c.bundle_type.in_((RUN, MAKE)), is_at_work
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def demand_time(usage: Usage) -> None:
    """Raise ``QuotaExceeded`` if an account has used up the time of runs that it has."""
    quota, used = usage.time_quota, usage.time_used
    if quota is not None and used >= quota:
        share = f" ({100 * used / quota:.1f}%)" if quota else ""
        raise QuotaExceeded(f"Out of time quota: {show_seconds(used)} / {show_seconds(quota)}{share}")
