"""Threads of widgets: the newest work counts, nothing is told twice, and no thread outlives its use."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

from cosphere_jupyter.widgets import work
from cosphere_jupyter.widgets.work import Newest


@pytest.fixture
def worker() -> Any:
    made = Newest("test")
    yield made
    made.close()


def test_what_was_asked_comes_back_on_a_thread(worker: Newest) -> None:
    told: list[Any] = []
    worker.do(lambda: threading.current_thread().name, told.append)
    assert worker.wait(5)
    assert told == ["cosphere-test"]


def test_an_error_is_told_like_an_outcome(worker: Newest) -> None:
    told: list[Any] = []
    worker.do(lambda: 1 / 0, told.append)
    assert worker.wait(5)
    assert isinstance(told[0], ZeroDivisionError)


def test_of_many_pieces_the_first_and_the_last_are_done_and_the_last_is_told(worker: Newest) -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []
    told: list[int] = []

    def first() -> int:
        begun.set()
        go.wait(5)
        return done.append(0) or 0

    worker.do(first, told.append)
    assert begun.wait(5)
    for number in range(1, 20):
        worker.do(lambda number=number: done.append(number) or number, told.append)
    go.set()
    assert worker.wait(5)
    assert done == [0, 19]
    assert told == [19]


def test_asking_returns_at_once_while_work_is_done(worker: Newest) -> None:
    begun, go = threading.Event(), threading.Event()
    worker.do(lambda: (begun.set(), go.wait(5)), lambda _: None)
    assert begun.wait(5)
    started = time.monotonic()
    worker.do(lambda: None, lambda _: None)
    assert time.monotonic() - started < 1
    assert not worker.wait(0.05)
    go.set()
    assert worker.wait(5)


def test_a_delay_lets_later_pieces_take_the_place_of_earlier_ones(worker: Newest) -> None:
    done: list[str] = []
    for letter in "abc":
        worker.do(lambda letter=letter: done.append(letter), lambda _: None, delay=0.1)
    assert worker.wait(5)
    assert done == ["c"]


def test_what_is_forgotten_is_not_told(worker: Newest) -> None:
    begun, go = threading.Event(), threading.Event()
    told: list[Any] = []
    worker.do(lambda: (begun.set(), go.wait(5)), told.append)
    assert begun.wait(5)
    worker.forget()
    go.set()
    assert worker.wait(5)
    assert told == []


def test_an_observer_that_fails_does_not_stop_the_widget(worker: Newest, caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []
    with caplog.at_level(logging.ERROR, "cosphere_jupyter"):
        worker.do(lambda: 1, lambda _: 1 / 0)
        assert worker.wait(5)
    assert "ZeroDivisionError" in caplog.text
    worker.do(lambda: 2, told.append)
    assert worker.wait(5)
    assert told == [2]


def test_threads_end_when_nothing_is_left_and_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "IDLE_SECONDS", 0.05)
    worker = Newest("short")
    for _ in range(2):
        worker.do(lambda: None, lambda _: None)
        assert worker.wait(5)
        deadline = time.monotonic() + 5
        while any(each.name == "cosphere-short" for each in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_closed_worker_takes_no_more_and_its_thread_ends() -> None:
    worker = Newest("closed")
    told: list[Any] = []
    worker.do(lambda: 1, told.append)
    worker.wait(5)
    worker.close()
    worker.do(lambda: 2, told.append)
    deadline = time.monotonic() + 5
    while any(each.name == "cosphere-closed" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert told == [1]


def test_many_threads_may_ask_at_once(worker: Newest) -> None:
    told: list[int] = []
    threads = [
        threading.Thread(target=lambda start=start: [worker.do(lambda: start, told.append) for _ in range(200)])
        for start in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worker.wait(5)
    assert told and told[-1] in range(4)
