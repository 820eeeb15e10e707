"""Who waits at the hub is woken by a bell, and looks again by himself: seldom, when many wait."""

import asyncio
from contextlib import ExitStack

import pytest

from atoll_hub.wakes import LONGEST_LOOK_SECONDS, LOOK_AGAIN_SECONDS, LOOKS_PER_SECOND, Wakes


def waiting(wakes: Wakes, count: int) -> ExitStack:
    """Let so many listen, over a few topics."""
    listeners = ExitStack()
    for number in range(count):
        listeners.enter_context(wakes.listening(f"site-{number % 7}"))
    return listeners


@pytest.mark.parametrize("count", [0, 1, LOOKS_PER_SECOND])
def test_few_look_again_each_second(count: int) -> None:
    wakes = Wakes()
    with waiting(wakes, count):
        assert wakes.look_again() == LOOK_AGAIN_SECONDS


def test_many_together_look_as_often_as_some() -> None:
    wakes = Wakes()
    with waiting(wakes, 3 * LOOKS_PER_SECOND):
        assert wakes.look_again() == 3.0


def test_nobody_looks_later_than_a_lease_lasts() -> None:
    wakes = Wakes()
    with waiting(wakes, 100 * LOOKS_PER_SECOND):
        assert wakes.look_again() == LONGEST_LOOK_SECONDS


def test_who_left_counts_no_more() -> None:
    wakes = Wakes()
    with waiting(wakes, 5 * LOOKS_PER_SECOND):
        assert wakes.is_awaited("site-1")
    assert wakes.look_again() == LOOK_AGAIN_SECONDS
    assert not wakes.is_awaited("site-1")


def test_a_bell_wakes_its_topic_at_once_and_no_other() -> None:
    async def ringing() -> tuple[bool, bool]:
        wakes = Wakes()
        wakes.attach(asyncio.get_running_loop())
        with wakes.listening("north") as north, wakes.listening("south") as south:
            wakes.ring("north")
            await asyncio.wait_for(north.wait(), timeout=5)
            return north.is_set(), south.is_set()

    assert asyncio.run(ringing()) == (True, False)


def test_a_hub_that_stops_ends_all_waiting() -> None:
    async def stopping() -> bool:
        wakes = Wakes()
        wakes.attach(asyncio.get_running_loop())
        with wakes.listening("north") as bell:
            asyncio.get_running_loop().call_soon(wakes.close)
            await wakes.wait(bell, 60)
        return wakes.closing

    assert asyncio.run(stopping())
