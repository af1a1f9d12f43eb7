"""Session: one retraining from its newest checkpoint to its end, saved so that a kill costs little.

The checkpoints are those of a search (``cars_hw.saving``), with an epoch in the place of a generation: one
after each epoch, with the curve so far as its history, and partial ones inside an epoch. What a resumed
retraining does is bit for bit what an uninterrupted one would have done, on the same machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.retraining.judging import Judgement
from cars_hw.retraining.monitor import Monitor, Progress
from cars_hw.retraining.trainer import EpochSums, NetworkTrainer
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.saving.safe_points import Budget, Ended, Watch
from cars_hw.trainer import TrainerState

#: An epoch of the curve: figures by name.
Epoch = dict[str, Json]


@dataclass(frozen=True)
class Outcome:
    """What came of a retraining.

    Attributes:
        judgement: Of what is kept, on the images that judge it.
        curve: Figures of each epoch.
        seconds: Time in all epochs.
    """

    judgement: Judgement
    curve: tuple[Epoch, ...]
    seconds: float


class Session:
    """A retraining.

    Args:
        name: Of what is trained, for progress.
        trainer: At its beginning.
        checkpoints: Where it is saved.
        identity: Digest of all that decides what it does.
        monitor: Who watches.
        clock: Seconds from any beginning.
    """

    def __init__(
        self,
        name: str,
        trainer: NetworkTrainer,
        checkpoints: CheckpointFolder,
        *,
        identity: str,
        monitor: Monitor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._trainer, self._checkpoints = name, trainer, checkpoints
        self._identity, self._monitor, self._clock = identity, monitor, clock
        self._watch = Watch(trainer.plan.checkpoint_every_s, clock)
        self._curve: list[Epoch] = []
        self._judgement: Judgement | None = None
        self._start_s = self._epoch_start_s = 0.0
        self._steps_before = 0

    def run(self) -> Outcome:
        """Go on from the newest checkpoint to the end. The folder of the checkpoints is owned by the caller.

        Raises:
            CheckpointError: The checkpoint is damaged, or of another retraining; or the disk refuses.
            DivergedError: The training diverged.
            Ended: The monitor asked for it; what was done is saved.
        """
        self._start_s = self._clock()
        self._resume()
        self._steps_before = self._trainer.steps
        self._watch.start(Budget())
        try:
            while len(self._curve) < self._trainer.plan.epochs:
                self._train_epoch()
            judgement = self._judgement or self._judged()
        except Ended:
            if self._trainer.steps > len(self._curve) * self._trainer.steps_per_epoch:
                self._save_partial()
            raise
        seconds = sum(float(str(epoch["seconds"])) for epoch in self._curve)
        return Outcome(judgement, tuple(self._curve), seconds)

    def _train_epoch(self) -> None:
        trainer, plan = self._trainer, self._trainer.plan
        number = len(self._curve) + 1
        while trainer.steps < number * trainer.steps_per_epoch:
            trainer.step()
            self._monitor.tell(self._progress())
            if self._watch.is_due():
                self._watch.timed(self._save_partial)
            self._monitor.require_go_on()
        is_judged = number % plan.evaluate_every_epochs == 0 or number == plan.epochs
        self._judgement = self._judged() if is_judged else None
        self._curve.append(self._epoch(number))
        trainer.seen = EpochSums()
        self._epoch_start_s = self._clock()
        self._checkpoints.save(self._checkpoint(number, is_partial=False))
        self._monitor.tell(self._progress(self._curve[-1]))

    def _judged(self) -> Judgement:
        return self._trainer.judge(self._monitor.require_go_on)

    def _epoch(self, number: int) -> Epoch:
        """Return the figures of the epoch that has just been done."""
        seen, judgement = self._trainer.seen, self._judgement
        return {
            "epoch": number,
            "step": self._trainer.steps,
            "skipped_steps": self._trainer.skipped,
            "loss": seen.losses / seen.images if seen.images else None,
            "training_error": 1 - seen.right / seen.images if seen.images else None,
            "error": None if judgement is None else judgement.error,
            "seconds": self._clock() - self._epoch_start_s,
        }

    def _save_partial(self) -> None:
        self._checkpoints.save(self._checkpoint(len(self._curve) + 1, is_partial=True))

    def _checkpoint(self, number: int, *, is_partial: bool) -> Checkpoint:
        state = self._trainer.state()
        values: dict[str, Json] = {
            "identity": self._identity,
            "trainer": dict(state.values),
            "seconds": self._clock() - self._epoch_start_s,
        }
        return Checkpoint(number, state.arrays, values, tuple(self._curve), is_partial)

    def _resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        self._epoch_start_s = self._start_s
        checkpoint = self._checkpoints.load_latest()
        if checkpoint is None:
            return
        values = checkpoint.values
        if values.get("identity") != self._identity:
            raise CheckpointError(
                f"{self._checkpoints.path} is of another retraining; restore it from a copy, or begin anew "
                "in another folder"
            )
        match values.get("trainer"), values.get("seconds"):
            case dict() as state, (int() | float()) as seconds:
                self._trainer.restore(TrainerState(checkpoint.arrays, state))
            case _:
                raise CheckpointError(f"{self._checkpoints.path} was written by another version")
        self._epoch_start_s = self._start_s - float(seconds)
        self._curve = [epoch for epoch in checkpoint.history if isinstance(epoch, dict)]

    def _progress(self, epoch: Epoch | None = None) -> Progress:
        trainer = self._trainer
        done, left = trainer.steps - self._steps_before, trainer.total_steps - trainer.steps
        figures = {} if epoch is None else epoch
        return Progress(
            self._name,
            epoch=len(self._curve),
            epochs=trainer.plan.epochs,
            step=trainer.steps,
            steps=trainer.total_steps,
            seconds_left=(self._clock() - self._start_s) / done * left if done else None,
            loss=_number(figures.get("loss")),
            error=_number(figures.get("error")),
        )


def _number(value: Json) -> float | None:
    return value if isinstance(value, float) else None
