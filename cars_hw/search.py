"""Search: the loop. Train, evaluate with today's weights, select, checkpoint, yield."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from cars_hw.candidate import Candidate, Front
from cars_hw.checkpoint import CheckpointFolder
from cars_hw.errors import CheckpointError
from cars_hw.evolution.screening import Screen
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives import Objective
from cars_hw.record import Generation, Record, read_record
from cars_hw.strategies._strategy import SearchFacts, Strategy
from cars_hw.trainer import Trainer, TrainerState
from devices.foundation import ConfigError, plugin_name

#: The number of ``numerics`` that a checkpoint without one was written with.
_FIRST_NUMERICS = "1"


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
            declares, where there is a known cost.
        screen: Screens with settings of its own; ``None`` for the default ones.
        changed: What has changed since the latency tables were measured, which each round from now on tells.

    Raises:
        ConfigError: A screen is given, and screening is off; or it is on, and no cost is known.
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
    ) -> None:
        if screen is not None and screening is False:
            raise ConfigError("a screen is given, but screening is off; leave one of them out")
        self.trainer, self.strategy, self.objectives = trainer, strategy, tuple(objectives)
        self.schedule = schedule
        self.history: list[Generation] = []
        self._checkpoints = checkpoints
        self._fingerprint = dict(fingerprint or {})
        self._changed = tuple(changed)
        self._screen = screen if screen is not None else self._default_screen(screening)
        self._numerics = {
            f"numerics of {plugin_name(type(strategy))}": str(strategy.numerics),
            "numerics of the weights": str(trainer.numerics),
            "numerics of screening": str(Screen.numerics),
        }
        self._next = 0
        self._is_judged_anew = False
        known_costs = {objective.name: objective for objective in self.objectives[1:]}
        strategy.begin(SearchFacts(schedule.generations, schedule.steps, known_costs, self._screen))
        self._activate()

    def __repr__(self) -> str:
        done, names = len(self.history), ", ".join(objective.name for objective in self.objectives)
        strategy = plugin_name(type(self.strategy))
        return f"<search by {strategy} for {names}: {done} of {self.schedule.generations + 1} rounds>"

    @property
    def front(self) -> Front:
        """The front of the last round; empty before the first."""
        return self.history[-1].front if self.history else Front(())

    def resume(self) -> bool:
        """Continue from the newest checkpoint, if there is one; return whether there was.

        Raises:
            CheckpointError: It is damaged, of a search with another fingerprint, or of other numerics of the
                strategy.
        """
        checkpoint = self._checkpoints.load_newest() if self._checkpoints else None
        if checkpoint is None:
            return False
        record = read_record(checkpoint)
        self._check_fingerprint(record.fingerprint)
        if (self._screen is None) != (record.screen is None):
            was, switch = ("out", "off") if record.screen is None else ("", "on")
            raise CheckpointError(
                f"the checkpoint was written with{was} screening; switch it {switch} to go on"
            )
        if self._screen is not None:
            self._screen.restore(record.screen)
        self.strategy.restore(record.strategy)
        self._activate()
        self.trainer.restore(TrainerState(checkpoint.arrays, record.trainer))
        self.history = list(record.history)
        self._next = checkpoint.generation + 1
        if any(record.fingerprint.get(name) != forms[0] for name, forms in self._fingerprint.items()):
            self._judge_anew()
        return True

    def run(self) -> Iterator[Generation]:
        """Yield a ``Generation`` a round until the schedule is done; each is saved before it is yielded.

        Raises:
            StorageError: Somebody else writes into the folder, or it is gone.
            CheckpointError: The disk refuses, or the stored configuration was changed.
        """
        with self._checkpoints.owned() if self._checkpoints else nullcontext():
            if self._is_judged_anew:
                self._save(self._next - 1)
                self._is_judged_anew = False
            while self._next <= self.schedule.generations:
                yield self._round()

    def _round(self) -> Generation:
        start_s = time.perf_counter()
        self._train()
        evaluated = [self._evaluate(architecture) for architecture in self.strategy.ask()]
        if self._screen is not None:
            self._screen.learn(evaluated)
        self.strategy.tell(evaluated)
        self._activate()
        names = tuple(objective.name for objective in self.objectives)
        generation = Generation(
            self._next,
            self.strategy.population,
            Front(self.strategy.front(), names),
            names,
            self.trainer.ledger.to_json(),
            time.perf_counter() - start_s,
            tuple(dict.fromkeys((*(self.history[-1].changed if self.history else ()), *self._changed))),
        )
        self.history.append(generation)
        self._save(self._next)
        self._next += 1
        return generation

    def _judge_anew(self) -> None:
        """Judge the last generation by the known costs and limits of today; errors stay."""
        self.strategy.renew_known_costs()
        if self._screen is not None:
            self._screen.renew_known_costs()
        last = self.history[-1]
        front = Front(self.strategy.front(), last.objectives)
        self.history[-1] = replace(last, population=self.strategy.population, front=front)
        self._is_judged_anew = True

    def _default_screen(self, screening: bool | None) -> Screen | None:
        by_default = self.strategy.is_screened and len(self.objectives) > 1
        if not (by_default if screening is None else screening):
            return None
        return Screen(
            self.objectives[1:],
            violation=self.strategy.violation,
            remembers=self.trainer.has_fixed_errors,
        )

    def _activate(self) -> None:
        """Let the trainer have weights for what the strategy searches from now on, and for nothing else.

        A checkpoint holds those, so that a resumed search, which restores the strategy first, knows whose
        they are.
        """
        self.trainer.activate(self.strategy.space, soft_path=self.strategy.soft_path)

    def _train(self) -> None:
        if self._next == 0:
            self.strategy.warm_up(self.trainer, self.schedule.warm_up_steps)
        else:
            self.trainer.remember()
            self.strategy.train(self.trainer, self.schedule.steps)

    def _evaluate(self, architecture: Architecture) -> Candidate:
        costs = tuple(objective(architecture) for objective in self.objectives)
        return Candidate(architecture, costs, self._previous_error(architecture))

    def _previous_error(self, architecture: Architecture) -> float | None:
        """Return the error before this generation's training, where the strategy asks for it.

        A member's was measured with those very weights in the last round; a newcomer's is measured now.
        """
        if self._next == 0 or not self.strategy.needs_previous_error:
            return None
        for member in self.strategy.population:
            if member.architecture == architecture:
                return member.costs[0]
        return 1.0 - self.trainer.accuracy(architecture, weights="previous")

    def _save(self, generation: int) -> None:
        if self._checkpoints is None:
            return
        trainer = self.trainer.state()
        screen = None if self._screen is None else self._screen.state()
        saved = {name: forms[0] for name, forms in self._fingerprint.items()} | self._numerics
        record = Record(saved, trainer.values, self.strategy.state(), self.history, screen)
        self._checkpoints.save(record.to_checkpoint(generation, trainer))

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
