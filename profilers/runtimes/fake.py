"""A scripted runtime: computes nothing, and lets time pass on the fake device."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from devices import Device, DeviceError, Fake
from latency_tables import Conditions, OpSpec
from profilers.errors import ProfilingError
from profilers.runtimes._runtime import Runtime, Sampler, Workload


def _microsecond_and_elements(spec: OpSpec, _: float) -> float:
    """Return a microsecond for the call, and a nanosecond for each element of the input."""
    return 1e-6 + 1e-9 * math.prod(spec.input_shape)


class FakeRuntime(Runtime):
    """A scripted runtime for testing and showing the policy of measuring.

    Args:
        threads: Threads of one call.
        latency_s: Seconds of one call of a spec that starts at a time, of which noise and slow modes are
            functions; may raise ``ProfilingError``.
        errors: What ``prepare`` raises, by kind of operation.
        settings: None: it takes no further ones.

    Attributes:
        calls: Every block that was run, in order: the spec and the number of calls.
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        latency_s: Callable[[OpSpec, float], float] = _microsecond_and_elements,
        errors: Mapping[str, ProfilingError] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(threads, **settings)
        self.calls: list[tuple[OpSpec, int]] = []
        self._latency_s = latency_s
        self._errors = dict(errors or {})

    def version(self, device: Device) -> str:
        _fake(device)
        return "0"

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        clock = _fake(device)
        if workload.spec.kind in self._errors:
            raise self._errors[workload.spec.kind]
        yield _FakeSampler(workload.spec, clock, self._latency_s, self.calls)


@dataclass(frozen=True)
class _FakeSampler:
    spec: OpSpec
    clock: Fake
    latency_s: Callable[[OpSpec, float], float]
    calls: list[tuple[OpSpec, int]]

    def __call__(self, n: int) -> Sequence[float]:
        self.calls.append((self.spec, n))
        start_s = self.clock.clock_s()
        self.clock.advance(n * self.latency_s(self.spec, start_s))
        return ((self.clock.clock_s() - start_s) / n,)

    def facts(self) -> Conditions:
        return {}


def _fake(device: Device) -> Fake:
    if not isinstance(device, Fake):
        raise DeviceError(f"the fake runtime runs on the fake device, not on {device.info().kind}; use fake")
    return device
