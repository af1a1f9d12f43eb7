"""TFLite: LiteRT, or the older tflite_runtime, on the processors of this machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from devices._device import Device, HostDevice
from devices._errors import ConfigError, DeviceError, UnsupportedOperationError
from latency_tables.header import Setting
from latency_tables.spec import OpSpec
from profilers.runtimes import _tflite_host, _tflite_interpreter
from profilers.runtimes._reference import Array, random_inputs, torch_output, torch_threads
from profilers.runtimes._runtime import Runtime, Sampler, Workload
from profilers.runtimes._tflite_file import read_tflite

_DELEGATES = ("cpu", "gpu", "nnapi")
_SWITCH = ("on", "off")


class TfLite(Runtime):
    """TFLite models, images in NHWC.

    ``prepare`` creates a model's threads, which keep the affinity of that moment: call it inside of the
    device's ``quiet``.

    Args:
        threads: Threads of one call.
        xnnpack: ``"on"``: XNNPACK runs what it can, as shipped; ``"off"``: TFLite's own kernels run all.
        delegate: What runs the model: ``"cpu"``; on a phone also ``"gpu"`` or ``"nnapi"``.
        require_full_delegation: ``"on"``: nothing may run outside of a GPU's or NNAPI's delegate.
        benchmark_binary: Path of the ``benchmark_model`` that is brought to a phone.

    Raises:
        ConfigError: A setting has no such value.
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        xnnpack: str = "on",
        delegate: str = "cpu",
        require_full_delegation: str = "on",
        benchmark_binary: str = "",
    ) -> None:
        super().__init__(threads)
        self._xnnpack = _one_of("xnnpack", xnnpack, _SWITCH)
        self._delegate = _one_of("delegate", delegate, _DELEGATES)
        self._require_full_delegation = _one_of("require_full_delegation", require_full_delegation, _SWITCH)
        self._benchmark_binary = benchmark_binary

    def settings(self) -> Mapping[str, Setting]:
        return {
            "xnnpack": self._xnnpack,
            "delegate": self._delegate,
            "require_full_delegation": self._require_full_delegation,
        }

    def version(self, device: Device) -> str:
        self._host(device)
        return _tflite_interpreter.version()

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        host = self._host(device)
        model, reference = self._lowered(workload)
        with _tflite_host.prepared(
            model,
            workload.spec,
            host,
            reference=reference,
            threads=self.threads,
            uses_xnnpack=self._xnnpack == "on",
        ) as loaded:
            yield loaded

    def _lowered(self, workload: Workload) -> tuple[bytes, Array | None]:
        """Return the model, and what torch computes for random inputs; ``None`` where it is a file."""
        if workload.spec.dtype != "float32":
            raise UnsupportedOperationError(
                f"{workload.spec}: this runtime measures float32; give it float32 operations"
            )
        if isinstance(workload.source, Path):
            return read_tflite(workload.source), None
        return self._from_torch(workload.source(), workload.spec)

    def _from_torch(self, module: nn.Module, spec: OpSpec) -> tuple[bytes, Array]:
        try:
            from profilers.lowering.tflite import lower
        except ModuleNotFoundError as error:  # tflite_runtime brings no schema
            raise DeviceError(
                "writing TFLite files needs ai-edge-litert; install it, or measure a .tflite file"
            ) from error
        with torch_threads(self.threads):
            return lower(module, spec.input_shapes), torch_output(module, random_inputs(spec))

    def _host(self, device: Device) -> HostDevice:
        if not isinstance(device, HostDevice):
            raise DeviceError(
                f"TFLite is measured on devices of this machine, not on {device.info().kind}; use cpu"
            )
        if self._delegate != "cpu":
            raise DeviceError(f"delegate {self._delegate} is for phones; on {device.info().kind}, use cpu")
        return device


def _one_of(setting: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ConfigError(f"tflite: {setting} = {value!r:.40} is not one of {', '.join(known)}")
    return value
