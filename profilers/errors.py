"""Errors of measuring, and of writing what is measured."""

from devices.foundation import CarsHwError
from latency_tables import OpSpec


class ProfilingError(CarsHwError):
    """A measurement that did not come about."""


class UnsupportedOperationError(ProfilingError):
    """The runtime cannot execute an operation."""


class FellBackError(ProfilingError):
    """The runtime executes an operation elsewhere than was required: on the CPU, not by the delegate."""


class ThrottledError(ProfilingError):
    """The device stayed too hot to measure on, for longer than is waited."""


class BusyError(ProfilingError):
    """A machine on which something else disturbs most blocks of what takes so long: there is no figure.

    Attributes:
        spec: What was measured last.
        block_s: Seconds that a block of it takes.
        share: Which share of its blocks nothing disturbed.
        load: Runnable threads of the machine over the last minute; ``None`` where that is not known.
    """

    def __init__(self, spec: OpSpec, block_s: float, share: float, load: float | None) -> None:
        self.spec, self.block_s, self.share, self.load = spec, block_s, share, load
        at_load = "" if load is None else f" at a load of {load:.1f}"
        super().__init__(
            f"too busy to measure networks of this length: {share:.0%} of the blocks of {spec}, of "
            f"{block_s * 1e3:.3g} ms, were undisturbed{at_load}, and a third is needed; end what else runs, "
            "or measure on a processor that is free (cpu:N), and run it again"
        )


class GarbledOutputError(ProfilingError):
    """What a program on a device wrote is truncated, contradicts itself, or is of another run."""


class WrongOutputError(ProfilingError):
    """The runtime executes the operation, but its numbers differ from the reference."""


class UntimedError(ProfilingError):
    """An operation that ran and was right, on a device whose times say nothing of any hardware."""


class ExportError(CarsHwError):
    """A network that was not written, or that failed its parity check."""
