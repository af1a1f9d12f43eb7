"""A worker of several fresh processes that take turns; what crashes one of them costs that workload alone."""

from collections.abc import Callable, Sequence
from typing import Protocol

from devices import DeviceError
from latency_tables import Conditions, OpSpec
from profilers.runtimes._runtime import LoweredModel, Runtime, Workload
from profilers.worker.contract import MEASURING_ERRORS, Block, MeasuringError, Worker
from profilers.worker.process import WorkerEndedError

#: So often may a process end with nothing to blame for it, killed by somebody else.
_MOST_UNEXPLAINED = 3

#: A message of blocks takes about so long: what a crash or an interrupt may cost.
_MOST_S = 2.0


class MeasuringProcess(Protocol):
    """A process that loads models and runs blocks; ``WorkerEndedError`` says that it has ended."""

    def load(self, place: int, spec: OpSpec, model: LoweredModel) -> Conditions:
        """Load a model; return what is kept with its entry."""
        ...

    def run(self, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks of what was loaded; return of each what it gave, or what ended its workload."""
        ...

    def unload(self, place: int) -> None:
        """Forget what was loaded."""
        ...

    def close(self) -> None:
        """End the process, whatever it does."""
        ...


class Processes(Worker):
    """Lowers workloads here, and runs them in processes that it starts and ends.

    They have the affinity of the thread that loads the first workload: load it inside of the device's
    ``quiet``.

    Args:
        runtime: What executes; separable.
        start: Starts a process, by its number among those of this worker.
        n: How many processes take turns.
    """

    most_s = _MOST_S

    def __init__(self, runtime: Runtime, start: Callable[[int], MeasuringProcess], n: int) -> None:
        self.turns = n
        self._runtime, self._start_one = runtime, start
        self._models: dict[int, tuple[OpSpec, LoweredModel]] = {}
        self._facts: dict[int, Conditions] = {}
        self._ended: dict[int, MeasuringError] = {}
        self._started = self._unexplained = 0
        self._processes: list[MeasuringProcess] = []
        for _ in range(n):
            self._processes.append(self._start())

    def load(self, place: int, workload: Workload) -> None:
        """Lower a workload and load it in every process."""
        spec, model = workload.spec, self._runtime.lowered(workload)
        for turn in range(self.turns):
            self._facts[place] = self._loaded(turn, place, spec, model)
        self._models[place] = spec, model

    def run(self, turn: int, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks; what ends the process is what ended its workload, and the others are run anew."""
        while True:
            alive = [block for block in blocks if block[0] not in self._ended]
            try:
                found = iter(self._processes[turn].run(alive) if alive else [])
            except WorkerEndedError as ended:
                self._restart(turn, ended)
                continue
            return [self._ended[place] if place in self._ended else next(found) for place, _ in blocks]

    def facts(self, place: int) -> Conditions:
        """Return what the runtime told when it had loaded."""
        return self._facts[place]

    def unload(self, place: int) -> None:
        """Forget a model in all processes."""
        if self._models.pop(place, None) is not None:
            for turn, process in enumerate(list(self._processes)):
                try:
                    process.unload(place)
                except WorkerEndedError as ended:
                    self._restart(turn, ended)

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for process in self._processes:
            process.close()
        self._processes = []

    def _loaded(self, turn: int, place: int, spec: OpSpec, model: LoweredModel) -> Conditions:
        while True:
            try:
                return self._processes[turn].load(place, spec, model)
            except WorkerEndedError as ended:
                self._restart(turn, ended)
                if ended.place is not None:
                    raise ended.error from ended

    def _start(self) -> MeasuringProcess:
        self._started += 1
        try:
            return self._start_one(self._started - 1)
        except OSError as error:
            self._end()
            raise DeviceError(f"no process to measure in can be started: {error.strerror}") from error

    def _restart(self, turn: int, ended: WorkerEndedError) -> None:
        """Replace a process that has ended by a fresh one that has loaded what is left."""
        while True:
            self._blame(ended)
            self._processes[turn].close()
            self._processes[turn] = self._start()
            try:
                self._load_all(self._processes[turn])
            except WorkerEndedError as again:
                ended = again
            else:
                return

    def _load_all(self, process: MeasuringProcess) -> None:
        for place, (spec, model) in list(self._models.items()):
            try:
                process.load(place, spec, model)
            except MEASURING_ERRORS as error:
                self._drop(place, error)

    def _blame(self, ended: WorkerEndedError) -> None:
        if ended.place is not None:
            self._drop(ended.place, ended.error)
            return
        self._unexplained += 1
        if self._unexplained > _MOST_UNEXPLAINED:
            raise DeviceError(f"processes that measure end again and again: {ended.error}") from ended

    def _drop(self, place: int, error: MeasuringError) -> None:
        self._models.pop(place, None)
        self._ended[place] = error
