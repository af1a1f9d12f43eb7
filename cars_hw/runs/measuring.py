"""Measuring members of a run's fronts, beside anchors: to correct the model in a search, or at its end.

After generation 2, 4, 8, ... and the last one, the members whose predictions are the least certain are
measured, while the budget lasts: four correct the model nearly as well as eight would. Fronts before that are
random still, as the networks are that the table was calibrated by.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cars_hw.config import LatencySection, SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.latency.anchors import Anchors, measure_beside
from cars_hw.latency.contents import contents_of
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Latency, Objective
from cars_hw.runs.measurements import MeasuredSession, MeasurementFile, Purpose
from cars_hw.runs.run import Run
from cars_hw.spaces._space import SearchSpace
from devices import DeviceError
from devices.foundation import ConfigError
from latency_tables import LatencyTable, TableError
from profilers import USUAL, OnProgress, ProfilingError, Quality, Setup, ignore_progress

logger = logging.getLogger(__name__)

#: Members that are measured at a time.
NETWORKS = 4
#: Earlier fronts are random still.
_FIRST_GENERATION = 2

#: What a search survives that was to measure: a device that is gone, or too busy today.
_SURVIVED = (DeviceError, ProfilingError, TableError)


@dataclass(frozen=True)
class MeasuredTarget:
    """A target of a search, with what its measurements are held against.

    Attributes:
        name: Of its objective.
        section: On what is measured.
        table: Its table.
        digest: That of the table's entries, which sessions name.
    """

    name: str
    section: LatencySection
    table: LatencyTable
    digest: str

    @classmethod
    def of(cls, space: SearchSpace, name: str, section: LatencySection, table: LatencyTable) -> Self:
        """Return the target of the latency ``name``, whose table is used for ``space``."""
        return cls(name, section, table, table.digest(contents_of(space, table).specs))

    @property
    def setup(self) -> Setup:
        """On what is measured, by names."""
        section = self.section
        return Setup(section.device, section.runtime, section.threads, section.settings)

    def anchors(self, space: SearchSpace) -> Anchors:
        """Return the anchors of the target's table."""
        return Anchors(space, self.table, self.section.table)


@dataclass(frozen=True)
class Measurer:
    """Measures members of fronts on targets, and says how.

    Attributes:
        space: The space of the members.
        quality: How precisely.
        on_progress: For progress.
        before_run: Called before anything is run on a device; what it raises ends the measuring.
        clock: Seconds from any beginning.
    """

    space: SearchSpace
    quality: Quality = USUAL
    on_progress: OnProgress = ignore_progress
    before_run: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic

    def session(
        self,
        target: MeasuredTarget,
        architectures: Sequence[Architecture],
        *,
        generation: int,
        purpose: Purpose,
    ) -> MeasuredSession:
        """Measure ``architectures`` in turns, beside the anchors of ``target``.

        Raises:
            DeviceError: The device cannot be reached or used.
            ProfilingError: No anchor could be measured.
            ChangedSpeedError: The device is too far off from when the table was measured.
        """
        start_s, contents = self.clock(), contents_of(self.space, target.table)
        found = measure_beside(
            target.anchors(self.space),
            [contents.network(architecture) for architecture in architectures],
            target.setup,
            allow_changed=target.section.allow_changed,
            quality=self.quality,
            on_progress=self.on_progress,
            before_run=self.before_run,
        )
        return MeasuredSession(
            target.name,
            target.digest,
            generation,
            purpose,
            self.clock() - start_s,
            dict(zip(architectures, found.entries, strict=True)),
            found.anchors,
            found.speed,
        )


class SearchMeasuring:
    """Corrects the latencies of a search by members of its fronts. Fulfils ``FrontMeasuring``.

    Args:
        file: Where what is measured goes, before it is used.
        space: The space that is searched.
        targets: Those that are minimised.
        objectives: What predicts each of them, by the same names; so far from its table alone.
        generations: How many are planned after the first.
        budget_s: Seconds that the measuring may take in the whole search; a session that begins within them
            is ended.
        quality: How precisely.
        clock: Seconds from any beginning.
    """

    def __init__(  # noqa: PLR0913  (what, where, and how much)
        self,
        file: MeasurementFile,
        space: SearchSpace,
        targets: Sequence[MeasuredTarget],
        objectives: Mapping[str, Latency],
        *,
        generations: int,
        budget_s: float = 0.0,
        quality: Quality = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._space, self._targets = file, space, tuple(targets)
        self._objectives = dict(objectives)
        self._predictors = {name: objective.predictor for name, objective in objectives.items()}
        self._generations, self._budget_s = generations, budget_s
        self._quality, self._clock = quality, clock
        self._used: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<measuring on {len(self._targets)} targets: {len(self._used)} sessions used>"

    @property
    def used(self) -> tuple[int, ...]:
        """The numbers of the sessions that correct the model now."""
        return self._used

    def take_up(self, used: Sequence[int]) -> None:
        """Let the sessions of these numbers correct the model, and no others."""
        if tuple(used) == self._used:
            return
        sessions = self._file.read()
        gone = [number for number in used if not 0 <= number < len(sessions)]
        if gone:
            raise CheckpointError(
                f"{self._file.path} lacks {len(gone)} of the {len(used)} measurings that the checkpoint was "
                "written with; restore it from a copy, or start anew in another folder"
            )
        self._correct(sessions, used)

    def corrects(
        self, generation: int, front: Sequence[Architecture], *, before_run: Callable[[], None]
    ) -> bool:
        """Use what was measured after ``generation``; measure it where it is time, and the budget allows."""
        for target in self._targets:
            sessions = self._file.read()
            is_known = any(_is_of(one, generation, target) for one in sessions)
            if not is_known and self._may_measure(generation, target, sessions):
                self._measure(target, generation, front, before_run)
        sessions = self._file.read()
        new = [
            number
            for number, one in enumerate(sessions)
            if (one.generation, one.purpose) == (generation, "model") and number not in self._used
        ]
        if new:
            self._correct(sessions, (*self._used, *new))
        return bool(new)

    def _may_measure(
        self, generation: int, target: MeasuredTarget, sessions: Sequence[MeasuredSession]
    ) -> bool:
        is_power_of_two = generation & (generation - 1) == 0
        is_time = generation == self._generations or (generation >= _FIRST_GENERATION and is_power_of_two)
        spent_s = sum(one.seconds for one in sessions if one.purpose == "model")
        return is_time and not target.section.is_elsewhere and spent_s < self._budget_s

    def _measure(
        self,
        target: MeasuredTarget,
        generation: int,
        front: Sequence[Architecture],
        before_run: Callable[[], None],
    ) -> None:
        """Measure the widest members of ``front``, and write that down; a search goes on without it too."""
        measurer = Measurer(self._space, self._quality, before_run=before_run, clock=self._clock)
        try:
            widest = self._widest(target, front)
            if not widest:
                return
            found = measurer.session(target, widest, generation=generation, purpose="model")
        except _SURVIVED as error:
            logger.warning("nothing was measured after generation %d: %s", generation, error)
            return
        self._file.append(found)

    def _widest(self, target: MeasuredTarget, front: Sequence[Architecture]) -> list[Architecture]:
        """Return the members, not measured yet, with the relatively widest intervals, the widest first."""
        sessions = self._file.read()
        known = {
            architecture
            for one in sessions
            if (one.target, one.table) == (target.name, target.digest)
            for architecture in one.networks
        }
        predict = self._objectives[target.name].prediction
        widths = {one: predict(one).relative_half_width for one in front if one not in known}
        return sorted(widths, key=lambda one: -widths[one])[:NETWORKS]

    def _correct(self, sessions: Sequence[MeasuredSession], used: Sequence[int]) -> None:
        """Predict anew, from the tables and from what these sessions measured."""
        for target in self._targets:
            observed = [
                (architecture, latency.latency_s)
                for number in used
                if (sessions[number].target, sessions[number].table) == (target.name, target.digest)
                for architecture, latency in sessions[number].latencies.items()
            ]
            predictor = self._predictors[target.name].with_networks(observed)
            self._objectives[target.name].correct(predictor)
        self._used = tuple(used)


def require_measurable(config: SearchConfig, budget_s: float) -> None:
    """Refuse a budget for measuring that is none, or that nothing can be measured by; 0 is always possible.

    Raises:
        ConfigError: It is no number from 0 on, or no latency is minimised whose device is at hand.
    """
    if not 0 <= budget_s < math.inf:
        raise ConfigError(f"the measuring budget is {budget_s} s; it is a number from 0 on")
    if budget_s > 0 and all(target.is_elsewhere for target in config.searched_targets().values()):
        raise ConfigError(
            "the measuring budget can be spent on nothing: the search minimises no latency on a device that "
            "is at hand; leave it out"
        )


def search_measuring(
    run: Run,
    space: SearchSpace,
    tables: Mapping[str, LatencyTable],
    costs: Sequence[Objective],
    *,
    budget_s: float,
) -> SearchMeasuring | None:
    """Return what corrects the latencies of a run's search; ``None`` where it minimises none.

    Args:
        run: The run.
        space: Its space.
        tables: By the name of each latency that is minimised.
        costs: The search's objectives.
        budget_s: See ``SearchMeasuring``.
    """
    sections = run.config.searched_targets()
    objectives = {cost.name: cost for cost in costs if isinstance(cost, Latency) and cost.name in tables}
    if not objectives:
        return None
    return SearchMeasuring(
        run.measurements(space),
        space,
        [MeasuredTarget.of(space, name, sections[name], tables[name]) for name in objectives],
        objectives,
        generations=run.config.search.generations,
        budget_s=budget_s,
    )


def _is_of(session: MeasuredSession, generation: int, target: MeasuredTarget) -> bool:
    """Tell whether a session is that of ``target`` after ``generation``, for the model."""
    return (session.generation, session.purpose, session.target, session.table) == (
        generation,
        "model",
        target.name,
        target.digest,
    )
