"""A scripted runtime: computes nothing, and lets time pass on the fake device."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from devices._device import Device
from devices._errors import DeviceError, ProfilingError
from devices.fake import Fake
from latency_tables.spec import OpSpec
from profilers.runtimes._runtime import Runtime, Sampler, Workload


def _nanosecond_per_element(spec: OpSpec, _: float) -> float:
    return 1e-9 * math.prod(spec.input_shape)


class FakeRuntime(Runtime):
    """A scripted runtime for testing and showing the policy of measuring.

    Args:
        threads: Threads of one call.
        latency_s: Seconds of one call of a spec that starts at a time, of which noise and slow modes are
            functions; may raise ``ProfilingError``.
        errors: What ``prepare`` raises, by kind of operation.

    Attributes:
        calls: Every block that was run, in order: the spec and the number of calls.
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        latency_s: Callable[[OpSpec, float], float] = _nanosecond_per_element,
        errors: Mapping[str, ProfilingError] | None = None,
    ) -> None:
        super().__init__(threads)
        self.calls: list[tuple[OpSpec, int]] = []
        self._latency_s = latency_s
        self._errors = dict(errors or {})

    def version(self, device: Device) -> str:
        _fake(device)
        return "0"

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        spec, clock = workload.spec, _fake(device)
        if spec.kind in self._errors:
            raise self._errors[spec.kind]

        def sample(n: int) -> Sequence[float]:
            self.calls.append((spec, n))
            start_s = clock.clock_s()
            clock.advance(n * self._latency_s(spec, start_s))
            return ((clock.clock_s() - start_s) / n,)

        yield sample


def _fake(device: Device) -> Fake:
    if not isinstance(device, Fake):
        raise DeviceError(f"the fake runtime runs on the fake device, not on {device.info().kind}; use fake")
    return device
