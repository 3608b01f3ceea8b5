"""The state machine of tasks as a pure function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.tasks.states import (
    CancelRequested,
    Claimed,
    Crashed,
    Failed,
    Lost,
    Succeeded,
    TaskState,
    transition,
)


def executing(**values):
    return TaskState(status="executing", attempt=1, **values)


def test_a_claim_begins_the_next_attempt_of_a_queued_task():
    assert transition(TaskState(), Claimed()) == TaskState(status="executing", attempt=1)


def test_an_executing_task_cannot_be_claimed_again():
    assert transition(executing(), Claimed()) is None


def test_success_keeps_the_result():
    assert transition(executing(), Succeeded(1, {"rows": 3})).result == {"rows": 3}


def test_an_error_of_the_work_is_final_at_once_even_if_it_could_be_repeated():
    ended = transition(executing(is_idempotent=True, max_attempts=9), Failed(1, "no such column"))
    assert (ended.status, ended.error) == ("error", "no such column")


def test_what_a_former_attempt_says_is_fenced_off():
    second = TaskState(status="executing", attempt=2)
    assert transition(second, Succeeded(1, "late")) is None
    assert transition(second, Failed(1, "late")) is None
    assert transition(second, Crashed(1, "late")) is None
    assert transition(second, Lost(1)) is None


def test_cancelling_is_immediate_and_names_who_did_it():
    for state in (TaskState(), executing()):
        ended = transition(state, CancelRequested("rosa@lab.example"))
        assert (ended.status, ended.error) == ("error", "cancelled by rosa@lab.example")


def test_success_after_cancelling_comes_too_late():
    cancelled = transition(executing(), CancelRequested("rosa@lab.example"))
    assert transition(cancelled, Succeeded(1, "late")) is None


def test_an_idempotent_task_whose_server_died_is_queued_again():
    assert transition(executing(is_idempotent=True, max_attempts=3), Lost(1)).status == "queued"


def test_a_task_with_side_effects_whose_server_died_is_not_run_again():
    ended = transition(executing(), Lost(1))
    assert ended.status == "error"
    assert "not run again because it may have side effects" in ended.error


def test_the_second_crash_ends_even_an_idempotent_task():
    first = transition(executing(is_idempotent=True, max_attempts=9), Crashed(1, "killed by signal 9 (out of memory?)"))
    assert first.status == "queued"
    second = transition(transition(first, Claimed()), Crashed(2, "killed by signal 9 (out of memory?)"))
    assert (second.status, second.error) == ("error", "worker killed by signal 9 (out of memory?) twice")


def test_attempts_are_limited():
    ended = transition(TaskState(status="executing", attempt=3, max_attempts=3, is_idempotent=True), Lost(3))
    assert ended.error == "the server stopped while the task was running; given up after 3 attempts"


attempts = st.integers(0, 4)
events = st.one_of(
    st.just(Claimed()),
    st.builds(Succeeded, attempts, st.just("result")),
    st.builds(Failed, attempts, st.just("failed")),
    st.builds(Crashed, attempts, st.just("killed by signal 9")),
    st.builds(Lost, attempts),
    st.builds(CancelRequested, st.just("rosa@lab.example")),
)


@given(st.lists(events, max_size=30), st.booleans(), st.integers(1, 4))
def test_whatever_happens_a_task_ends_at_most_once_and_never_goes_back(sequence, is_idempotent, max_attempts):
    state = TaskState(is_idempotent=is_idempotent, max_attempts=max_attempts)
    ends = 0
    for event in sequence:
        after = transition(state, event)
        if after is None:
            continue
        assert not state.is_final
        assert after.attempt in (state.attempt, state.attempt + 1)
        assert (after.attempt == state.attempt + 1) == isinstance(event, Claimed)
        assert after.attempt <= max(max_attempts, 1)
        assert (after.status == "success") <= (after.result == "result")
        assert (after.status == "error") == (after.error is not None)
        ends += after.is_final
        state = after
    assert ends <= 1
