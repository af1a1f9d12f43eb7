"""An export format with the runtime that runs it: ONNX, compressed for the way to a device."""

import hashlib
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from torch import nn

from devices import Device, DeviceError, HostDevice
from latency_tables import Conditions, OpSpec
from profilers import (
    FileFormat,
    LoweredModel,
    ProfilingError,
    Runtime,
    UnsupportedOperationError,
    Workload,
    formats,
)
from profilers.runtimes import Sampler

_LARGEST_BYTES = 1 << 28
_BROKEN = (
    zlib.error,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
)
#: Torch exports by global state.
_EXPORTING = threading.Lock()


class PackedOnnx(FileFormat):
    """ONNX in zlib's form."""

    suffix = ".onnxz"
    layout = "NCHW"
    runtime = "my_lab.packed_onnx"
    packages = ("onnx", "onnxruntime")

    def lower(
        self,
        module: nn.Module,
        input_shapes: Sequence[tuple[int, ...]],
        *,
        input_dtype: formats.InputDtype = "float32",
        is_batch_dynamic: bool = False,
    ) -> bytes:
        with _EXPORTING:
            onnx = formats.load("onnx")
            content = onnx.lower(
                module, input_shapes, input_dtype=input_dtype, is_batch_dynamic=is_batch_dynamic
            )
            return zlib.compress(content)

    def run(self, content: bytes, images: formats.Images, *, batch: int = 1) -> NDArray[np.float32]:
        return formats.load("onnx").run(zlib.decompress(content), images, batch=batch)

    def workload(self, path: Path) -> Workload:
        try:
            content = path.read_bytes()
            shape = _session(content).get_inputs()[0].shape
        except OSError as error:
            raise ProfilingError(f"{path} cannot be read: {error.strerror}") from error
        except _BROKEN as error:
            raise ProfilingError(f"{path} is no packed model: {str(error).splitlines()[0][:80]}") from error
        digest = hashlib.sha256(content).hexdigest()[:16]
        return Workload(OpSpec.of("network", tuple(shape), digest=f"f{digest}"), path)


class PackedRuntime(Runtime):
    """ONNX Runtime on a packed file, or on a module that is written to one."""

    def version(self, device: Device) -> str:
        _host(device)
        return str(onnxruntime.__version__)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        there, source = _host(device), workload.source
        if isinstance(source, LoweredModel):
            raise UnsupportedOperationError("packed_onnx runs modules and packed files")
        shapes = workload.spec.input_shapes
        content = source.read_bytes() if isinstance(source, Path) else PackedOnnx().lower(source(), shapes)
        yield _Loaded(_session(content), workload.spec, there)


class _Loaded:
    def __init__(self, session: onnxruntime.InferenceSession, spec: OpSpec, device: HostDevice) -> None:
        self._session, self._device = session, device
        names = [node.name for node in session.get_inputs()]
        self._inputs = {
            name: np.zeros(shape, dtype=np.float32)
            for name, shape in zip(names, spec.input_shapes, strict=True)
        }

    def __call__(self, n: int) -> Sequence[float]:
        start_s = self._device.clock_s()
        for _ in range(n):
            self._session.run(None, self._inputs)
        self._device.synchronize()
        return [(self._device.clock_s() - start_s) / n]

    def facts(self) -> Conditions:
        return {}


def _session(content: bytes) -> onnxruntime.InferenceSession:
    """Load a packed model, not trusted to be small, on one thread."""
    unpacked = zlib.decompressobj().decompress(content, _LARGEST_BYTES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(unpacked, options, providers=["CPUExecutionProvider"])


def _host(device: Device) -> HostDevice:
    """Return ``device`` where work is started from here."""
    if not isinstance(device, HostDevice):
        raise DeviceError(f"packed files run on this machine, not on {device.info().kind}")
    return device
