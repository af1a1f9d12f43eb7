"""Anchors: a few of a table's networks, measured once more beside whatever is measured later.

A machine is not every day as fast as it was for its table. The median of the anchors' ratios, later over
earlier, says how far it is off today; what was measured beside them is divided by it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from cars_hw.latency.contents import contents_of
from cars_hw.spaces._space import SearchSpace
from latency_tables import (
    ChangedSpeedError,
    Entry,
    LatencyTable,
    Measurement,
    OpSpec,
    SessionSpeed,
    pooled_intervals,
    reference_of,
)
from profilers import (
    USUAL,
    OnProgress,
    ProfilingError,
    Quality,
    Setup,
    Workload,
    ignore_progress,
    measure,
    plan_at,
)


@dataclass(frozen=True)
class Anchored:
    """A network that was measured, at the speed of its table where anchors were measured beside it.

    Attributes:
        measured: What was measured, as it was.
        speed: How fast the device was, by the anchors; ``None`` where there were none.
        measured_interval_s: 95 % interval of ``measured.latency_s``, (low, high), for whatever process
            measures it, by all that was measured beside it; if not given, its own.
    """

    measured: Measurement
    speed: SessionSpeed | None = None
    measured_interval_s: tuple[float, float] | None = None

    @property
    def latency_s(self) -> float:
        """Seconds per call, divided by the anchors' ratio."""
        return self._corrected[0]

    @property
    def interval_s(self) -> tuple[float, float]:
        """95 % interval of ``latency_s``, (low, high), with the ratio's own uncertainty."""
        return self._corrected[1]

    def bound_at(self, level: float) -> float:
        """Return the upper end of the interval at ``level``, seconds: that at 95 %, drawn in as a Gaussian's.

        Where few processes measured, Student's interval would be narrower than that: a limit that this keeps,
        that keeps.
        """
        latency_s, (_, high_s) = self._corrected
        normal = NormalDist()
        return latency_s + (high_s - latency_s) * normal.inv_cdf((1 + level) / 2) / normal.inv_cdf(0.975)

    @property
    def _corrected(self) -> tuple[float, tuple[float, float]]:
        interval_s = self.measured_interval_s or self.measured.interval_s
        if self.speed is None:
            return self.measured.latency_s, interval_s
        return self.speed.corrected(self.measured.latency_s, interval_s)


def intervals_of(entries: Iterable[Entry]) -> Mapping[OpSpec, tuple[float, float]]:
    """Return the pooled 95 % intervals of what one session measured; what failed is left out."""
    return pooled_intervals({entry.spec: entry for entry in entries if isinstance(entry, Measurement)})


class Anchors:
    """The anchors of a table.

    Args:
        space: The space that the table is used for.
        table: Holds the networks that are measured once more; those that it lacks are none.
        name: What the table is called in messages.

    Attributes:
        name: What the table is called in messages.
        workloads: What measures the anchors, under keys of their own.
    """

    def __init__(self, space: SearchSpace, table: LatencyTable, name: str) -> None:
        contents = contents_of(space, table)
        own = {reference_of(spec): spec for spec in contents.networks}
        self.name = name
        self.workloads = [one for one in contents.references() if own[one.spec] in table]
        self._earlier = {one.spec: table[own[one.spec]] for one in self.workloads}

    def __repr__(self) -> str:
        return f"<{len(self.workloads)} anchors of {self.name}>"

    def speed(self, later: Iterable[Entry], *, allow_changed: Collection[str] = ()) -> SessionSpeed | None:
        """Return how fast the device was when ``later`` was measured; ``None`` where there are no anchors.

        Args:
            later: Among them the anchors; what failed is left out.
            allow_changed: With ``speed``, the device may be as far off as it likes.

        Raises:
            ProfilingError: The table has anchors, but none could be measured.
            ChangedSpeedError: The device is too far off to compare.
        """
        if not self._earlier:
            return None
        measured = [entry for entry in later if isinstance(entry, Measurement)]
        pairs = [(self._earlier[entry.spec], entry) for entry in measured if entry.spec in self._earlier]
        if not pairs:
            raise ProfilingError(
                f"none of the networks of {self.name} could be measured again, so that nothing measured now "
                "can be held against it"
            )
        earlier_and_later = [*self._earlier.values(), *measured]
        speed = SessionSpeed.of(pairs, {one.spec: one for one in earlier_and_later})
        require_near(speed, self.name, allow_changed)
        return speed


def require_near(speed: SessionSpeed, name: str, allow_changed: Collection[str]) -> None:
    """Refuse a session that is too far off from the table ``name`` to compare, unless that is allowed.

    Raises:
        ChangedSpeedError: It is.
    """
    if speed.is_far and "speed" not in allow_changed:
        raise ChangedSpeedError(speed.ratio, f"{speed_text(speed, name)} today")


def speed_text(speed: SessionSpeed, name: str, *, verb: str = "are") -> str:
    """Say how far the device is off from the table ``name``."""
    return f"{speed.n} networks of {name} {verb} {speed.offset_text}"


@dataclass(frozen=True)
class Session:
    """Workloads that were measured in turns, beside anchors.

    Attributes:
        entries: Of each workload, in their order.
        anchors: Those of the anchors.
        speed: How fast the device was; ``None`` without anchors.
    """

    entries: tuple[Entry, ...]
    anchors: tuple[Entry, ...] = ()
    speed: SessionSpeed | None = None


def measure_beside(  # noqa: PLR0913  (what, on what and how)
    anchors: Anchors | None,
    workloads: Sequence[Workload],
    setup: Setup,
    *,
    allow_changed: Collection[str] = (),
    quality: Quality = USUAL,
    on_progress: OnProgress = ignore_progress,
    before_run: Callable[[], None] = lambda: None,
) -> Session:
    """Measure ``workloads`` and the anchors as one interleaved group.

    Args:
        anchors: Those of the table that the device has; ``None``: nothing is measured beside.
        workloads: At most ``group_size`` of them.
        setup: On what.
        allow_changed: See ``Anchors.speed``.
        quality: How precisely.
        on_progress: For progress.
        before_run: As ``Profiler`` has it; what it raises ends the measuring.

    Raises:
        DeviceError: The device cannot be reached or used.
        ProfilingError: No anchor could be measured.
        ChangedSpeedError: The device is too far off to compare.
    """
    own = [] if anchors is None else anchors.workloads
    entries = measure(
        [*workloads, *own], setup, quality=quality, on_progress=on_progress, before_run=before_run
    )
    beside = entries[len(workloads) :]
    speed = None if anchors is None else anchors.speed(beside, allow_changed=allow_changed)
    return Session(tuple(entries[: len(workloads)]), tuple(beside), speed)


def group_size(anchors: Anchors | None, setup: Setup, quality: Quality = USUAL) -> int:
    """Return how many workloads one session takes, beside ``anchors``."""
    beside = 0 if anchors is None else len(anchors.workloads)
    return max(1, plan_at(setup.device, quality).group_size - beside)
