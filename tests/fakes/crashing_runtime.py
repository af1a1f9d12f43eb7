"""A runtime that other processes can run, and whose models do to them what their content says."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from devices import Device, HostDevice
from latency_tables import Conditions
from profilers import LoweredModel, ProfilingError, Runtime, Workload
from profilers.runtimes import Sampler

#: Seconds of one call.
CALL_S = 1e-3


class Crashing(Runtime):
    """Its models say when they crash: ``b"load"``, ``b"run"``, ``b"hang"``, ``b"exit"``; others run."""

    is_separable = True

    def version(self, device: Device) -> str:
        return "0"

    def lowered(self, workload: Workload) -> LoweredModel:
        return LoweredModel(workload.spec.kind.encode())

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        model = workload.source
        assert isinstance(model, LoweredModel)
        assert isinstance(device, HostDevice)
        if model.content == b"load":
            os.kill(os.getpid(), signal.SIGSEGV)
        if model.content == b"refused":
            raise ProfilingError("no such operation")
        yield _Model(model.content)


class _Model:
    def __init__(self, content: bytes) -> None:
        self._content, self._blocks = content, 0

    def __call__(self, n: int) -> Sequence[float]:
        self._blocks += 1
        if self._content == b"run" and self._blocks > 4:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._content == b"exit":
            print("it printed this", flush=True)
            sys.exit("out of order")
        if self._content == b"hang":
            time.sleep(3600)
        return (CALL_S,)

    def facts(self) -> Conditions:
        return {"has_torch": "torch" in sys.modules, "own_process": os.getpid()}
