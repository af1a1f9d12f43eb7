"""Errors of tables and of what they hold."""

from collections.abc import Mapping, Sequence
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
        words: What ``allow_changed`` takes to go on all the same; empty where nothing does.
        text: The message, where another one says more.
    """

    def __init__(
        self, field: str, *, found: str, wanted: str, words: Sequence[str] = (), text: str = ""
    ) -> None:
        self.field, self.found, self.wanted, self.words = field, found, wanted, tuple(words)
        allowing = f", or allow {', '.join(words)} to differ" if words else ""
        super().__init__(
            text
            or f"the table was measured with {field} {found!r}, but {wanted!r} is asked for; "
            f"name that table's own conditions, or profile a table for these{allowing}"
        )


class ChangedConditionsError(TableMismatchError):
    """A table of the same device, from before an update of its system or of the runtime.

    Args:
        changes: By each condition that differs, its value in the table, and today's.
        words: What ``allow_changed`` takes to go on all the same.
        text: What differs, where that is not a table from today.
    """

    def __init__(
        self, changes: Mapping[str, tuple[str, str]], *, words: Sequence[str], text: str = ""
    ) -> None:
        self.changes = dict(changes)
        field, (found, now) = next(iter(changes.items()))
        super().__init__(field, found=found, wanted=now, words=words)
        text = text or f"the table was {changes_text(changes)}, where latencies may be others"
        self.args = (f"{text}; profile another table, or allow {', '.join(words)} to have changed",)


def changes_text(changes: Mapping[str, tuple[str, str]]) -> str:
    """Say under which conditions a table was measured, and under which it is used."""
    then, now = (
        ", ".join(f"{name.replace('_', ' ')} {values[i]!r:.160}" for name, values in changes.items())
        for i in (0, 1)
    )
    return f"measured under {then}, but is used under {now}"


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
