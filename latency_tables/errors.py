"""Errors of tables and of what they hold."""

from pathlib import Path

from devices.foundation import CarsHwError


class SpecError(CarsHwError):
    """Text or values that do not form an operation spec."""


class TableError(CarsHwError):
    """A latency table that cannot be used."""


_NEVER = "never measured"


class MissingEntryError(TableError):
    """The table has no usable entry for an operation.

    Args:
        spec: Text form of the operation.
        reason: Why there is none, where the table knows ("wrong_output: ...").
        table: The table's file; empty for one in memory.
        remedy: The command that measures it, where somebody knows one.
    """

    def __init__(self, spec: str, *, reason: str = _NEVER, table: str = "", remedy: str = "") -> None:
        self.spec, self.reason, self.table = spec, reason, table
        advice = f"run `{remedy}` to measure it" if remedy else "profile the space to measure it"
        super().__init__(f"no latency for {spec} ({reason}); {advice}")

    @property
    def has_failed(self) -> bool:
        """Whether it was tried, so that only a new try can measure it."""
        return self.reason != _NEVER


class TableMismatchError(TableError):
    """A table measured under other conditions than those asked for.

    Args:
        field: The fact that differs ("device", "runtime", "threads").
        found: The value in the table.
        wanted: The value that was asked for.
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
        what: The damage.
        remedy: What helps; by default a copy, or a new beginning.
    """

    def __init__(self, path: Path, where: str, what: str, *, remedy: str = "") -> None:
        self.path, self.where = path, where
        remedy = remedy or "restore it from a copy, or delete it to start anew"
        super().__init__(f"{path} is damaged at {where}: {what}; {remedy}")


class EditedFileError(DamagedFileError):
    """A file whose records hold, but whose lines an editor or a transfer has changed.

    Args:
        path: The file.
        where: The first line that was changed.
        what: What was changed.
        remedy: What helps.
    """

    def __init__(self, path: Path, where: str, what: str, *, remedy: str) -> None:
        super().__init__(path, where, f"{what}: an editor or a transfer as text changed it", remedy=remedy)
