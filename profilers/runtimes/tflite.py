"""TFLite: LiteRT, or the older tflite_runtime, on this machine; ``benchmark_model`` on a phone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devices import Accelerator, Device, DeviceError, Fake, HostDevice, RemoteDevice, RemoteHost
from latency_tables import ExecutedGraph, OpSpec, Setting, SpecError, TableError
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._board.board import Board
from profilers.runtimes._board.tflite import TfLiteExecution
from profilers.runtimes._host import require_float32
from profilers.runtimes._kept import kept_model
from profilers.runtimes._on_board import Execution
from profilers.runtimes._reference import Array, random_inputs, torch_output, torch_threads
from profilers.runtimes._runtime import LoweredModel, OperatorTime, Runtime, Sampler, UnitCounter, Workload
from profilers.runtimes._tflite import interpreter
from profilers.runtimes._tflite.file import read_tflite
from profilers.runtimes._tflite.host import prepared
from profilers.runtimes._tflite.remote import RemoteTfLite, with_units
from profilers.runtimes._tflite.settings import TfLiteSettings

if TYPE_CHECKING:  # a process that runs what others have lowered loads no torch
    from torch import nn


class TfLite(Runtime):
    """TFLite models, images in NHWC.

    ``prepare`` creates a model's threads, which keep the affinity of that moment: call it inside of the
    device's ``quiet``.

    Args:
        threads: Threads of one call.
        settings: Those of ``TfLiteSettings``.
    """

    settings: TfLiteSettings
    is_separable = True

    def __init__(self, threads: int = 1, **settings: object) -> None:
        super().__init__(threads, **settings)
        self._remote = RemoteTfLite(threads, self.settings)
        self._boards = Board(self.on_board)

    def header_settings(self) -> Mapping[str, Setting]:
        return self.settings.model_dump(exclude={"benchmark_binary"})

    def version(self, device: Device) -> str:
        if isinstance(device, RemoteHost):
            return self._boards.version(device)
        if isinstance(device, RemoteDevice):
            return self._remote.tool(device).version
        self._host(device)
        return interpreter.version()

    def on_board(self) -> Execution:
        return TfLiteExecution(self.threads, self.settings)

    def lowered(self, workload: Workload) -> LoweredModel:
        if isinstance(workload.source, LoweredModel):
            return workload.source
        content, reference = self._lowered(workload)
        return LoweredModel(content, reference=reference)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        if isinstance(device, RemoteHost):
            with self._boards.prepared(self.lowered(workload), workload.spec, device) as on_board:
                yield on_board
            return
        if isinstance(device, RemoteDevice):
            model, reference = self._lowered(workload)
            with self._remote.prepared(model, workload.spec, device, reference=reference) as there:
                yield there
            return
        host = self._host(device)
        model, reference = self._lowered(workload)
        with prepared(
            model,
            workload.spec,
            host,
            reference=reference,
            threads=self.threads,
            uses_xnnpack=self.settings.xnnpack,
        ) as here:
            yield here

    def counter(self, build: "Callable[[OpSpec], nn.Module]") -> UnitCounter:
        self._require_own_graph()
        with _schema_needed():
            from profilers.runtimes._tflite.counter import TfLiteCounter
        return TfLiteCounter(build, self.threads)

    def executed(self, workload: Workload, device: Device) -> ExecutedGraph:
        self._require_own_graph()
        if not isinstance(device, RemoteDevice):
            self._host(device)
        with _schema_needed():
            from profilers.lowering._tflite.reading import read
            from profilers.lowering._tflite.units import executed
        return executed(*read(self._model(workload)))

    def breakdown(self, workload: Workload, device: Device) -> Sequence[OperatorTime]:
        if not isinstance(device, RemoteDevice) or isinstance(device, RemoteHost):
            raise UnsupportedOperationError(
                "LiteRT's package for Python does not time its operators; benchmark_model on a phone does"
            )
        require_float32(workload.spec)
        model = LoweredModel(self._model(workload))
        times = self._remote.breakdown(model.content, device)
        try:
            graph = self.executed(Workload(workload.spec, model), device)
        except (ProfilingError, TableError, SpecError, DeviceError):  # units are not made of this file
            return times
        return with_units(times, [node.unit for node in graph.nodes])

    def _require_own_graph(self) -> None:
        """Check that what runs is the graph that we write: XNNPACK follows it, node by node."""
        if self.settings.is_accelerated:
            raise UnsupportedOperationError(
                f"delegate {self.settings.delegate} compiles a network and does not show what it executes"
            )

    def _lowered(self, workload: Workload) -> tuple[bytes, Array | None]:
        """Return the model, and torch's output for random inputs: (n, c, h, w), or (n, classes) of a network.

        A file has no module that torch could run: its reference is ``None``.
        """
        require_float32(workload.spec)
        source, spec = workload.source, workload.spec
        if isinstance(source, LoweredModel):
            return source.content, source.reference
        if isinstance(source, Path):
            return read_tflite(source), None
        return kept_model(workload.recipe, spec, "tflite", lambda: self._lowered_now(source, spec))

    def _lowered_now(self, build: "Callable[[], nn.Module]", spec: OpSpec) -> tuple[bytes, Array]:
        with _schema_needed():
            from profilers.lowering.tflite import lower
        with torch_threads(self.threads):
            module = build()
            return lower(module, spec.input_shapes), torch_output(module, random_inputs(spec))

    def _model(self, workload: Workload) -> bytes:
        """Return the model of a workload as a file."""
        if isinstance(workload.source, Path):
            return read_tflite(workload.source)
        if isinstance(workload.source, LoweredModel):
            return workload.source.content
        if workload.recipe:  # then torch's output is kept with it
            return self._lowered(workload)[0]
        with _schema_needed():
            from profilers.lowering.tflite import lower
        with torch_threads(self.threads):
            return lower(workload.source(), workload.spec.input_shapes)

    def _host(self, device: Device) -> HostDevice:
        # The clock of the first stands still; on the second it would run nothing.
        if not isinstance(device, HostDevice) or isinstance(device, Fake | Accelerator):
            raise DeviceError(
                "TFLite is measured on this machine, a board or a phone, not on "
                f"{device.info().kind}; use cpu"
            )
        if self.settings.is_accelerated:
            raise DeviceError(
                f"delegate {self.settings.delegate} is for phones; on {device.info().kind}, use cpu"
            )
        return device


@contextmanager
def _schema_needed() -> Iterator[None]:
    """Turn the lack of TFLite's schema, which tflite_runtime does not bring, into an error of ours."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DeviceError(
            "writing TFLite files needs ai-edge-litert; install it, or measure a .tflite file"
        ) from error
