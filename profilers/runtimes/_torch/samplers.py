"""What times a module: on processors by the host's clock, on a card by marks of its own."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Generic

from devices import Accelerator, HostDevice
from latency_tables import Conditions
from profilers.runtimes._host import energy_j_per_call, mean_of_block
from profilers.runtimes._runtime import Timed
from profilers.runtimes._torch.timing import (
    LEAST_BUSY,
    Card,
    MarkT,
    Run,
    busy_share,
    calls_between,
    cold_s,
    empty_s,
    warm_s,
    warm_up,
)

#: Calls of the two blocks by which is found whether a card waits for launches.
_JUDGED_CALLS = 10

#: In which state of torch calls are made.
Computing = Callable[[], AbstractContextManager[None]]


class HostSampler:
    """Times blocks of calls on processors, by the thread that calls it.

    Args:
        run: Makes so many calls.
        device: Whose clock counts.
        computing: The state of torch.
    """

    def __init__(self, run: Run, device: HostDevice, computing: Computing) -> None:
        self._run, self._device, self._computing = run, device, computing

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return their mean."""
        with self._computing():
            return mean_of_block(self._run, n, self._device)

    def facts(self) -> Conditions:
        """Return nothing: what is asked for is what runs."""
        return {}


class CardSampler(Generic[MarkT]):
    """Times blocks of calls on a card; making one warms the card up and judges the launches.

    Args:
        run: Queues so many calls on ``card``.
        card: The queue.
        device: Tells what disturbs a block.
        computing: The state of torch.
        launches: Of one call.
        is_cold: Whether the caches are emptied before each call.
        recorded: Returns what has the card repeat so many calls by itself; ``None`` where they cannot be
            recorded.

    Raises:
        ProfilingError: The module does not run, or seems to take no time.
    """

    def __init__(  # noqa: PLR0913  (what, where, how)
        self,
        run: Run,
        card: Card[MarkT],
        device: Accelerator,
        computing: Computing,
        *,
        launches: int,
        is_cold: bool,
        recorded: Callable[[Run, int], Run | None],
    ) -> None:
        self._run, self._card, self._device, self._computing = run, card, device, computing
        self._launches, self._is_cold = launches, is_cold
        with computing():
            warm_up(card, run, time.perf_counter)
            self._marks_s = empty_s(card)
            self._facts = self._judged(recorded)

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return the latency of each where caches are cold, else their mean."""
        with self._computing():
            if self._is_cold:
                timed = Timed(cold_s(self._card, self._run, n, marks_s=self._marks_s))
            else:
                timed = Timed([self._warm_s(self._run, n)])
        timed.disturbance = self._device.disturbance()
        return timed

    def facts(self) -> Conditions:
        """Return what a call costs beside time, and whether its launches say how long it takes.

        ``launches``: how many it has. ``busy_share``: for which share of a warm call the card works;
        ``launch_bound``: whether that is below ``LEAST_BUSY``. ``energy_j_per_call``, in a row of warm calls.
        """
        return self._facts

    def _judged(self, recorded: Callable[[Run, int], Run | None]) -> Conditions:
        facts: dict[str, int | float | bool] = {"launches": self._launches}
        latency_s = self._warm_s(self._run, _JUDGED_CALLS)
        calls = calls_between(self._launches)  # giving a recording takes the host a while, too
        replay = recorded(self._run, calls)
        if replay is not None:
            share = busy_share(latency_s, self._warm_s(replay, _JUDGED_CALLS) / calls)
            facts |= {"busy_share": round(share, 3), "launch_bound": share < LEAST_BUSY}
        joules = energy_j_per_call(self._run, self._card.wait, latency_s, self._device.energy_j)
        return facts if joules is None else {**facts, "energy_j_per_call": joules}

    def _warm_s(self, run: Run, n: int) -> float:
        return warm_s(self._card, run, n, launches=self._launches, marks_s=self._marks_s)
