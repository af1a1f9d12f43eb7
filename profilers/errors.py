"""Errors of measuring, and of writing what is measured."""

from devices.foundation import CarsHwError


class ProfilingError(CarsHwError):
    """A measurement that did not come about."""


class UnsupportedOperationError(ProfilingError):
    """The runtime cannot execute an operation."""


class FellBackError(ProfilingError):
    """The runtime executes an operation elsewhere than was required: on the CPU, not by the delegate."""


class ThrottledError(ProfilingError):
    """The device stayed too hot to measure on, for longer than is waited."""


class GarbledOutputError(ProfilingError):
    """What a program on a device wrote is truncated, contradicts itself, or is of another run."""


class WrongOutputError(ProfilingError):
    """The runtime executes the operation, but its numbers differ from the reference."""


class ExportError(CarsHwError):
    """A network that was not written, or that failed its parity check."""
