"""TFLite: LiteRT, or the older tflite_runtime, on this machine; ``benchmark_model`` on a phone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devices import Device, DeviceError, Fake, HostDevice, RemoteDevice
from latency_tables import OpSpec, Setting
from profilers.runtimes._host import require_float32
from profilers.runtimes._reference import Array, random_inputs, torch_output, torch_threads
from profilers.runtimes._runtime import LoweredModel, Runtime, Sampler, Workload
from profilers.runtimes._tflite import interpreter
from profilers.runtimes._tflite.file import read_tflite
from profilers.runtimes._tflite.host import prepared
from profilers.runtimes._tflite.remote import RemoteTfLite
from profilers.runtimes._tflite.settings import TfLiteSettings

if TYPE_CHECKING:
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

    def header_settings(self) -> Mapping[str, Setting]:
        return self.settings.model_dump(exclude={"benchmark_binary"})

    def version(self, device: Device) -> str:
        if isinstance(device, RemoteDevice):
            return self._remote.tool(device).version
        self._host(device)
        return interpreter.version()

    def lowered(self, workload: Workload) -> LoweredModel:
        if isinstance(workload.source, LoweredModel):
            return workload.source
        content, reference = self._lowered(workload)
        return LoweredModel(content, reference=reference)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
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

    def _lowered(self, workload: Workload) -> tuple[bytes, Array | None]:
        """Return the model, and torch's output for random inputs: (n, c, h, w), or (n, classes) of a network.

        A file has no module that torch could run: its reference is ``None``.
        """
        require_float32(workload.spec)
        if isinstance(workload.source, Path):
            return read_tflite(workload.source), None
        if isinstance(workload.source, LoweredModel):
            return workload.source.content, workload.source.reference
        return self._from_torch(workload.source, workload.spec)

    def _from_torch(self, build: "Callable[[], nn.Module]", spec: OpSpec) -> tuple[bytes, Array]:
        try:
            from profilers.lowering.tflite import lower
        except ModuleNotFoundError as error:  # tflite_runtime brings no schema
            raise DeviceError(
                "writing TFLite files needs ai-edge-litert; install it, or measure a .tflite file"
            ) from error
        with torch_threads(self.threads):
            module = build()
            return lower(module, spec.input_shapes), torch_output(module, random_inputs(spec))

    def _host(self, device: Device) -> HostDevice:
        if not isinstance(device, HostDevice) or isinstance(device, Fake):  # whose clock stands still
            raise DeviceError(
                f"TFLite is measured on this machine or on a phone, not on {device.info().kind}; use cpu"
            )
        if self.settings.is_accelerated:
            raise DeviceError(
                f"delegate {self.settings.delegate} is for phones; on {device.info().kind}, use cpu"
            )
        return device
