"""Tally: what is finished of what is wanted, over the groups of a device and over several devices."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from devices import Device, HostDevice
from latency_tables import Failure, OpSpec
from profilers.plan import MeasurementPlan
from profilers.progress.pace import Pace
from profilers.progress.report import OnProgress, OnStep, Progress, Step


class Tally:
    """Counts the workloads that are finished, each once, whichever device measured it.

    What a lost device had loaded is waited for again.

    Args:
        wanted: What is to be measured or there.
        plan: How each device measures.
        on_progress: Called at each step, by one thread at a time.
    """

    def __init__(self, wanted: Iterable[OpSpec], plan: MeasurementPlan, on_progress: OnProgress) -> None:
        self._wanted = frozenset(wanted)
        self._plan, self._on_progress = plan, on_progress
        self._done: dict[OpSpec, bool] = {}
        self._paces: dict[str, Pace] = {}
        self._one_at_a_time = threading.Lock()

    def begin(self, there: Mapping[OpSpec, object], failed: Mapping[OpSpec, object], device: str) -> None:
        """Count what was there before, and tell of it.

        Args:
            there: What was measured.
            failed: What was tried and is not tried again.
            device: Address of the first device.
        """
        with self._one_at_a_time:
            self._done |= dict.fromkeys(self._wanted & failed.keys(), False)
            self._done |= dict.fromkeys(self._wanted & there.keys(), True)
            self._tell(device)

    def watch(self, address: str, device: Device | None) -> OnStep:
        """Return what takes the steps of a device; ``None``: of one that another process measures on."""
        clock = device.clock_s if isinstance(device, HostDevice) else time.monotonic
        pace = self._paces[address] = Pace(self._plan, clock())

        def take(step: Step) -> None:
            with self._one_at_a_time:
                self._take(address, pace, step, clock)

        return take

    def _take(self, address: str, pace: Pace, step: Step, clock: Callable[[], float]) -> None:
        if step.is_lost:
            self._paces.pop(address, None)
        else:
            pace.take(step, clock())
        if step.entry is not None and step.entry.spec in self._wanted:
            self._done[step.entry.spec] = not isinstance(step.entry, Failure)
        self._tell(address)

    def _tell(self, address: str) -> None:
        failed = sum(not is_measured for is_measured in self._done.values())
        self._on_progress(
            Progress(len(self._done), len(self._wanted), failed, self._seconds_left(), device=address)
        )

    def _seconds_left(self) -> float | None:
        """Return how long the slowest device needs, each with an equal share of what nobody has loaded."""
        loaded = {spec for pace in self._paces.values() for spec in pace.rounds}
        waiting = len(self._wanted - self._done.keys() - loaded)
        if not self._paces:
            return None
        share = math.ceil(waiting / len(self._paces))
        known = [left_s for pace in self._paces.values() if (left_s := pace.left_s(share)) is not None]
        return max(known, default=None)
