"""The fake runtime, as a plug-in from outside: networks differ, and a test makes it faster or slower."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar

from devices import Device
from latency_tables import CALL_OVERHEAD, OpSpec
from profilers.runtimes._runtime import Sampler, Workload
from profilers.runtimes.fake import FakeRuntime


class ChangingSpeed(FakeRuntime):
    """Lets an operation take some microseconds, and a network some hundred, by what its key says.

    Attributes:
        factor: By which everything takes longer than usual.
        loaded: The kinds of everything that was measured, in order.
        prepared: Everything that was loaded, in order.
    """

    factor: ClassVar[float] = 1.0
    loaded: ClassVar[list[str]] = []
    prepared: ClassVar[list[Workload]] = []

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads, latency_s=self._seconds)

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        self.prepared.append(workload)
        with super().prepare(workload, device) as sampler:
            yield sampler

    def _seconds(self, spec: OpSpec, _: float) -> float:
        if not self.loaded or self.loaded[-1] != str(spec):
            self.loaded.append(str(spec))
        return self.factor * usual_s(spec)


def usual_s(spec: OpSpec) -> float:
    """Return the seconds of one call at the usual speed; a network takes as long under any kind of key."""
    if spec == CALL_OVERHEAD:
        return 1e-6
    is_network = spec.kind in ("network", "reference")
    text = str(replace(spec, kind="network") if is_network else spec)
    share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
    return (3e-4 if is_network else 1e-5) * (1 + share)
