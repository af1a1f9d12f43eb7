"""A worker that is this process: for every runtime and device, phones' own tools among them."""

from collections.abc import Sequence
from contextlib import ExitStack
from statistics import fmean
from types import TracebackType

from devices import Device
from latency_tables import Conditions
from profilers.runtimes._runtime import Runtime, Sampler, Timed, Workload
from profilers.worker.contract import MEASURING_ERRORS, Block, MeasuringError, Worker


class ThisProcess(Worker):
    """Runs blocks here, by what ``Runtime.prepare`` gives.

    Args:
        runtime: What executes.
        device: What it executes on.
    """

    def __init__(self, runtime: Runtime, device: Device) -> None:
        self._runtime, self._device = runtime, device
        self._samplers: dict[int, Sampler] = {}
        self._loaded = ExitStack()

    def load(self, place: int, workload: Workload) -> None:
        """Prepare ``workload``; it stays until the end."""
        self._samplers[place] = self._loaded.enter_context(self._runtime.prepare(workload, self._device))

    def run(self, turn: int, blocks: Sequence[tuple[int, int]]) -> Sequence[Block | MeasuringError]:
        """Run blocks; there is one turn."""
        return [self._block(place, n) for place, n in blocks]

    def facts(self, place: int) -> Conditions:
        """Return what the sampler tells."""
        return self._samplers[place].facts()

    def unload(self, place: int) -> None:
        """Forget a sampler."""
        self._samplers.pop(place, None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._samplers.clear()
        self._loaded.__exit__(kind, error, traceback)

    def _block(self, place: int, n: int) -> Block | MeasuringError:
        try:
            latencies_s = self._samplers[place](n)
        except MEASURING_ERRORS as error:
            return error
        if not isinstance(latencies_s, Timed):
            return Block(fmean(latencies_s), n)
        return Block(fmean(latencies_s), n, latencies_s.used, disturbance=latencies_s.disturbance)
