"""The sliding window: nobody waits for a slow one, and what is at work ends before an error is raised."""

import threading

import pytest

from xaiaug.calls import abandon, imap_unordered


def test_every_item_comes_once_with_its_position():
    found = dict(imap_unordered(lambda item: item * item, range(100), most=7))
    assert found == {item: item * item for item in range(100)}


def test_nothing_comes_of_nothing():
    assert list(imap_unordered(str, [])) == []


def test_a_slow_item_holds_up_no_other():
    release = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert release.wait(10)
        return item

    seen = []
    for position, _ in imap_unordered(work, range(50), most=2):
        seen.append(position)
        if len(seen) == 49:
            release.set()
    assert seen[-1] == 0


def test_items_are_taken_only_as_threads_become_free():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = imap_unordered(str, items(), most=3)
    next(results)
    assert len(taken) <= 6
    results.close()
    assert len(taken) <= 6


def test_after_an_error_none_begins_and_the_results_of_those_at_work_come_first():
    both = threading.Barrier(2)
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item < 2:
            both.wait(10)
        if item == 0:
            raise ValueError("broken")
        return item

    seen = []
    with pytest.raises(ValueError, match="broken"):
        for position, _ in imap_unordered(work, range(10_000), most=2):
            seen.append(position)
    assert sorted(seen) == sorted(set(begun) - {0})
    assert len(begun) < 10_000


def test_ctrl_c_does_not_wait_for_those_at_work():
    never = threading.Event()
    results = imap_unordered(lambda item: item or never.wait(600), range(2), most=2)
    assert next(results) == (1, 1)
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt)
    never.set()


def test_a_caller_that_gives_up_first_lets_those_at_work_end():
    ended = []

    def work(item: int) -> int:
        if item == 0:
            return item
        threading.Event().wait(0.2)
        ended.append(item)
        return item

    results = imap_unordered(work, range(4), most=4)
    next(results)
    results.close()
    assert sorted(ended) == [1, 2, 3]


def test_an_interrupt_between_two_results_does_not_wait_for_what_is_in_progress():
    never = threading.Event()
    results = imap_unordered(lambda item: item if item == 0 else never.wait(600), range(3), most=3)
    with pytest.raises(KeyboardInterrupt), abandon(results):
        for _ in results:
            raise KeyboardInterrupt
    assert next(results, "ended") == "ended"
    never.set()
