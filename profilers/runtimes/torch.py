"""torch in eager mode: on the processors of this machine, or on a card that its CUDA sees."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from devices import Accelerator, Device, DeviceError, Fake, HostDevice
from latency_tables import ExecutedGraph, Extent, OpSpec, Setting
from profilers.errors import UnsupportedOperationError
from profilers.runtimes._host import require_float32
from profilers.runtimes._reference import input_shapes, torch_threads
from profilers.runtimes._runtime import LoweredModel, Runtime, Sampler, UnitCounter, Workload
from profilers.runtimes._torch.settings import TorchSettings

if TYPE_CHECKING:  # torch takes seconds, which who lists runtimes need not spend
    from torch import nn

    from profilers.runtimes._torch.cards import CudaCard


class Torch(Runtime):
    """torch as networks are written: module by module, nothing fused and nothing dropped.

    ``prepare`` starts the threads that compute, which keep the affinity of that moment: call it inside of the
    device's ``quiet``.

    Args:
        threads: Threads of one call; on a card, 1 queues the calls.
        settings: Those of ``TorchSettings``.
    """

    settings: TorchSettings
    executes: ClassVar[Extent] = "whole"

    def header_settings(self) -> Mapping[str, Setting]:
        return self.settings.values()

    def caution(self, kind: str) -> str:
        if kind == "gpu":
            return ""
        return (
            "torch's eager mode takes 4 to 12 times as long on a processor as a runtime that deploys "
            "networks (benchmarks/torch_gap.py): for what ships, profile onnxruntime or tflite"
        )

    def version(self, device: Device) -> str:
        import torch

        if self._card(device) is None:
            return str(torch.__version__)
        return f"{torch.__version__}, cuDNN {torch.backends.cudnn.version()}"

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        card, host = self._card(device), _host(device)
        require_float32(workload.spec)
        build = _module_of(workload)
        from profilers.runtimes._torch.execution import on_card, on_processors

        if card is not None and isinstance(host, Accelerator):
            with on_card(workload.spec, build, self.settings, host, card) as there:
                yield there
            return
        with on_processors(workload.spec, build, self.settings, host, self.threads) as here:
            yield here

    def counter(self, build: "Callable[[OpSpec], nn.Module]") -> UnitCounter:
        from profilers.runtimes._torch.counter import TorchCounter

        return TorchCounter(build, self.threads)

    def executed(self, workload: Workload, device: Device) -> ExecutedGraph:
        self._card(device)
        from profilers.runtimes._torch.counter import executed_graph
        from profilers.runtimes._torch.graph import calls_of

        build = _module_of(workload)
        with torch_threads(self.threads):
            return executed_graph(calls_of(build(), input_shapes(workload.spec)))

    def _card(self, device: Device) -> "CudaCard | None":
        """Return the card that ``device`` is; ``None``: it is processors.

        Raises:
            DeviceError: torch does not run there, or not with these settings.
        """
        host = _host(device)
        if isinstance(host, Accelerator):
            from profilers.runtimes._torch.cards import identities, number_of

            return _card(number_of(host.adapter, identities()))
        for name, value in {"dtype": "tf32", "mode": "cold"}.items():
            if getattr(self.settings, name) == value:
                raise DeviceError(f"torch's {name} {value} is for cards, not for {device.info().kind}")
        return None


@cache
def _card(number: int) -> "CudaCard":
    """Return the card of a number, with one queue and one buffer for all workloads of this process."""
    from profilers.runtimes._torch.cards import CudaCard

    return CudaCard(number)


def _host(device: Device) -> HostDevice:
    if not isinstance(device, HostDevice) or isinstance(device, Fake):  # whose clock stands still
        raise DeviceError(f"torch is measured on this machine, not on {device.info().kind}; use cpu or gpu")
    return device


def _module_of(workload: Workload) -> "Callable[[], nn.Module]":
    if isinstance(workload.source, (Path, LoweredModel)):
        raise UnsupportedOperationError(f"{workload.spec}: torch runs modules here, and no files")
    return workload.source
