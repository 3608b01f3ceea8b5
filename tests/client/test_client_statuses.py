"""Statuses of tasks: lines of a stream, what of them is news, and what they say."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter import ApiError, InvalidRequest, NotAllowed, NotFound, NotSignedIn, TaskStatus
from cosphere_jupyter.client.errors import api_error, error_text, is_refusal
from cosphere_jupyter.client.statuses import FINAL, MOST_FINISHED, Lines, News

KEYS = ("6GRQ3H5EHU7GXUTIOSS2GUDPGQ", "5OYA5JQVFIAHYOMLQG5QV3U33M")
DOCUMENT = """\
[{"status": "queued", "events": {"queued": "2013-04-03T15:47:27.703674+00:00"}, "key": "6GRQ3H5EHU7GXUTIOSS2GUDPGQ"}, \
{"status": "queued", "events": {"queued": "2013-04-03T15:47:27.703717+00:00"}, "key": "5OYA5JQVFIAHYOMLQG5QV3U33M"}]
{"status": "executing", "events": {"started": "2013-04-03T15:47:27.707526+00:00", \
"queued": "2013-04-03T15:47:27.703674+00:00"}, "key": "6GRQ3H5EHU7GXUTIOSS2GUDPGQ"}
{"status": "success", "result": "Hello John", "events": {"completed": "2013-04-03T15:47:27.726229+00:00", \
"queued": "2013-04-03T15:47:27.703674+00:00"}, "key": "6GRQ3H5EHU7GXUTIOSS2GUDPGQ"}
{"status": "error", "result": "no name", "events": {"completed": "2013-04-03T15:47:27.729026+00:00", \
"queued": "2013-04-03T15:47:27.703717+00:00"}, "key": "5OYA5JQVFIAHYOMLQG5QV3U33M"}
"""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def status(key: str = "A", status: str = "queued", **others: Any) -> dict[str, Any]:
    return {"key": key, "status": status, "events": {}, **others}


# Lines


@given(st.lists(json_values, max_size=6), st.data(), st.booleans())
def test_lines_are_the_same_wherever_the_bytes_are_cut(values: list[Any], data: st.DataObject, is_ascii: bool):
    # JSON may hold U+2028 and the like as they are: no ends of lines.
    sent = b"".join(json.dumps(value, ensure_ascii=is_ascii).encode(errors="replace") + b"\n" for value in values)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=12)))
    lines = Lines()
    found = [
        each for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) for each in lines.feed(sent[start:end])
    ]
    assert json.dumps(found) == json.dumps([json.loads(line) for line in sent.split(b"\n") if line])


def test_what_others_take_for_the_end_of_a_line_is_none():
    text = "a\u2028b\u2029c\x85d\x0be"
    assert list(Lines().feed(json.dumps(text, ensure_ascii=False).encode() + b"\n")) == [text]


def test_a_line_that_broke_off_is_not_read():
    lines = Lines()
    assert list(lines.feed(b'{"a": 1}\n{"b": 2}')) == [{"a": 1}]
    assert list(lines.feed(b"\n\n \n")) == [{"b": 2}]
    with pytest.raises(ValueError):
        list(lines.feed(b"<html>\n"))


# News


def test_the_documents_stream_is_read():
    news = News(KEYS)
    found = [each for value in Lines().feed(DOCUMENT.encode()) for each in news.of(value)]
    assert [(each.key, each.status) for each in found] == [
        (KEYS[0], "queued"),
        (KEYS[1], "queued"),
        (KEYS[0], "executing"),
        (KEYS[0], "success"),
        (KEYS[1], "error"),
    ]
    assert news.is_over
    assert found[3].result == "Hello John" and found[3].error is None
    assert found[4].result is None and found[4].error == "no name"
    assert found[2].events["started"] == datetime(2013, 4, 3, 15, 47, 27, 707526, timezone.utc)


changes = st.builds(
    status,
    st.sampled_from("ABC"),
    st.sampled_from(["queued", "executing", "success", "error"]),
    progress=st.integers(0, 2),
)


@given(st.lists(changes, max_size=30))
def test_news_never_repeat_and_nothing_follows_the_end(lines: list[dict[str, Any]]):
    news = News()
    found = [each for line in lines for each in news.of(line)]
    for key in "ABC":
        told = [(line["status"], line["progress"]) for line in lines if line["key"] == key]
        expected: list[tuple[str, int]] = []
        for each in told:
            is_over = bool(expected) and expected[-1][0] in FINAL
            if not is_over and (not expected or expected[-1] != each):
                expected.append(each)
        assert [(each.status, each.progress) for each in found if each.key == key] == expected
        assert (key in news.unfinished) == (bool(expected) and expected[-1][0] not in FINAL)
    assert not news.is_over


def test_an_attempt_that_begins_anew_is_news():
    news = News(["A"])
    lines = [status(), status(status="executing"), status(), status(status="executing"), status(status="success")]
    assert [each.status for each in news.of(lines)] == [line["status"] for line in lines]
    assert news.is_over and news.unfinished == []


def test_tasks_that_nobody_asked_for_are_no_news_and_lines_of_other_kinds_do_no_harm():
    news = News(["A"])
    assert list(news.of([status("B"), None, 5, "text", {"key": "A"}, {"status": "queued"}, []])) == []
    assert news.unfinished == ["A"]


def test_an_endless_stream_remembers_so_much_only():
    news = News()
    list(news.of([status(str(number), "success") for number in range(MOST_FINISHED + 5)]))
    assert len(news._finished) == MOST_FINISHED
    assert list(news.of(status(str(MOST_FINISHED), "success"))) == []


# What a status says


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        (90, 0.9),
        (0, 0.0),
        (1, 0.01),
        (0.4, 0.4),
        (1.0, 1.0),
        (55.5, 0.555),
        (100, 1.0),
        ({"fraction": 0.25}, 0.25),
        ({"fraction": 1}, 1.0),
        (None, None),
        (True, None),
        ("half", None),
        (101, None),
        (-1, None),
        (float("nan"), None),
        ({"rows": 5}, None),
        ([1], None),
    ],
)
def test_a_share_is_read_from_progress_where_there_is_one(progress: Any, fraction: float | None):
    assert TaskStatus("A", "executing", progress).fraction == fraction


def test_times_that_are_none_are_left_out():
    found = TaskStatus.from_json(
        status(events={"queued": "2013-04-03T15:47:27Z", "started": "soon", "completed": None})
    )
    assert found.events == {"queued": datetime(2013, 4, 3, 15, 47, 27, tzinfo=timezone.utc)}
    assert TaskStatus.from_json({"key": "A", "status": "queued", "events": 5}).events == {}


def test_what_a_status_shows_holds_no_result_and_steers_no_terminal():
    shown = repr(TaskStatus("A\x1b[31m", "executing", {"text": "\x1b\u202e"}, result="http://host/x?signature=secret"))
    assert "secret" not in shown and "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ("File 'cat.jpeg' is not a valid image file", "File 'cat.jpeg' is not a valid image file"),
        ({"parameters": {"url": ["this field is required"], "width": ["too big", "odd"]}},
         "url: this field is required; width: too big odd"),
        ({"code": 5}, '{"code": 5}'),
        (None, ""),
    ],
)  # fmt: skip
def test_an_error_is_told_as_text(details: Any, text: str):
    assert error_text(details) == text
    assert TaskStatus("A", "error", details=details).error == (
        text or "the task failed, and the server does not say why"
    )


# Errors of each face


@pytest.mark.parametrize(
    ("status", "body", "kind", "text", "errors"),
    [
        (400, {"@event": "E", "errors": {"name": ["is bad."]}}, InvalidRequest, "name: is bad.", {"name": ["is bad."]}),
        (
            400,
            {"status": "error", "errors": [{"name": "tasks", "location": "body", "description": "tasks is missing"}]},
            InvalidRequest,
            "tasks: tasks is missing",
            {"tasks": ["tasks is missing"]},
        ),
        (
            404,
            {"status": "error", "message": "'medium' is not a valid filename, choose one of: 'small', 'large'"},
            NotFound,
            "'medium' is not a valid filename, choose one of: 'small', 'large'",
            {},
        ),
        (
            400,
            {"status": "error", "key": "A", "result": "File 'x' is not a valid image file", "events": {}},
            InvalidRequest,
            "File 'x' is not a valid image file",
            {},
        ),
        (422, {"errors": ["info.id: required"]}, InvalidRequest, "info.id: required", ["info.id: required"]),
        (403, {"errors": ["somebody else's"]}, NotAllowed, "somebody else's", ["somebody else's"]),
    ],
)
def test_each_face_says_no_in_its_own_way(status: int, body: Any, kind: type[ApiError], text: str, errors: Any):
    assert is_refusal(body)
    error = api_error(status, body, "http://host/cosphere")
    assert type(error) is kind
    assert (str(error), error.errors, error.status) == (text, errors, status)


def test_who_is_not_known_is_told_to_give_a_token_whatever_the_face():
    error = api_error(401, {"errors": ["could not find auth token"]}, "http://host/cosphere")
    assert type(error) is NotSignedIn and "COSPHERE_TOKEN" in str(error)


def test_a_limit_of_an_account_is_no_question_of_who_is_calling():
    errors = [{"name": "account", "location": "limits", "description": "200 tasks are enough"}]
    error = api_error(401, {"status": "error", "errors": errors}, "http://host/cosphere")
    assert type(error) is NotAllowed and str(error) == "account: 200 tasks are enough"


@pytest.mark.parametrize("body", [{"message": "Forbidden", "reason": None}, [], None, "text", {"status": "ok"}])
def test_what_jupyter_itself_says_is_no_refusal_of_ours(body: Any):
    assert not is_refusal(body)
