"""Torch, operation by operation, on the accelerator: a runtime, which asks for what the device can do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from devices import Device, DeviceError
from latency_tables import Conditions
from profilers import LoweredModel, ProfilingError, Runtime, UnsupportedOperationError, Workload
from profilers.runtimes import Sampler


@runtime_checkable
class Queue(Protocol):
    """A device that takes work and is waited for."""

    def submit(self, work: object) -> None:
        """Take work."""

    def synchronize(self) -> None:
        """Wait for all of it."""

    def clock_s(self) -> float:
        """Return a monotonic time."""


class Eager(Runtime):
    """What torch executes of a network: all of it, as it is written."""

    executes = "whole"

    def version(self, device: Device) -> str:
        _queue(device)
        return str(torch.__version__)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        if isinstance(workload.source, (Path, LoweredModel)):
            raise UnsupportedOperationError("eager runs modules, no files")
        module = workload.source().eval()
        rng = np.random.default_rng(0)
        inputs = [
            torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
            for shape in workload.spec.input_shapes
        ]
        yield _Loaded(module, inputs, _queue(device))


class _Loaded:
    def __init__(self, module: torch.nn.Module, inputs: Sequence[torch.Tensor], device: Queue) -> None:
        self._module, self._inputs, self._device = module, inputs, device

    def __call__(self, n: int) -> Sequence[float]:
        start_s = self._device.clock_s()
        for _ in range(n):
            self._device.submit(self._run)
        self._device.synchronize()
        seconds = self._device.clock_s() - start_s
        if seconds <= 0:
            raise ProfilingError("the clock did not advance")
        return [seconds / n]

    def facts(self) -> Conditions:
        return {}

    def _run(self) -> None:
        with torch.inference_mode():
            self._module(*self._inputs)


def _queue(device: Device) -> Queue:
    if not isinstance(device, Queue):
        raise DeviceError(f"eager runs on a device that takes work, not on {device.info().kind}")
    return device
