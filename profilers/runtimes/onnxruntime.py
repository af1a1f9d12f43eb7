"""ONNX Runtime: on this machine's processors and cards, on boards, or by a program of its own on a phone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from devices import Accelerator, Device, DeviceError, Fake, HostDevice, RemoteDevice, RemoteHost
from devices.foundation import first_line
from latency_tables import Conditions, ExecutedGraph, OpSpec, Setting
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._board.onnxruntime import BoardOrt, OrtExecution
from profilers.runtimes._host import mean_of_block, require_float32, require_inputs
from profilers.runtimes._kept import kept_graph, kept_model
from profilers.runtimes._on_board import Execution
from profilers.runtimes._onnxruntime.breakdown import (
    WARM_UP_CALLS,
    operator_times,
    profiled_calls,
    profiled_session,
    units_by_name,
)
from profilers.runtimes._onnxruntime.executed import executed_graph
from profilers.runtimes._onnxruntime.file import read_onnx, tensor_type
from profilers.runtimes._onnxruntime.providers.provider import (
    SHOWN,
    Provider,
    provider_anywhere,
    provider_on,
    provider_version,
)
from profilers.runtimes._onnxruntime.providers.sampler import Loading
from profilers.runtimes._onnxruntime.remote import RemoteOrt
from profilers.runtimes._onnxruntime.remote_graphs import Model
from profilers.runtimes._onnxruntime.session import (
    ON_PROCESSOR,
    ORT_ERRORS,
    Sessions,
    open_session,
    optimised,
    optimiser_identity,
)
from profilers.runtimes._onnxruntime.settings import OF_PHONES, OnnxRuntimeSettings
from profilers.runtimes._reference import (
    Array,
    Values,
    as_float32,
    batched,
    check_outputs,
    input_shapes,
    made_up_inputs,
    random_inputs,
    torch_output,
    torch_threads,
)
from profilers.runtimes._runtime import LoweredModel, OperatorTime, Runtime, Sampler, UnitCounter, Workload

if TYPE_CHECKING:  # a process that runs what others have lowered loads no torch
    from torch import nn

    from profilers.runtimes._onnxruntime.networks.composed import ComposedNetworks


class OnnxRuntime(Runtime):
    """ONNX Runtime with all of its graph optimisations, as shipped.

    ``prepare`` creates a session's thread pool, which keeps the affinity of that moment: call it inside of
    the device's ``quiet``.

    Args:
        threads: Threads of one call.
        settings: Those of ``OnnxRuntimeSettings``.
    """

    settings: OnnxRuntimeSettings
    is_separable = True

    def __init__(self, threads: int = 1, **settings: object) -> None:
        super().__init__(threads, **settings)
        self._remote = RemoteOrt(threads, self.settings)
        self._boards = BoardOrt(self.on_board)

    def header_settings(self) -> Mapping[str, Setting]:
        usual = OnnxRuntimeSettings()
        named: dict[str, Setting] = {
            "provider": self.settings.provider,
            "batch": self.settings.batch,
            "mode": self.settings.mode,
        }
        return {name: value for name, value in named.items() if value != getattr(usual, name)}

    def version(self, device: Device) -> str:
        if isinstance(device, RemoteHost):
            return self._boards.version(device)
        if isinstance(device, RemoteDevice):
            return self._remote.version(self._phone(device))
        self._host(device)
        provider = self.settings.provider
        plugin = "" if provider == "cpu" else provider_version(provider)
        return f"{onnxruntime.__version__}, {plugin}" if plugin else str(onnxruntime.__version__)

    def on_board(self) -> Execution:
        return OrtExecution(self.threads, self.settings)

    def lowered(self, workload: Workload) -> LoweredModel:
        if isinstance(workload.source, LoweredModel):
            return workload.source
        require_float32(workload.spec)
        content, reference = self._lowered(workload)
        return LoweredModel(content, reference=reference)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        host = None if isinstance(device, RemoteDevice) else self._host(device)
        provider = None if host is None else self._provider_on(host)
        spec = self._as_run(workload.spec)
        require_float32(spec)
        model, reference = self._lowered(workload)
        is_optimised = _is_optimised(workload)
        if isinstance(device, RemoteHost):
            lowered = LoweredModel(model, is_optimised, reference)
            with self._boards.prepared(lowered, spec, device) as on_board:
                yield on_board
        elif isinstance(device, RemoteDevice):
            phone = self._phone(device)
            with self._remote.prepared(model, spec, phone, is_optimised=is_optimised) as there:
                yield there
        elif host is not None and provider is not None:
            loading = Loading(provider, self.threads, self.settings.mode)
            with loading.sampler(model, spec, host, is_optimised=is_optimised) as on_card:
                check_outputs(spec, on_card.outputs(), reference)
                yield on_card
        elif host is not None:
            session = open_session(model, threads=self.threads, is_optimised=is_optimised, subject=spec)
            bound = _BoundSession(session, spec, made_up_inputs(spec), host)
            check_outputs(spec, bound.outputs(), reference)
            yield bound

    def counter(self, build: "Callable[[OpSpec], nn.Module]") -> UnitCounter:
        from profilers.runtimes._onnxruntime.counter import OnnxCounter  # loads torch

        self._require_shown()
        provider = self.settings.provider
        if provider == "cpu":
            return OnnxCounter(build, batch=self.settings.batch)
        try:
            return OnnxCounter(build, provider_anywhere(provider), batch=self.settings.batch)
        except DeviceError as error:
            raise UnsupportedOperationError(
                f"this machine does not show what is executed: {error}"
            ) from error

    def executed(self, workload: Workload, device: Device) -> ExecutedGraph:
        [graph] = self.executed_each([workload], device)
        return graph

    def executed_each(self, workloads: Iterable[Workload], device: Device) -> Iterator[ExecutedGraph]:
        self._require_shown()
        if not isinstance(device, RemoteDevice):
            by = self._provider_on(self._host(device)) or ON_PROCESSOR
            yield from (self._executed_by(by, workload) for workload in workloads)
            return
        models = map(self._model_of, workloads)
        if isinstance(device, RemoteHost):
            graphs = self._boards.optimised(models, device)
        else:
            graphs = self._remote.optimised(models, device)
        for spec, graph in graphs:
            yield executed_graph(graph, input_shapes(spec))

    def _executed_by(self, by: Sessions, workload: Workload) -> ExecutedGraph:
        """Return what a provider of this machine makes of a network."""
        spec = self._as_run(workload.spec)

        def counted() -> ExecutedGraph:
            model = self._model_of(workload)
            return executed_graph(optimised(model.content, subject=spec, provider=by), input_shapes(spec))

        return kept_graph(workload.recipe, spec, optimiser_identity(by), counted)

    def breakdown(self, workload: Workload, device: Device) -> Sequence[OperatorTime]:
        spec, is_optimised = self._as_run(workload.spec), _is_optimised(workload)
        require_float32(spec)
        if isinstance(device, RemoteHost):
            lowered = LoweredModel(self._model(workload), is_optimised)
            return self._boards.breakdown(lowered, spec, device)
        if isinstance(device, RemoteDevice):
            return self._remote.breakdown(self._model(workload), spec, device, is_optimised=is_optimised)
        host, provider = self._host(device), self.settings.provider
        if provider != "cpu":
            raise UnsupportedOperationError(
                f"ONNX Runtime's profiler tells of {provider} when work was given to it, not how long it took"
            )
        model = self._model(workload)
        units = units_by_name(model if is_optimised else optimised(model, subject=spec), input_shapes(spec))
        with profiled_session(
            model, threads=self.threads, is_optimised=is_optimised, subject=spec
        ) as profiled:
            bound = _BoundSession(profiled.session, spec, made_up_inputs(spec), host)
            [call_s] = bound(WARM_UP_CALLS)
            n = profiled_calls(call_s, len(units))
            bound(n)
            return operator_times(profiled.content(), n, units)

    def _require_shown(self) -> None:
        provider = self.settings.provider
        if provider not in SHOWN:
            raise UnsupportedOperationError(
                f"ONNX Runtime does not show what provider {provider} executes: it compiles networks"
            )

    def _model_of(self, workload: Workload) -> Model:
        spec = self._as_run(workload.spec)
        require_float32(spec)
        return Model(spec, self._model(workload))

    def _model(self, workload: Workload) -> bytes:
        """Return the model of a workload, which no torch has run."""
        match workload.source:
            case Path() as path:
                return read_onnx(path)
            case LoweredModel(content=content):
                return content
            case _ if workload.recipe:  # then torch's output is kept with it
                return self._lowered(workload)[0]
            case build:
                with torch_threads(self.threads):
                    return self._written(build(), self._as_run(workload.spec))

    def _lowered(self, workload: Workload) -> tuple[bytes, Array | None]:
        """Return the model, and torch's output for random inputs: (n, c, h, w), or (n, classes) of a network.

        A file has no module that torch could run: its reference is ``None``.
        """
        if isinstance(workload.source, LoweredModel):
            return workload.source.content, workload.source.reference
        if isinstance(workload.source, Path):
            return self._model(workload), None
        build, spec = workload.source, self._as_run(workload.spec)
        return kept_model(workload.recipe, spec, "onnx", lambda: self._lowered_now(build, spec))

    def _lowered_now(self, build: "Callable[[], nn.Module]", spec: OpSpec) -> tuple[bytes, Array]:
        with torch_threads(self.threads):
            module = build()
            return self._written(module, spec), torch_output(module, random_inputs(spec))

    def _written(self, module: "nn.Module", spec: OpSpec) -> bytes:
        """Return the model of a module: of a network, by those of its operations."""
        from profilers.lowering.onnx import lower  # loads torch

        composed = self._composed.model(module, self.settings.batch)
        return lower(module, spec.input_shapes) if composed is None else composed

    @cached_property
    def _composed(self) -> "ComposedNetworks":
        from profilers.runtimes._onnxruntime.networks.composed import ComposedNetworks  # loads torch

        return ComposedNetworks()

    def _as_run(self, spec: OpSpec) -> OpSpec:
        """Return what one call computes: ``spec`` of as many images as a batch has."""
        return batched(spec, self.settings.batch)

    def _provider_on(self, host: HostDevice) -> Provider | None:
        """Return what executes models on a device of this machine; ``None``: its processors.

        Raises:
            DeviceError: It is not installed, or does not run there.
        """
        provider = self.settings.provider
        return None if provider == "cpu" else provider_on(provider, host)

    def _phone(self, device: RemoteDevice) -> RemoteDevice:
        if self.settings.provider not in ("cpu", *OF_PHONES):
            raise DeviceError(
                f"provider {self.settings.provider} is not for phones; use cpu, {', '.join(OF_PHONES)}"
            )
        if self.settings.mode == "cold":
            raise DeviceError("mode cold is for cards of this machine; on a phone, leave it out")
        return device

    def _host(self, device: Device) -> HostDevice:
        if not isinstance(device, HostDevice) or isinstance(device, Fake):  # whose clock stands still
            raise DeviceError(
                "ONNX Runtime is measured on this machine, a board or a phone, not on "
                f"{device.info().kind}; use cpu"
            )
        provider, is_card = self.settings.provider, isinstance(device, Accelerator)
        if provider in OF_PHONES:
            raise DeviceError(f"provider {provider} is for phones; on {device.info().kind}, use cpu")
        if is_card and provider == "cpu":
            raise DeviceError(
                "provider cpu does not run on a card; name one: --set latency.settings.provider=webgpu"
            )
        if not is_card and self.settings.mode == "cold":
            raise DeviceError(f"mode cold is for cards; on {device.info().kind}, leave it out")
        return device


def _is_optimised(workload: Workload) -> bool:
    return isinstance(workload.source, LoweredModel) and workload.source.is_optimised


class _BoundSession:
    """A session with its inputs in place: passing them at each call would cost more than small operations.

    Raises:
        ProfilingError: The session's inputs are not those of the spec.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        spec: OpSpec,
        inputs: Sequence[Values],
        device: HostDevice,
    ) -> None:
        self._session, self._spec, self._device = session, spec, device
        self._inputs = inputs  # the binding refers to their memory and does not keep it
        self._binding = session.io_binding()
        found = [(tensor_type(node.type), node.shape) for node in session.get_inputs()]
        require_inputs(spec, found)
        for node, values in zip(session.get_inputs(), inputs, strict=True):
            self._binding.bind_cpu_input(node.name, values)
        for node in session.get_outputs():
            self._binding.bind_output(node.name)

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return their mean."""
        return mean_of_block(self._run, n, self._device)

    def facts(self) -> Conditions:
        """Return nothing: a session of one provider has no choice."""
        return {}

    def outputs(self) -> list[Array]:
        """Run one call and return its outputs as float32, images as (n, c, h, w)."""
        self._run(1)
        return [as_float32(np.asarray(output)) for output in self._binding.copy_outputs_to_cpu()]

    def _run(self, n: int) -> None:
        run, binding = self._session.run_with_iobinding, self._binding
        try:
            for _ in range(n):
                run(binding)
        except ORT_ERRORS as error:
            raise ProfilingError(f"ONNX Runtime failed on {self._spec}: {first_line(error)}") from error
