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
    Returned,
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


def test_an_attempt_that_never_began_costs_nothing():
    returned = transition(executing(), Returned(1))
    assert (returned.status, returned.attempt, returned.max_attempts) == ("queued", 1, 2)
    ended = transition(transition(returned, Claimed()), Lost(2))
    assert "not run again because it may have side effects" in ended.error


def test_an_error_may_have_details_for_programs():
    details = {"parameters": {"url": ["this field is required"]}}
    ended = transition(executing(), Failed(1, "wrong parameters", details))
    assert (ended.status, ended.error, ended.result) == ("error", "wrong parameters", details)


def test_the_second_crash_ends_even_an_idempotent_task():
    first = transition(executing(is_idempotent=True, max_attempts=9), Crashed(1, "killed by signal 9 (out of memory?)"))
    assert first.status == "queued"
    second = transition(transition(first, Claimed()), Crashed(2, "killed by signal 9 (out of memory?)"))
    assert (second.status, second.error) == ("error", "worker killed by signal 9 (out of memory?) twice")


def test_attempts_are_limited():
    ended = transition(TaskState(status="executing", attempt=3, max_attempts=3, is_idempotent=True), Lost(3))
    assert ended.error == "the server stopped while the task was running; given up after 3 attempts"


attempts = st.integers(0, 4)
of_an_attempt = st.one_of(
    st.builds(Succeeded, attempts, st.just("result")),
    st.builds(Failed, attempts, st.just("failed")),
    st.builds(Crashed, attempts, st.just("killed by signal 9 (out of memory?)")),
    st.builds(Lost, attempts),
    st.builds(Returned, attempts),
)
events = st.one_of(st.just(Claimed()), of_an_attempt, st.builds(CancelRequested, st.just("rosa@lab.example")))
beginnings = st.builds(TaskState, is_idempotent=st.booleans(), max_attempts=st.integers(1, 4))


def life(beginning, sequence):
    """The steps that count, as (before, event, after)."""
    state = beginning
    for event in sequence:
        after = transition(state, event)
        if after is not None:
            yield state, event, after
            state = after


@given(beginnings, st.lists(events, max_size=30))
def test_whatever_happens_a_task_ends_at_most_once_and_never_goes_back(beginning, sequence):
    ends = 0
    for before, event, after in life(beginning, sequence):
        assert not before.is_final
        assert after.attempt == before.attempt + isinstance(event, Claimed)
        assert (after.status == "success") == isinstance(event, Succeeded)
        assert (after.status == "error") == (after.error is not None)
        assert (after.cancelled_by is not None) == isinstance(event, CancelRequested)
        assert (after.is_idempotent, after.crashes) == (
            before.is_idempotent,
            before.crashes + isinstance(event, Crashed),
        )
        ends += after.is_final
    assert ends <= 1


@given(beginnings, st.lists(events, max_size=30), events)
def test_what_is_final_stays_final(beginning, sequence, event):
    for _, _, after in life(beginning, sequence):
        if after.is_final:
            assert transition(after, event) is None


@given(beginnings, st.lists(events, max_size=30), of_an_attempt)
def test_events_of_another_attempt_or_of_none_change_nothing(beginning, sequence, event):
    for state in [beginning, *(after for _, _, after in life(beginning, sequence))]:
        if state.status != "executing" or event.attempt != state.attempt:
            assert transition(state, event) is None


@given(beginnings, st.lists(events, max_size=60))
def test_no_more_attempts_begin_than_are_allowed_and_one_only_of_what_has_side_effects(beginning, sequence):
    begun = 0
    for before, event, _ in life(beginning, sequence):
        begun += isinstance(event, Claimed)
        begun -= isinstance(event, Returned)
        assert begun <= (beginning.max_attempts if beginning.is_idempotent else 1)
        assert before.crashes < 2


@given(beginnings, st.lists(events, max_size=30))
def test_everything_that_is_not_final_can_still_be_ended(beginning, sequence):
    for state in [beginning, *(after for _, _, after in life(beginning, sequence))]:
        if not state.is_final:
            assert transition(state, CancelRequested("rosa@lab.example")).is_final
            assert state.status == "queued" or transition(state, Succeeded(state.attempt, 1)).status == "success"
