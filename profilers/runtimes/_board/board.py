"""Boards under a runtime: what its other parts are asked of them, one program at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from weakref import WeakKeyDictionary

from devices import RemoteHost
from latency_tables import Conditions, OpSpec
from profilers.errors import ProfilingError
from profilers.runtimes._board.conversation import ProgramEndedError
from profilers.runtimes._board.process import BoardProcess
from profilers.runtimes._on_board import Execution
from profilers.runtimes._runtime import LoweredModel

#: The number of the one model that a program has here.
_PLACE = 0


class BoardModel:
    """A model on a board: the ``Sampler`` of runtimes there.

    Args:
        process: Runs it.
        spec: What it computes, for messages.
        facts: What is kept with its entry.
    """

    def __init__(self, process: BoardProcess, spec: OpSpec, facts: Conditions) -> None:
        self._process, self._spec, self._facts = process, spec, facts

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return their mean."""
        with _ended_by(self._spec):
            (found,) = self._process.run([(_PLACE, n)])
        if isinstance(found, ProfilingError):
            raise found
        return found

    def facts(self) -> Conditions:
        """Return what the runtime told when it had loaded."""
        return self._facts


class Board:
    """A runtime on boards.

    Args:
        execution: Returns how it executes there; a ``DeviceError`` says that it cannot.
    """

    def __init__(self, execution: Callable[[], Execution]) -> None:
        self._execution = execution
        self._versions: WeakKeyDictionary[RemoteHost, str] = WeakKeyDictionary()

    def version(self, device: RemoteHost) -> str:
        """Return the version that runs on ``device``.

        Raises:
            DeviceError: It is not installed there, or the board was lost.
        """
        if device not in self._versions:
            with closing(BoardProcess(device, self._execution())) as process:
                self._versions[device] = process.version
        return self._versions[device]

    @contextmanager
    def prepared(self, model: LoweredModel, spec: OpSpec, device: RemoteHost) -> Iterator[BoardModel]:
        """Load a model on ``device``, run it once, and compare its output.

        Raises:
            ProfilingError: It does not run there, or its output is wrong.
            DeviceError: The board lacks what it needs, or was lost.
        """
        with closing(BoardProcess(device, self._execution())) as process:
            with _ended_by(spec):
                facts = process.load(_PLACE, spec, model)
            yield BoardModel(process, spec, facts)

    @contextmanager
    def profiled(
        self, model: LoweredModel, spec: OpSpec, device: RemoteHost
    ) -> Iterator[tuple[BoardModel, BoardProcess, str]]:
        """Load a model to profile all of its calls; yield it, what runs it, and a folder there.

        Raises:
            ProfilingError: It does not run there.
            DeviceError: The board lacks what it needs, or was lost.
        """
        with (
            device.scratch() as folder,
            closing(BoardProcess(device, self._execution())) as process,
            _ended_by(spec),
        ):
            facts = process.load(_PLACE, spec, model, profile_folder=folder)
            yield BoardModel(process, spec, facts), process, folder

    def optimised(
        self, models: Iterable[tuple[OpSpec, bytes, int]], device: RemoteHost
    ) -> Iterator[tuple[OpSpec, bytes]]:
        """Yield, by what it computes, the graph that the runtime on ``device`` makes of each model.

        Args:
            models: Of each what it computes, its file, and the most bytes that its graph may have.
            device: The board.

        Raises:
            ProfilingError: One does not run there; those before it were yielded.
            DeviceError: The board was lost.
        """
        with device.scratch() as folder, closing(BoardProcess(device, self._execution())) as process:
            for spec, content, max_bytes in models:
                with _ended_by(spec):
                    graph = process.optimised(content, folder, max_bytes=max_bytes)
                yield spec, graph


@contextmanager
def _ended_by(spec: OpSpec) -> Iterator[None]:
    """Turn the end of a program that had one model into what that means for it: the sentinel, say."""
    try:
        yield
    except ProgramEndedError as ended:
        raise type(ended.error)(f"{spec} on the board: {ended}") from ended
