"""Whose turn it is: priority, then fairness among accounts, then age."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter.tasks.queue import FairQueue, Waiting


def waiting(number, owner_id=1, priority=0):
    return Waiting(number, f"k{number}", owner_id, priority, False)


def numbers(chosen):
    return [each.number for each in chosen]


def queue_of(*entries):
    queue = FairQueue()
    queue.add(entries)
    return queue


def test_the_oldest_is_first():
    assert numbers(queue_of(waiting(3), waiting(1), waiting(2)).choose(2, {})) == [1, 2]


def test_priority_goes_before_age_and_before_fairness():
    queue = queue_of(waiting(1, owner_id=1), waiting(2, owner_id=2, priority=5), waiting(3, owner_id=2, priority=5))
    assert numbers(queue.choose(3, {2: 7})) == [2, 3, 1]


def test_one_accounts_thousand_tasks_do_not_hold_up_anothers_one():
    queue = queue_of(*(waiting(number, owner_id=1) for number in range(1000)), waiting(1000, owner_id=2))
    assert numbers(queue.choose(3, {})) == [0, 1000, 1]
    assert numbers(queue.choose(1, {1: 1})) == [1000]


def test_accounts_take_turns_also_with_one_slot():
    queue = queue_of(waiting(1, 1), waiting(2, 1), waiting(3, 1), waiting(4, 2), waiting(5, 2))
    order = []
    while len(queue):
        (chosen,) = queue.choose(1, {})
        queue.remove([chosen.key])
        order.append(chosen.number)
    assert order == [1, 4, 2, 5, 3]


def test_nobody_gets_beyond_the_limit():
    queue = queue_of(waiting(1, 1), waiting(2, 1), waiting(3, 2))
    assert numbers(queue.choose(9, {1: 1}, limit=2)) == [3, 1]
    assert numbers(queue.choose(9, {1: 2, 2: 2}, limit=2)) == []


def test_choosing_takes_nothing_out_and_removing_does():
    queue = queue_of(waiting(1), waiting(2))
    assert numbers(queue.choose(1, {})) == numbers(queue.choose(1, {})) == [1]
    queue.remove(["k1"])
    assert numbers(queue.choose(2, {})) == [2]
    queue.add([waiting(1)])
    assert numbers(queue.choose(9, {})) == [1, 2]


entries = st.lists(st.tuples(st.integers(1, 3), st.integers(-1, 1)), min_size=1, max_size=25)


@given(entries, st.dictionaries(st.integers(1, 3), st.integers(0, 4)), st.integers(0, 5), st.data())
def test_whatever_is_added_and_removed_each_choice_is_the_best_one(rows, running, limit, data):
    known = [waiting(number, *row) for number, row in enumerate(rows)]
    queue = queue_of(*known)
    gone = data.draw(st.sets(st.sampled_from([each.key for each in known])))
    back = data.draw(st.sets(st.sampled_from(sorted(gone)))) if gone else set()
    queue.remove(gone)
    queue.add([each for each in known if each.key in back])
    left = [each for each in known if each.key not in gone or each.key in back]
    assert len(queue) == len(left)
    counts = Counter(running)
    for chosen in queue.choose(len(known), running, limit):
        best = min(left, key=lambda each: rank(each, counts, limit))
        # Age decides among tasks of one account; among accounts, whose turn it was last.
        assert rank(chosen, counts, limit) == rank(best, counts, limit) < (1,)
        assert chosen == min((each for each in left if each.owner_id == chosen.owner_id), key=by_age)
        left.remove(chosen)
        counts[chosen.owner_id] += 1
    assert all(rank(each, counts, limit) >= (1,) for each in left)


def rank(each, counts, limit):
    is_over = bool(limit) and counts[each.owner_id] >= limit
    return int(is_over), -each.priority, counts[each.owner_id]


def by_age(each):
    return -each.priority, each.number
