"""A process that measures on a board, as the worker of several processes there asks it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from devices import RemoteHost
from latency_tables import Conditions, OpSpec
from profilers.runtimes._board.conversation import ProgramEndedError
from profilers.runtimes._board.process import LIMIT_S, BoardProcess
from profilers.runtimes._on_board import Execution
from profilers.runtimes._runtime import LoweredModel, Timed
from profilers.worker.contract import Block, MeasuringError
from profilers.worker.process import WorkerEndedError


class BoardWorkerProcess:
    """A process on a board that loads models and runs blocks.

    It starts at the first request, inside of the device's ``quiet``, on whose processors it then is.

    Args:
        device: The board.
        execution: What executes there.
        number: Of this process among those of a measurement.
        limit_s: Longest that a load, or a block, takes.
    """

    def __init__(
        self, device: RemoteHost, execution: Execution, number: int, *, limit_s: float = LIMIT_S
    ) -> None:
        self.number = number
        self._start = partial(BoardProcess, device, execution, limit_s=limit_s)
        self._started: BoardProcess | None = None

    def load(self, place: int, spec: OpSpec, model: LoweredModel) -> Conditions:
        """Load a model; return what is kept with its entry: see ``WorkerProcess``."""
        with _ended():
            return self._process().load(place, spec, model)

    def run(self, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks of what was loaded: see ``WorkerProcess``."""
        with _ended():
            found = self._process().run(blocks)
        return [self._block(one, n) for one, (_, n) in zip(found, blocks, strict=True)]

    def unload(self, place: int) -> None:
        """Forget what was loaded: see ``WorkerProcess``."""
        with _ended():
            self._process().unload(place)

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._started is not None:
            self._started.close()

    def _process(self) -> BoardProcess:
        if self._started is None:
            self._started = self._start()
        return self._started

    def _block(self, found: Timed | MeasuringError, n: int) -> Block | MeasuringError:
        return Block(found[0], n, found.used, self.number) if isinstance(found, Timed) else found


@contextmanager
def _ended() -> Iterator[None]:
    try:
        yield
    except ProgramEndedError as ended:
        raise WorkerEndedError(ended.place, ended.error) from ended
