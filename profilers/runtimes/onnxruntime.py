"""ONNX Runtime: on the processors of this machine, or by ``onnxruntime_perf_test`` on a phone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from devices import Device, DeviceError, Fake, HostDevice, RemoteDevice
from devices.foundation import first_line
from latency_tables import Conditions, OpSpec, Setting
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._host import mean_of_block, require_float32, require_inputs
from profilers.runtimes._onnxruntime.file import file_type, read_onnx
from profilers.runtimes._onnxruntime.remote import RemoteOrt
from profilers.runtimes._onnxruntime.settings import OnnxRuntimeSettings
from profilers.runtimes._reference import (
    Array,
    Values,
    as_float32,
    check_outputs,
    made_up_inputs,
    random_inputs,
    torch_output,
    torch_threads,
)
from profilers.runtimes._runtime import LoweredModel, Runtime, Sampler, Workload

_PROVIDERS = ["CPUExecutionProvider"]

#: Errors arrive as exceptions; ONNX Runtime would write them to the terminal as well.
_ONLY_FATAL = 4

#: What ONNX Runtime raises has no common class. ``RuntimeError`` comes from runs with bound inputs.
_ORT_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    RuntimeError,
    UnicodeDecodeError,  # a message that quotes names of the file
)


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

    def header_settings(self) -> Mapping[str, Setting]:
        provider = self.settings.provider
        return {} if provider == "cpu" else {"provider": provider}

    def version(self, device: Device) -> str:
        if isinstance(device, RemoteDevice):
            return self._remote.version(device)
        self._host(device)
        return str(onnxruntime.__version__)

    def lowered(self, workload: Workload) -> LoweredModel:
        if isinstance(workload.source, LoweredModel):
            return workload.source
        require_float32(workload.spec)
        content, reference = self._lowered(workload)
        return LoweredModel(content, reference=reference)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        host = None if isinstance(device, RemoteDevice) else self._host(device)
        spec = workload.spec
        require_float32(spec)
        model, reference = self._lowered(workload)
        if isinstance(device, RemoteDevice):
            with self._remote.prepared(model, spec, device) as there:
                yield there
        elif host is not None:
            bound = _BoundSession(self._session(workload, model), spec, made_up_inputs(spec), host)
            check_outputs(spec, bound.outputs(), reference)
            yield bound

    def _lowered(self, workload: Workload) -> tuple[bytes, Array | None]:
        """Return the model, and torch's output for random inputs: (n, c, h, w), or (n, classes) of a network.

        A file has no module that torch could run: its reference is ``None``.
        """
        if isinstance(workload.source, Path):
            return read_onnx(workload.source), None
        if isinstance(workload.source, LoweredModel):
            return workload.source.content, workload.source.reference
        from profilers.lowering.onnx import lower  # loads torch

        spec = workload.spec
        with torch_threads(self.threads):
            module = workload.source()
            return lower(module, spec.input_shapes), torch_output(module, random_inputs(spec))

    def _session(self, workload: Workload, model: bytes) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        levels, source = onnxruntime.GraphOptimizationLevel, workload.source
        is_optimised = isinstance(source, LoweredModel) and source.is_optimised
        options.graph_optimization_level = levels.ORT_DISABLE_ALL if is_optimised else levels.ORT_ENABLE_ALL
        options.log_severity_level = _ONLY_FATAL
        # Threads that wait actively for more work would disturb the session that is measured next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            return onnxruntime.InferenceSession(model, options, providers=_PROVIDERS)
        except _ORT_ERRORS as error:
            raise UnsupportedOperationError(
                f"ONNX Runtime does not load {workload.spec}: {first_line(error)}"
            ) from error

    def _host(self, device: Device) -> HostDevice:
        if not isinstance(device, HostDevice) or isinstance(device, Fake):  # whose clock stands still
            raise DeviceError(
                f"ONNX Runtime is measured on this machine or a phone, not on {device.info().kind}; use cpu"
            )
        provider = self.settings.provider
        if provider != "cpu":
            raise DeviceError(f"provider {provider} is for phones; on {device.info().kind}, use cpu")
        return device


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
        found = [(_numpy_name(node.type), node.shape) for node in session.get_inputs()]
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
        except _ORT_ERRORS as error:
            raise ProfilingError(f"ONNX Runtime failed on {self._spec}: {first_line(error)}") from error


def _numpy_name(kind: str) -> str:
    """Return numpy's name of what ONNX Runtime calls ``tensor(float)``."""
    return file_type(kind.removeprefix("tensor(").removesuffix(")"))
