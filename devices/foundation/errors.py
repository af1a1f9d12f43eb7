"""Every error that this project raises on purpose, as one tree; each stands in the package that raises it.

::

    CarsHwError
    ├── StorageError            this machine does not let us keep a file
    ├── UnknownNameError        a space, device, runtime, strategy, data set or key that does not exist
    ├── DeviceError             a device that cannot be reached or used
    │   ├── DeviceLostError             it went away, or restarted, while it was in use
    │   └── DeviceTimeoutError          a program on it took longer than it may
    ├── ProfilingError          a measurement that did not come about
    │   ├── UnsupportedOperationError   the runtime cannot execute an operation
    │   ├── UntimedError                it ran and was right, where times say nothing
    │   ├── FellBackError               it executes it elsewhere than was required
    │   ├── ThrottledError              the device was too hot, for longer than is waited
    │   ├── GarbledOutputError          what a program wrote cannot be trusted
    │   └── WrongOutputError            it executes it, but the numbers are wrong
    ├── SpecError               text or values that do not form an operation spec
    ├── TableError              a latency table that cannot be used
    │   ├── MissingEntryError           it has no usable entry for an operation
    │   ├── TableMismatchError          it was measured under other conditions than those asked for
    │   │   └── ChangedConditionsError      on the same device, before an update
    │   └── DamagedFileError            a journal or checkpoint whose checksums do not hold
    │       └── EditedFileError             a journal whose records hold, but whose lines were changed
    ├── ArchitectureError       a tuple, genotype or text that is not a member of the space
    ├── SelectionError          costs that cannot be ranked (NaN, infinite, ragged)
    ├── ConfigError             a configuration that cannot be run
    │   └── PluginNotAllowedError       it names code from outside that nobody allowed
    ├── DataError               images that cannot be loaded
    ├── CheckpointError         a run folder that cannot be resumed
    └── ExportError             a network that was not written, or that failed its parity check

The command line prints the message of these in one line and exits with status 1; anything else keeps its
traceback.
"""

import difflib
from collections.abc import Iterable


class CarsHwError(Exception):
    """Root of the tree; the message names what was wrong, the value, and the remedy."""


class StorageError(CarsHwError):
    """This machine does not let us keep a file where one is needed."""


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


class ConfigError(CarsHwError):
    """A configuration that cannot be run."""
