"""Search: the loop. Train, evaluate with today's weights, select, checkpoint, yield; stop at any safe point.

A safe point is after each training step, each gradient of options and each cost, and between two batches of
an evaluation. There a checkpoint inside the generation is written when it is due, and a budget or a request
ends the search; saving/replay.py says how it is gone on with.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from cars_hw.candidate import Candidate, Front, bounds_of
from cars_hw.errors import CheckpointError
from cars_hw.evolution.screening import Screen
from cars_hw.evolution.steadying import Evaluated, steadied_candidates
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Objective
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.saving.measuring import FrontMeasuring
from cars_hw.saving.record import Generation, Part, Record, read_record, read_state
from cars_hw.saving.replay import LoggedTrainer
from cars_hw.saving.safe_points import Budget, Ended, EndedBy, Position, Watch
from cars_hw.strategies._strategy import SearchFacts, Strategy, unconstrained
from cars_hw.trainer import (
    Asked,
    ForeseeingTrainer,
    LossTellingTrainer,
    PausableTrainer,
    SparingTrainer,
    Trainer,
)
from devices.foundation import ConfigError, plugin_name

#: The number of ``numerics`` that a checkpoint without one was written with.
_FIRST_NUMERICS = "1"


def _go_on() -> None:
    """Do nothing between two batches."""


@dataclass(frozen=True)
class Schedule:
    """How much is trained.

    Attributes:
        warm_up_steps: Steps on uniform random paths before the first selection.
        steps: Steps in each later generation.
        generations: Generations after warm-up.
    """

    warm_up_steps: int
    steps: int
    generations: int

    @property
    def total_steps(self) -> int:
        """Steps of the whole search."""
        return self.warm_up_steps + self.steps * self.generations


class Search:
    """Evolves architectures on weights that keep training.

    Args:
        trainer: The shared weights.
        strategy: The algorithm.
        objectives: The costs; the first is the error.
        schedule: How much is trained.
        checkpoints: Where each round is saved; ``None`` saves nothing.
        fingerprint: Facts that a resumed run must share with the one that wrote the checkpoint (table hash,
            configuration), each in one or more forms: the first is saved in each checkpoint, any is accepted.
            The ``numerics`` of strategy, trainer and screen are saved with them. Where a checkpoint has
            another form than the first, limits and known costs may be others: its members are judged anew.
        screening: Whether new architectures are screened: of many that are drawn, those few are evaluated
            that are most promising by known costs and a model of the error. ``None``: as the strategy
            declares, where there is a known cost; where errors stand behind noisy estimates, by limits alone.
        screen: Screens with settings of its own; ``None`` for the default ones.
        changed: What has changed since the latency tables were measured, which each round from now on tells.
        measuring: Measures members of fronts, and corrects known costs by that; ``None``: nobody does.
        checkpoint_every_s: Seconds from one checkpoint to the next inside a generation.
        clock: Seconds from any beginning, for that and for ``max_time_s``.

    Attributes:
        history: The generations that are complete.
        kept: How far the checkpoints go; ``None`` before the first.
        ended_by: What ended the last ``run`` before the schedule was done; ``None``: nothing.

    Raises:
        ConfigError: A screen is given, and screening is off; or it is on, and no cost is known; or
            ``checkpoint_every_s`` is no number over 0.
    """

    def __init__(  # noqa: PLR0913  (what a search consists of)
        self,
        trainer: Trainer,
        strategy: Strategy,
        objectives: Sequence[Objective],
        schedule: Schedule,
        *,
        checkpoints: CheckpointFolder | None = None,
        fingerprint: Mapping[str, tuple[str, ...]] | None = None,
        screening: bool | None = None,
        screen: Screen | None = None,
        changed: Sequence[str] = (),
        measuring: FrontMeasuring | None = None,
        checkpoint_every_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if screen is not None and screening is False:
            raise ConfigError("a screen is given, but screening is off; leave one of them out")
        self.trainer, self.strategy, self.objectives = trainer, strategy, tuple(objectives)
        self.schedule = schedule
        self.history: list[Generation] = []
        self._checkpoints = checkpoints
        self._fingerprint = dict(fingerprint or {})
        self._changed, self._measuring = tuple(changed), measuring
        self._screen = screen if screen is not None else self._default_screen(screening)
        self._numerics = {
            f"numerics of {plugin_name(type(strategy))}": str(strategy.numerics),
            "numerics of the weights": str(trainer.numerics),
            "numerics of screening": str(Screen.numerics),
        }
        self.kept: Position | None = None
        self.ended_by: EndedBy | None = None
        self._watch = Watch(checkpoint_every_s, clock)
        self._logged = LoggedTrainer(
            trainer, at_safe_point=self._at_safe_point, before_evaluation=self._before_evaluation
        )
        self._beginning: Record  # of the generation that goes on
        self._next, self._part, self._start_s = 0, Part(), 0.0
        self._is_torn = False
        self._is_judged_anew = self._is_renewed = False
        known_costs = {objective.name: objective for objective in self.objectives[1:]}
        by_promise = self._screen is None or self._screen.optimism is not None
        strategy.begin(
            SearchFacts(schedule.generations, schedule.steps, known_costs, self._screen, by_promise)
        )
        self._activate()

    def __repr__(self) -> str:
        done, names = len(self.history), ", ".join(objective.name for objective in self.objectives)
        strategy = plugin_name(type(self.strategy))
        return f"<search by {strategy} for {names}: {done} of {self.schedule.generations + 1} rounds>"

    @property
    def front(self) -> Front:
        """The front of the last round; empty before the first."""
        return self.history[-1].front if self.history else Front(())

    def resume(self, checkpoint: Checkpoint | None = None) -> bool:
        """Continue from the newest checkpoint, if there is one; return whether there was.

        Args:
            checkpoint: The one to continue from, where it has been loaded already.

        Raises:
            CheckpointError: It is damaged, of a search with another fingerprint, or of other numerics of the
                strategy.
        """
        if checkpoint is None and self._checkpoints is not None:
            checkpoint = self._checkpoints.load_latest()
        if checkpoint is None:
            return False
        record = read_record(checkpoint)
        self._check_fingerprint(record.fingerprint)
        if (self._screen is None) != (record.screen is None):
            was, switch = ("out", "off") if record.screen is None else ("", "on")
            raise CheckpointError(
                f"the checkpoint was written with{was} screening; switch it {switch} to go on"
            )
        self._take_up(record)
        self._activate()
        state, self._part = read_state(checkpoint, record)
        self.trainer.restore(state)
        self.history = list(record.history)
        self._next = checkpoint.generation + (not checkpoint.is_partial)
        self.kept = self._inside(self._part) if checkpoint.is_partial else Position(checkpoint.generation)
        if any(record.fingerprint.get(name) != forms[0] for name, forms in self._fingerprint.items()):
            self._judge_anew(checkpoint)
        return True

    def run(
        self, *, max_evaluations: int | None = None, max_time_s: float | None = None
    ) -> Iterator[Generation]:
        """Yield a ``Generation`` a round until the schedule is done; each is saved before it is yielded.

        A budget ends it early, and changes no plan: ``ended_by`` then says which, a checkpoint inside the
        generation was saved, and another ``run``, or a resumed search, goes on as if nothing had been.

        Args:
            max_evaluations: Evaluations by the ledger, with current or previous weights, of the whole search.
            max_time_s: Seconds from the first round of this call; ended at the first safe point after.

        Raises:
            ConfigError: A budget is no number over 0.
            StorageError: Somebody else writes into the folder, or it is gone.
            CheckpointError: The disk refuses, or the stored configuration was changed; or the strategy asks
                for other things than before it was stopped.
        """
        return self._rounds(Budget(max_evaluations, max_time_s))

    def request_end(self) -> None:
        """End ``run`` at the next safe point, saved; to be called by a signal's handler or another thread."""
        self._watch.request_end()

    def _rounds(self, budget: Budget) -> Iterator[Generation]:
        if self._is_torn:
            raise CheckpointError(
                "an error ended this search inside a generation; open it again from its checkpoints"
            )
        with self._checkpoints.owned() if self._checkpoints else nullcontext():
            self.ended_by = None
            self._watch.start(budget)
            if self._is_judged_anew:
                self._save(self._next - 1)
                self._is_judged_anew = False
            try:
                yield from self._rounds_left()
            except Ended as ended:
                self.ended_by = ended.by
            finally:
                self._expect([])

    def _rounds_left(self) -> Iterator[Generation]:
        while self._next <= self.schedule.generations:
            self._watch.require_go_on()
            self._watch.require_evaluations_left(self.trainer.ledger.evaluations)
            yield self._round()

    def _round(self) -> Generation:
        self._start_s = time.perf_counter() - self._part.seconds
        record = self._record({})
        self._beginning = replace(
            record, strategy=copy.deepcopy(record.strategy), screen=copy.deepcopy(record.screen)
        )
        self._logged.begin(self._part.log, may_differ=self._is_renewed)
        with self._stoppable():
            self._train()
            asked = self.strategy.ask()
            for objective in self.objectives:
                objective.prepare(asked)
            self._expect(list(self._evaluations(asked)))
            evaluated = [self._evaluate(architecture) for architecture in asked]
            return self._complete(self._estimated(evaluated))

    def _estimated(self, evaluated: Sequence[Evaluated]) -> list[Candidate]:
        """Return candidates as they are compared: steadied where images are spared, then estimated."""
        is_sparing = isinstance(self.trainer, SparingTrainer) and self.trainer.is_sparing
        candidates = steadied_candidates(evaluated) if is_sparing else [one.candidate for one in evaluated]
        losses = {one.candidate.architecture: one.loss for one in evaluated if one.loss is not None}
        return self.strategy.estimated(candidates, losses)

    def _complete(self, evaluated: Sequence[Candidate]) -> Generation:
        """Select, and save the generation."""
        if self._screen is not None:
            self._screen.learn(evaluated)
        self.strategy.tell(evaluated)
        errors = self._errors_at_the_end()
        self._logged.require_used_up()
        self._measure()
        self._activate()
        names = tuple(objective.name for objective in self.objectives)
        population = _with_errors(self.strategy.population, errors)
        generation = Generation(
            self._next,
            population,
            Front(self.strategy.front_of(population), names),
            names,
            self.trainer.ledger.to_json(),
            time.perf_counter() - self._start_s,
            tuple(dict.fromkeys((*(self.history[-1].changed if self.history else ()), *self._changed))),
        )
        self.history.append(generation)
        self._save(self._next)
        self._part, self._is_renewed = Part(), False
        self._next += 1
        return generation

    def _errors_at_the_end(self) -> dict[Architecture, float]:
        """Return the errors of the last population by all fitness images, where a share of them has judged.

        The strategy keeps its own errors: a search that is extended goes on as if it had not ended.
        """
        trainer, is_last = self.trainer, self._next == self.schedule.generations
        if not (is_last and isinstance(trainer, SparingTrainer) and trainer.is_sparing):
            return {}
        members = [member.architecture for member in self.strategy.population]
        trainer.judge_by_all(True)
        try:
            self._expect([(member, "current") for member in members])
            return {member: 1.0 - self._logged.accuracy(member) for member in members}
        finally:
            trainer.judge_by_all(False)

    def _measure(self) -> None:
        """Let members of the new front be measured where it is time; then all known costs are others."""
        if self._measuring is None:
            return
        front = [member.architecture for member in self.strategy.front()]
        if self._measuring.corrects(self._next, front, before_run=self._at_safe_point):
            self._renew_known_costs()

    def _renew_known_costs(self) -> None:
        self.strategy.renew_known_costs()
        if self._screen is not None:
            self._screen.renew_known_costs()

    def _judge_anew(self, checkpoint: Checkpoint) -> None:
        """Judge by the known costs and limits of today what was judged by others; errors stay."""
        self._renew_known_costs()
        if self.history:
            last = self.history[-1]
            errors = {member.architecture: member.costs[0] for member in last.population}
            members = _with_errors(self.strategy.population, errors)
            front = Front(self.strategy.front_of(members), last.objectives)
            self.history[-1] = replace(last, population=members, front=front)
        if checkpoint.is_partial:
            known = {objective.name: objective for objective in self.objectives[1:]}
            self._part.log.renew(known, self.strategy.space.choices)
        self._is_judged_anew, self._is_renewed = not checkpoint.is_partial, checkpoint.is_partial

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Make pauses inside evaluations safe points; where the search ends, go back to the beginning."""
        self._is_torn = True
        trainer = self.trainer
        if isinstance(trainer, PausableTrainer):
            trainer.between_batches = self._at_safe_point
        try:
            yield
        except Ended:
            self._take_up(self._beginning)
            self._is_torn = False
            raise
        else:
            self._is_torn = False
        finally:
            if isinstance(trainer, PausableTrainer):
                trainer.between_batches = _go_on

    def _at_safe_point(self) -> None:
        """Save what is due; end the search where it is to end.

        Raises:
            Ended: It is.
        """
        try:
            self._watch.require_go_on()
        except Ended:
            self._save_part()
            raise
        if self._watch.is_due():
            self._watch.timed(self._save_part)

    def _before_evaluation(self) -> None:
        """End the search where it has made all the evaluations that it may.

        Raises:
            Ended: It has.
        """
        try:
            self._watch.require_evaluations_left(self.trainer.ledger.evaluations)
        except Ended:
            self._save_part()
            raise

    def _default_screen(self, screening: bool | None) -> Screen | None:
        by_default = self.strategy.is_screened and len(self.objectives) > 1
        if not (by_default if screening is None else screening):
            return None
        by_promise = screening is True or not self._is_estimated
        if not by_promise and self.strategy.violation is unconstrained:
            return None
        return Screen(
            self.objectives[1:],
            violation=self.strategy.violation,
            optimism=1.0 if by_promise else None,
            remembers=self.trainer.has_fixed_errors,
        )

    @property
    def _is_estimated(self) -> bool:
        """Whether losses joined with sizes stand for errors: a model of these finds what misleads."""
        return self.strategy.errors_by == "joined" and isinstance(self.trainer, LossTellingTrainer)

    def _activate(self) -> None:
        """Let the trainer have weights for what the strategy searches from now on, and for nothing else.

        A checkpoint holds those, so that a resumed search, which restores the strategy first, knows whose
        they are.
        """
        self.trainer.activate(self.strategy.space, soft_path=self.strategy.soft_path)

    def _take_up(self, record: Record) -> None:
        """Put strategy, screen and costs back to where they were when ``record`` was made."""
        if self._measuring is not None:
            self._measuring.take_up(record.measured)
        elif record.measured:
            raise CheckpointError("the checkpoint's costs were corrected by measuring; open it as a run")
        if self._screen is not None:
            self._screen.restore(record.screen)
        self.strategy.restore(record.strategy)

    def _train(self) -> None:
        if self._next == 0:
            self.strategy.warm_up(self._logged, self.schedule.warm_up_steps)
        else:
            self._logged.remember()
            self.strategy.train(self._logged, self.schedule.steps)

    def _evaluate(self, architecture: Architecture) -> Evaluated:
        self._before_evaluation()
        first, *others = self.objectives
        error, loss = self._logged.error(first.name, architecture, first)
        known = (self._logged.cost(one.name, architecture, one) for one in others)
        costs = (error, *known)
        bounds = bounds_of(others, architecture, costs)
        previous_error, previous_loss = self._previous_error(architecture)
        return Evaluated(Candidate(architecture, costs, previous_error, bounds), loss, previous_loss)

    def _evaluations(self, asked: Sequence[Architecture]) -> Iterator[Asked]:
        """Yield the evaluations of candidates, in the order in which they are made."""
        known = {member.architecture for member in self.strategy.population}
        has_previous = self._next > 0 and self.strategy.needs_previous_error
        for architecture in asked:
            yield architecture, "current"
            if has_previous and architecture not in known:
                yield architecture, "previous"

    def _expect(self, asked: Sequence[Asked]) -> None:
        if isinstance(self.trainer, ForeseeingTrainer):
            self.trainer.expect(asked)

    def _previous_error(self, architecture: Architecture) -> tuple[float | None, float | None]:
        """Return the error before this generation's training, where the strategy asks for it, and its loss.

        A member's was measured with those very weights in the last round; a newcomer's is measured now.
        """
        if self._next == 0 or not self.strategy.needs_previous_error:
            return None, None
        for member in self.strategy.population:
            if member.architecture == architecture:
                return member.costs[0], None
        accuracy, loss = self._logged.judged(architecture, "previous")
        return 1.0 - accuracy, loss

    def _record(self, trainer: Mapping[str, Json]) -> Record:
        """Return where the search stands between two generations, with these values of its trainer."""
        screen = None if self._screen is None else self._screen.state()
        saved = {name: forms[0] for name, forms in self._fingerprint.items()} | self._numerics
        measured = () if self._measuring is None else self._measuring.used
        return Record(saved, trainer, self.strategy.state(), tuple(self.history), screen, measured)

    def _save(self, generation: int) -> None:
        """Save ``generation``, which is complete."""
        if self._checkpoints is None:
            return
        state = self.trainer.state()
        self._checkpoints.save(self._record(state.values).to_checkpoint(generation, state))
        self.kept = Position(generation)

    def _save_part(self) -> None:
        """Keep what was done of the generation, on the disk where there are checkpoints."""
        self._part = Part(self._logged.log, time.perf_counter() - self._start_s)
        if self._checkpoints is None:
            return
        trainer = self.trainer
        state = trainer.state_within() if isinstance(trainer, PausableTrainer) else trainer.state()
        self._checkpoints.save(self._beginning.to_partial(self._next, state, self._part))
        self.kept = self._inside(self._part)

    def _inside(self, part: Part) -> Position:
        evaluated = part.log.count(f"cost {self.objectives[0].name}")
        return Position(self._next, is_complete=False, steps=part.log.count("step"), evaluated=evaluated)

    def _check_fingerprint(self, found: Mapping[str, str]) -> None:
        for name, now in self._numerics.items():
            written = found.get(name, _FIRST_NUMERICS)
            if written != now:
                raise CheckpointError(
                    f"the checkpoint was written with {name} {written}, which are {now} by now: it would go "
                    "on otherwise; start anew in another folder, or use the version that wrote it"
                )
        for name, forms in self._fingerprint.items():
            if found.get(name) not in forms:
                raise CheckpointError(
                    f"the checkpoint was written with {name} {found.get(name)}, this search has {forms[0]}; "
                    "restore that, or start anew in another folder"
                )


def _with_errors(members: Sequence[Candidate], errors: Mapping[Architecture, float]) -> tuple[Candidate, ...]:
    """Return the members with ``errors``, or with their own where there is none."""
    return tuple(member.with_error(errors.get(member.architecture, member.costs[0])) for member in members)
