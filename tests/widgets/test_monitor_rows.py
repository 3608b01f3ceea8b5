"""How tasks stand in the monitor's list, and which names their rows may get."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from cosphere_jupyter.client.statuses import TaskStatus
from cosphere_jupyter.client.tasks import Task
from cosphere_jupyter.widgets import monitor_rows as rows
from cosphere_jupyter.widgets.monitor_names import free_name, put, wrong_name

KEY = "XIFSKAOLMCFDIXXAHKUAQU2P5U"
QUEUED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SPEC = {
    "columns": ["carrier", "dep_delay"],
    "filters": [{"name": "dep_delay", "operator": ">", "value": 30}],
    "randomize_ratio": 0.1,
}
OF_REQUEST = {"request_id": 7, "fingerprint": "f", "catalogue_item_id": 3, "catalogue_item": "flights", "spec": SPEC}


def task(name: str | None = "hello", status: str = "success", **values: Any) -> Task:
    events = {"queued": QUEUED}
    if status != "queued":
        events["started"] = QUEUED + timedelta(seconds=1)
    if status in ("success", "error"):
        events["completed"] = QUEUED + timedelta(seconds=3)
    return Task(None, TaskStatus(KEY, status, name=name, events=events, **values))  # type: ignore[arg-type]


def test_a_request_is_named_by_its_table_and_told_apart_by_its_selection() -> None:
    shown = rows.row(task("download", parameters=OF_REQUEST, result={"rows": 48_291, "bytes": 73_200}), 0.0)
    assert (shown["title"], shown["kind"]) == ("flights", "request")
    assert shown["note"] == "carrier, dep_delay · dep_delay > 30 · 10 % of the rows"
    assert (shown["facts"], shown["words"]) == ("48,291 rows, 73.2 kB", "Done")
    assert shown["actions"] == ["load"], "asking again would give the same request"
    assert (shown["queued"], shown["started"], shown["completed"]) == tuple(QUEUED.timestamp() + s for s in (0, 1, 3))


def test_a_request_for_thousands_of_columns_has_its_name_and_can_be_loaded() -> None:
    """Of long parameters the server tells only the short ones."""
    in_part = {name: value for name, value in OF_REQUEST.items() if name != "spec"}
    shown = rows.row(task("download", parameters_in_part=in_part, result={"rows": 3, "bytes": 70}), 0.0)
    assert (shown["title"], shown["kind"], shown["note"]) == ("flights", "request", "")
    assert shown["actions"] == ["load"]
    failed = rows.row(task("download", "error", parameters_in_part=in_part, result=None), 0.0)
    assert failed["actions"] == [], "what it was asked for is not known"


def test_a_typed_download_can_be_loaded_if_its_file_has_rows() -> None:
    parameters = {"download_type": "catalogue", "info": {"format": "parquet"}}
    result = {"download_id": "a-b", "rows": 6, "size": 900, "file": "catalogue.parquet"}
    shown = rows.row(task("export", parameters=parameters, result=result), 0.0)
    assert (shown["title"], shown["kind"], shown["note"]) == ("catalogue", "download", "format=parquet")
    assert (shown["facts"], shown["actions"]) == ("6 rows, 900 B", ["load", "save", "again"])
    other = rows.row(task("export", parameters=parameters, result={**result, "file": "catalogue.zip"}), 0.0)
    assert other["actions"] == ["save", "again"]


def test_what_runs_can_be_cancelled_and_tells_its_share() -> None:
    shown = rows.row(task("lab.nap", "executing", progress={"fraction": 0.25}, parameters={"seconds": 3}), 12.5)
    assert (shown["state"], shown["fraction"], shown["heard"], shown["actions"]) == (
        "executing",
        0.25,
        12.5,
        ["cancel"],
    )
    assert rows.row(task("lab.nap", "executing"), 1.0, is_busy=True)["actions"] == []


def test_a_failure_says_why_and_a_cancelled_task_is_no_failure() -> None:
    failed = rows.row(task("hello", "error", details="13 is unlucky", parameters={}), 0.0)
    assert (failed["state"], failed["words"], failed["error"]) == ("error", "Failed", "13 is unlucky")
    assert failed["actions"] == ["again"]
    ended = rows.row(task("download", "error", details="cancelled by ada@lab.example", parameters=OF_REQUEST), 0.0)
    assert (ended["state"], ended["words"], ended["error"]) == ("cancelled", "Cancelled", "")
    assert ended["actions"] == ["again"]


def test_a_task_of_which_little_is_known_is_shown_all_the_same() -> None:
    shown = rows.row(task(None, "error", details=None), 0.0)
    assert (shown["title"], shown["actions"], shown["note"]) == ("a task", [], "")
    for parameters in (
        {},
        {"request_id": "7", "spec": 5},
        {"spec": {"columns": 1, "filters": {}}},
        {"spec": {"filters": [1]}},
    ):
        assert rows.row(task("download", parameters=parameters, result=[1]), 0.0)["actions"] == []


def test_secrets_among_parameters_and_in_links_are_not_shown() -> None:
    parameters = {
        "url": "https://store.example/cat.jpg?X-Amz-Signature=abcdef",
        "api_token": "tok-123456",
        "password": "hunter2",
        "width": 100,
    }
    link = "http://127.0.0.1/results/aa/" + "b" * 64 + f"/{KEY}-1/thumb.jpg?signature=abcdef"
    text = str(rows.row(task("image.thumb", parameters=parameters, result={"image": link}), 0.0))
    assert "url=https://store.example/cat.jpg, " in text and "width=100" in text
    for secret in ("abcdef", "tok-123456", "hunter2"):
        assert secret not in text


def test_steering_characters_do_not_reach_the_page() -> None:
    shown = rows.row(task("lab.text\u2028\x1b[31m", "error", details="no\x00\x1b[31m\u2028way"), 0.0)
    assert not any(set(str(value)) & set("\x00\x1b\u2028") for value in shown.values())
    assert math.isclose(rows.queued_at(task()), QUEUED.timestamp())


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("flights", "flights_df"),
        ("Late flights 2013!", "late_flights_2013_df"),
        ("2013", "t_2013_df"),
        ("日本", "rows_df"),
    ],
)
def test_a_free_name_is_made_of_the_table_s(table: str, name: str) -> None:
    assert free_name(table, {}) == name
    assert wrong_name(name, {}) == ""
    assert free_name(table, {name: 1, f"{name}2": 1}) == f"{name}3"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "missing"),
        ("2013", "does not begin with a digit"),
        ("late flights", "letters, digits"),
        ("a" * 101, "letters, digits"),
        ("for", "a word of Python"),
        ("None", "a word of Python"),
        ("list", "means something else"),
        ("_", "means something else"),
        ("__name__", "means something else"),
        ("In", "means something else"),
        ("get_ipython", "means something else"),
        ("ws", "is taken: by a object"),
    ],
)
def test_names_that_mean_something_else_are_refused(name: str, words: str) -> None:
    assert words in wrong_name(name, {"ws": object()})


def test_a_frame_may_take_the_name_of_another_one() -> None:
    assert wrong_name("late", {"late": pd.DataFrame()}) == ""


def test_outside_of_a_notebook_there_are_no_variables() -> None:
    assert not put("late", pd.DataFrame())
    assert "late" not in globals()
