"""LatencyTable: what was measured on one device, under one runtime and its settings."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from devices.foundation import sync_folder, temporary_in
from latency_tables.content.content import Content
from latency_tables.content.frame import frame_of
from latency_tables.errors import (
    DamagedFileError,
    MissingEntryError,
    SpecError,
    TableError,
    TableMismatchError,
    changes_text,
)
from latency_tables.fields import (
    SCHEMA_VERSION,
    entry_to_fields,
    header_from_fields,
    header_to_fields,
    validation_to_fields,
)
from latency_tables.header import Changes, Setting, TableHeader
from latency_tables.intervals.pooled import pooled_intervals
from latency_tables.journal import Journal, read_lines
from latency_tables.lines import Fields
from latency_tables.measurement import Entry, Failure, Measurement
from latency_tables.prediction_error import ValidationReport, validation_report
from latency_tables.spec import OpSpec
from latency_tables.units.graph import ExecutedGraph
from latency_tables.units.record import executed_to_fields, require_key
from latency_tables.validation import Validation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LatencyTable", "TableHeader"]

logger = logging.getLogger(__name__)


class LatencyTable:
    """The latest entry of every operation, a ``Measurement`` or a ``Failure``, under one header.

    ``table[spec]``, ``spec in table`` and ``len(table)`` speak of the measurements. A context manager: a
    table opened for appending holds its file until it is closed, and can be read on afterwards. Not
    thread-safe.

    Made by ``create``, ``open``, ``open_for_writing`` and ``in_memory``.

    Attributes:
        header: The device and settings that all entries share, and the conditions of the first.
        session: The header as it is today: under which entries are added, or the table is used.
    """

    def __init__(
        self, header: TableHeader, *, path: Path | None = None, journal: Journal | None = None
    ) -> None:
        self.header = self.session = header
        self._path = path
        self._journal = journal
        self._content = Content(header)

    @classmethod
    def in_memory(cls, header: TableHeader) -> Self:
        """Return an empty table without a file."""
        return cls(header)

    @classmethod
    def create(cls, path: str | Path, header: TableHeader) -> Self:
        """Create an empty table in a new file and open it for appending.

        Raises:
            TableError: The file exists, or cannot be created there.
        """
        path = Path(path)
        table = cls(header, path=path, journal=Journal.create(path, header_to_fields(header)))
        table.keep_partial()  # what is there is of a table that was here before
        return table

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read a table; nothing can be added to it, and another process may be adding.

        Raises:
            TableError: There is no such file, or a newer version wrote it.
            DamagedFileError: It is no table, or the line that the message names is not to be trusted.
        """
        return cls._loaded(Path(path), journal=None)

    @classmethod
    def header_of(cls, path: str | Path) -> TableHeader:
        """Read the header of a table and nothing else of it.

        Raises:
            TableError, DamagedFileError: As in ``open``, as far as the first line goes.
        """
        with closing(read_lines(Path(path))) as lines:
            return _header(Path(path), *next(lines))

    @classmethod
    def open_for_writing(
        cls, path: str | Path, header: TableHeader, *, allow_changed: Collection[str] = ()
    ) -> Self:
        """Open a table for adding to what it holds; create it where there is none.

        Args:
            path: The file.
            header: Under which what is added was measured. Where its conditions are others than the table's,
                each measurement that is added says so among its own.
            allow_changed: The conditions that may be others: see ``Changeable``.

        Raises:
            TableMismatchError: It was measured on another device, by other settings, or, as
                ``ChangedConditionsError``, under conditions that changed.
            TableError: Somebody is writing it, or it cannot be opened or created.
            DamagedFileError: As in ``open``.
        """
        path = Path(path)
        if not os.path.exists(path):  # pathlib's raises where a folder may not be read
            return cls.create(path, header)
        with ExitStack() as on_error:
            journal = on_error.enter_context(Journal.open(path))
            table = cls._loaded(path, journal)
            table.goes_under(header, allow_changed=allow_changed)
            on_error.pop_all()
        return table

    def goes_under(
        self, now: TableHeader, *, allow_changed: Collection[str] = (), is_read: bool = False
    ) -> None:
        """Take ``now`` as the table's ``session``.

        Args:
            now: The header of today.
            allow_changed: The conditions that may be others: see ``Changeable``.
            is_read: Whether nothing is added.

        Raises:
            TableMismatchError: As ``TableHeader.require_equal`` says.
        """
        self.header.require_equal(now, allow_changed=allow_changed, is_read=is_read)
        self.session = now

    def changes(self) -> Changes:
        """Return the conditions that changed since the table was made: in its header, and in the session."""
        return self.header.changes(self.session)

    def changes_line(self) -> str:
        """Say which conditions changed; only where some did."""
        return f"latency table {self._path or 'in memory'} was {changes_text(self.changes())}"

    def warn_of_changes(self) -> None:
        """Say in the log which conditions changed, where somebody allowed them to."""
        if self.changes():
            logger.warning("warning: %s: going on, since that was allowed", self.changes_line())

    def measured_under(self) -> Mapping[str, Counter[str]]:
        """Count the measurements by each condition that is not the same for all of them, and its values."""
        return self._content.measured_under()

    @classmethod
    def _loaded(cls, path: Path, journal: Journal | None) -> Self:
        lines = read_lines(path)
        table = cls(_header(path, *next(lines)), path=path, journal=journal)
        for number, fields in lines:
            try:
                table._content.read(fields)
            except (SpecError, TableError) as error:
                raise DamagedFileError(path, f"line {number}", str(error)) from error
        return table

    def add(self, *entries: Entry) -> None:
        """Add entries, each in place of an earlier one of its spec; they are on the disk when this returns.

        Raises:
            TableError: The table is open for reading only, or closed, or its file cannot be written.
            SpecError: A key says that it is of a unit, and does not spell out one.
        """
        for entry in entries:
            require_key(entry.spec)
        now = {name: value for name, (_, value) in self.changes().items()}
        marked = [_marked(entry, now) for entry in entries] if now else entries
        self._write(*map(entry_to_fields, marked))
        for entry in marked:
            self._content.keep(entry)

    def add_validation(self, validation: Validation) -> None:
        """Keep ``validation`` in place of an earlier one; it is on the disk when this returns.

        Raises:
            TableError: As in ``add``.
        """
        self._write(validation_to_fields(validation))
        self._content.validation = validation

    def add_executed(self, network: OpSpec, graph: ExecutedGraph) -> None:
        """Keep what the runtime executes of ``network``; it is on the disk when this returns.

        Args:
            network: The network's key.
            graph: As the runtime wrote it on the table's device; it takes the place of an earlier one.

        Raises:
            TableError: As in ``add``, or the table is keyed by operations.
            SpecError: A node's key is not that of a unit, or the network's is that of one.
        """
        self._content.require_units()
        self._write(executed_to_fields(network, graph))
        self._content.executed[network] = graph

    def keep_partial(self, *records: Fields) -> None:
        """Keep ``records`` of entries that are not finished in ``PATH.partial``, in place of what is there.

        Only ``partial`` reads them, never a reader of the table. Without records, or when the table is made
        anew, the file is removed; a table without a file keeps nothing.

        Raises:
            TableError: The table is open for reading only, or closed, or its file is not in its place.
        """
        if self._journal is not None:
            self._journal.keep_aside(*records)
        elif self._path is not None:
            raise self._read_only()

    def partial(self) -> Sequence[Fields]:
        """Return the records that ``keep_partial`` kept, those that hold; nothing in them is checked."""
        return [] if self._journal is None else self._journal.aside()

    def _write(self, *lines: Fields) -> None:
        if self._journal is not None:
            self._journal.append(*lines)
        elif self._path is not None:
            raise self._read_only()

    def _read_only(self) -> TableError:
        return TableError(
            f"{self._path} is open for reading only; open it with LatencyTable.open_for_writing"
        )

    def __getitem__(self, spec: OpSpec) -> Measurement:
        if spec in self._content.measurements:
            return self._content.measurements[spec]
        if spec not in self._content.failures:
            raise MissingEntryError(str(spec), table=str(self._path or ""))
        failure = self._content.failures[spec]
        reason = " ".join(failure.reason.split())[:200]
        raise MissingEntryError(str(spec), reason=f"{failure.status}: {reason}", table=str(self._path or ""))

    def __contains__(self, spec: OpSpec) -> bool:
        return spec in self._content.measurements

    def __len__(self) -> int:
        return len(self._content.measurements)

    def missing(self, specs: Iterable[OpSpec], *, retry_failures: bool = False) -> tuple[OpSpec, ...]:
        """Return the distinct ones of ``specs`` that are still to be measured, in order.

        Args:
            specs: The operations that are needed.
            retry_failures: Count an operation that failed as still to be measured.
        """
        failed = {} if retry_failures else self._content.failures
        return tuple(
            s for s in dict.fromkeys(specs) if s not in self._content.measurements and s not in failed
        )

    def __repr__(self) -> str:
        header, content = self.header, self._content
        where = "in memory" if self._path is None else str(self._path)
        units = f"; by units, {len(content.executed)} executed graphs" if header.keyed_by == "units" else ""
        return (
            f"LatencyTable({where}: {len(content.measurements)} measured, {len(content.failures)} failed"
            f"{units}; {header.device}; "
            f"{header.runtime} {header.runtime_version}, threads={header.threads})"
        )

    @property
    def path(self) -> Path | None:
        """The file; ``None`` for a table in memory."""
        return self._path

    @property
    def measurements(self) -> Mapping[OpSpec, Measurement]:
        """The operations that have a latency; a view that follows the table."""
        return MappingProxyType(self._content.measurements)

    def intervals(self) -> Mapping[OpSpec, tuple[float, float]]:
        """Return the 95 % interval of each latency, (low, high), for whatever process measures it."""
        return pooled_intervals(self._content.measurements)

    @property
    def failures(self) -> Mapping[OpSpec, Failure]:
        """The operations that could not be measured; a view that follows the table."""
        return MappingProxyType(self._content.failures)

    @property
    def validation(self) -> Validation | None:
        """The latest predictions of whole networks that were measured as well, if there are any."""
        return self._content.validation

    @property
    def executed(self) -> Mapping[OpSpec, ExecutedGraph]:
        """What the runtime executes of whole networks, by their keys; a view that follows the table."""
        return MappingProxyType(self._content.executed)

    def require(
        self,
        *,
        device: str | None = None,
        runtime: str | None = None,
        threads: int | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        """Check the conditions that are given against the header.

        Args:
            device: A kind of device: ``"android"``.
            runtime: A runtime's name.
            threads: Threads of one call.
            settings: By name; booleans count as ``"on"`` and ``"off"``, which is how headers spell them.

        Raises:
            TableMismatchError: One differs.
        """
        header = self.header
        found = {"device": header.device.kind, "runtime": header.runtime, "threads": header.threads}
        asked = {"device": device, "runtime": runtime, "threads": threads, **_spelled(settings or {})}
        for name, wanted in asked.items():
            has = found[name] if name in found else header.settings.get(name, "unset")
            if wanted is not None and has != wanted:
                raise TableMismatchError(name, found=str(has), wanted=str(wanted))

    def digest(self, specs: Iterable[OpSpec] | None = None) -> str:
        """Return the SHA-256 of header, entries and executed graphs, whatever the order of their adding.

        Args:
            specs: Only what the table holds of these; all of it if not given.
        """
        return self._content.digest(None if specs is None else set(specs))

    def save(self, path: Path) -> None:
        """Write the table as a new file at ``path``, in place of what is there; a kill leaves one of both.

        Raises:
            TableError: The file cannot be written.
        """
        temporary = temporary_in(path.parent)
        try:
            with LatencyTable.create(temporary, self.header) as copy:
                copy.add(*self._content.entries())
                for network, graph in self._content.executed.items():
                    copy.add_executed(network, graph)
                if self.validation is not None:
                    copy.add_validation(self.validation)
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as error:
            raise TableError(f"{path} cannot be written: {error.strerror}; name another") from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def validation_report(self) -> ValidationReport | None:
        """Return how far the table may be trusted, if whole networks were measured to know.

        Raises:
            TableError: A network of the validation has no measurement here.
        """
        return (
            None
            if self.validation is None
            else validation_report(self.validation, self._content.measurements)
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per entry; a failure has no latencies, but a status and a reason.

        Of a table that is keyed by units, ``unit`` is a last column: each key as people read it.
        """
        return frame_of(self._content.entries(), self.intervals(), of_units=self.header.keyed_by == "units")

    def close(self) -> None:
        """Release the file; closing twice is allowed."""
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _header(path: Path, number: int, fields: Fields) -> TableHeader:
    """Return the header in the first line of a table, which may be of a newer schema."""
    schema = fields.get("schema")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise TableError(f"{path} has schema {schema}, but {SCHEMA_VERSION} is read; upgrade cars-hw")
    try:
        return header_from_fields(fields)
    except TableError as error:
        raise DamagedFileError(path, f"line {number}", str(error)) from error


def _marked(entry: Entry, now: Mapping[str, str]) -> Entry:
    """Return ``entry`` with the conditions ``now``, unless it tells its own; a failure tells none."""
    if isinstance(entry, Failure):
        return entry
    return replace(entry, conditions={**now, **entry.conditions})


def _spelled(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    words = {True: "on", False: "off"}
    return {name: words[value] if isinstance(value, bool) else value for name, value in settings.items()}
