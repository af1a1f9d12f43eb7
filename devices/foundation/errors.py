"""Every error that this project raises on purpose, as one tree.

::

    CarsHwError
    ├── UnknownNameError        a space, device, runtime, strategy, data set or key that does not exist
    ├── DeviceError             a device that cannot be reached or used
    │   ├── DeviceLostError             it went away, or restarted, while it was in use
    │   └── DeviceTimeoutError          a program on it took longer than it may
    ├── ProfilingError          a measurement that did not come about
    │   ├── UnsupportedOperationError   the runtime cannot execute an operation
    │   ├── FellBackError               it executes it elsewhere than was required
    │   ├── ThrottledError              the device was too hot, for longer than is waited
    │   ├── GarbledOutputError          what a program wrote cannot be trusted
    │   └── WrongOutputError            it executes it, but the numbers are wrong
    ├── SpecError               text or values that do not form an operation spec
    ├── TableError              a latency table that cannot be used
    │   ├── MissingEntryError           it has no usable entry for an operation
    │   ├── TableMismatchError          it was measured under other conditions than those asked for
    │   └── DamagedFileError            a journal or checkpoint whose checksums do not hold
    ├── ArchitectureError       a tuple, genotype or text that is not a member of the space
    ├── SelectionError          costs that cannot be ranked (NaN, infinite, ragged)
    ├── ConfigError             a configuration that cannot be run
    ├── DataError               images that cannot be loaded
    ├── CheckpointError         a run folder that cannot be resumed
    └── ExportError             a network that was not written, or that failed its parity check

The command line prints the message of these in one line and exits with status 1; anything else keeps its
traceback.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path


class CarsHwError(Exception):
    """Root of the tree; the message names what was wrong, the value, and the remedy."""


class UnknownNameError(CarsHwError):
    """A name that nothing answers to.

    Args:
        what: The kind of thing, in the singular ("space", "configuration key").
        name: The name that was given.
        known: The names that exist.
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, tuple(known)
        closest = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f"; did you mean {closest[0]!r}?" if closest else ""
        super().__init__(f"unknown {what} {name[:64]!r}{hint} (known: {', '.join(self.known) or 'none'})")


class DeviceError(CarsHwError):
    """A device that cannot be reached or used."""


class DeviceLostError(DeviceError):
    """A device that went away, or restarted, while it was in use; what was measured before is kept."""


class DeviceTimeoutError(DeviceError):
    """A program on a device that took longer than it may; it was killed."""


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


class SpecError(CarsHwError):
    """Text or values that do not form an operation spec."""


class TableError(CarsHwError):
    """A latency table that cannot be used."""


class MissingEntryError(TableError):
    """The table has no usable entry for an operation.

    Args:
        spec: Text form of the operation.
        reason: Why there is none, where the table knows ("wrong_output: ...").
        remedy: The command that measures it.
    """

    def __init__(self, spec: str, *, reason: str = "never measured", remedy: str = "cars-hw profile") -> None:
        self.spec, self.reason = spec, reason
        super().__init__(f"no latency for {spec} ({reason}); run `{remedy}` to measure it")


class TableMismatchError(TableError):
    """A table measured under other conditions than those asked for.

    Args:
        field: What differs ("device", "runtime", "threads").
        found: What the table says.
        wanted: What was asked for.
    """

    def __init__(self, field: str, *, found: str, wanted: str) -> None:
        self.field, self.found, self.wanted = field, found, wanted
        super().__init__(
            f"the table was measured with {field} {found!r}, but {wanted!r} is asked for; "
            "name that table's own conditions, or profile a table for these"
        )


class DamagedFileError(TableError):
    """A file whose checksums do not hold.

    Args:
        path: The file.
        where: Line or byte offset.
        what: What is wrong there.
    """

    def __init__(self, path: Path, where: str, what: str) -> None:
        self.path, self.where = path, where
        remedy = "restore it from a copy, or delete it to start anew"
        super().__init__(f"{path} is damaged at {where}: {what}; {remedy}")


class ArchitectureError(CarsHwError):
    """A tuple, genotype or text that is not a member of the space."""


class SelectionError(CarsHwError):
    """Costs that cannot be ranked: NaN, infinite or ragged."""


class ConfigError(CarsHwError):
    """A configuration that cannot be run."""


class DataError(CarsHwError):
    """Images that cannot be loaded."""


class CheckpointError(CarsHwError):
    """A run folder that cannot be resumed."""


class ExportError(CarsHwError):
    """A network that was not written, or that failed its parity check."""
