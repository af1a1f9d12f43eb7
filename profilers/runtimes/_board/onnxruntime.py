"""ONNX Runtime on the processors of a board."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from devices import DeviceError, RemoteHost
from latency_tables import Conditions, OpSpec
from profilers.runtimes._board.board import Board, BoardModel
from profilers.runtimes._on_board import Execution, Loaded
from profilers.runtimes._onnxruntime.breakdown import (
    LARGEST_PROFILE_BYTES,
    WARM_UP_CALLS,
    operator_times,
    profiled_calls,
    units_by_name,
)
from profilers.runtimes._onnxruntime.remote_graphs import Model
from profilers.runtimes._onnxruntime.settings import OnnxRuntimeSettings
from profilers.runtimes._reference import (
    Array,
    Values,
    as_float32,
    batched,
    check_outputs,
    input_shapes,
    made_up_inputs,
)
from profilers.runtimes._runtime import LoweredModel, OperatorTime


class OrtExecution(Execution):
    """ONNX Runtime as the program on a board executes it.

    Args:
        threads: Threads of one call.
        settings: Of the runtime; on boards, the processors execute.

    Raises:
        DeviceError: They say something else.
    """

    name = "onnxruntime"
    packages = ("numpy", "onnxruntime")

    def __init__(self, threads: int, settings: OnnxRuntimeSettings) -> None:
        if settings.provider != "cpu":
            raise DeviceError(f"provider {settings.provider} is not for boards; use cpu there")
        if settings.mode != "warm":
            raise DeviceError(f"mode {settings.mode} is not for boards; leave it out")
        self._threads, self._batch = threads, settings.batch

    @property
    def options(self) -> Mapping[str, object]:
        """Return the threads."""
        return {"threads": self._threads}

    def inputs(self, spec: OpSpec) -> Sequence[Values]:
        """Return random inputs in torch's order."""
        return made_up_inputs(batched(spec, self._batch))

    def checked(self, spec: OpSpec, loaded: Loaded, reference: Array | None) -> Conditions:
        """Return nothing: a session of one provider has no choice."""
        check_outputs(spec, [as_float32(output) for output in loaded.outputs], reference)
        return {}


class BoardOrt:
    """ONNX Runtime on boards.

    Args:
        execution: Returns how it executes there.
    """

    def __init__(self, execution: Callable[[], Execution]) -> None:
        self._board = Board(execution)

    def version(self, device: RemoteHost) -> str:
        """Return the version that runs on ``device``."""
        return self._board.version(device)

    @contextmanager
    def prepared(self, model: LoweredModel, spec: OpSpec, device: RemoteHost) -> Iterator[BoardModel]:
        """Load a model on ``device``, run it once, and compare its output: see ``Board``."""
        with self._board.prepared(model, spec, device) as there:
            yield there

    def optimised(self, models: Iterable[Model], device: RemoteHost) -> Iterator[tuple[OpSpec, bytes]]:
        """Yield, by what it computes, the graph that ONNX Runtime there makes of each model; not trusted."""
        listed = ((model.spec, model.content, model.most_bytes) for model in models)
        return self._board.optimised(listed, device)

    def breakdown(self, model: LoweredModel, spec: OpSpec, device: RemoteHost) -> list[OperatorTime]:
        """Return the time of each node, with its unit.

        Raises:
            ProfilingError: It does not run there, or what is reported cannot be trusted.
            DeviceError: The board was lost.
        """
        graph = model.content
        with self._board.profiled(model, spec, device) as (loaded, process, folder):
            if not model.is_optimised:
                most_bytes = Model(spec, graph).most_bytes
                graph = process.optimised(graph, folder, max_bytes=most_bytes)
            units = units_by_name(graph, input_shapes(spec))
            [call_s] = loaded(WARM_UP_CALLS)
            n = profiled_calls(call_s, len(units))
            loaded(n)
            content = process.profiled(0, max_bytes=LARGEST_PROFILE_BYTES)
        return operator_times(content, n, units)
