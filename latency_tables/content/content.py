"""Content: the latest of everything that the lines of a table said, in memory; it knows of no file."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from latency_tables.errors import TableError
from latency_tables.fields import (
    entry_from_fields,
    entry_to_fields,
    header_to_fields,
    is_validation,
    validation_from_fields,
)
from latency_tables.header import TableHeader
from latency_tables.lines import Fields
from latency_tables.measurement import Entry, Failure, Measurement, Measurements
from latency_tables.spec import OpSpec
from latency_tables.units.graph import ExecutedGraph
from latency_tables.units.record import executed_from_fields, executed_to_fields, is_executed, require_key
from latency_tables.validation import Validation


class Content:
    """The latest entry of every key, executed graphs by the keys of their networks, and a validation.

    Args:
        header: The table's.

    Attributes:
        measurements: The entries that have a latency.
        failures: Those that have none; no key is in both.
        executed: What the runtime executes of whole networks.
        validation: The latest predictions of whole networks that were measured as well, if there are any.
    """

    def __init__(self, header: TableHeader) -> None:
        self._header = header
        self.measurements = Measurements()
        self.failures: dict[OpSpec, Failure] = {}
        self.executed: dict[OpSpec, ExecutedGraph] = {}
        self.validation: Validation | None = None

    def read(self, fields: Fields) -> None:
        """Take what a line after the first one says.

        Raises:
            SpecError: A key does not parse, or is not of what it should be.
            TableError: Something else about it is wrong, or the table keeps no such lines.
        """
        if is_validation(fields):
            self.validation = validation_from_fields(fields)
        elif is_executed(fields):
            self.require_units()
            self.executed.update([executed_from_fields(fields)])
        else:
            entry = entry_from_fields(fields)
            require_key(entry.spec)
            self.keep(entry)

    def require_units(self) -> None:
        """Check that executed graphs have a place here.

        Raises:
            TableError: The table is keyed by operations.
        """
        if self._header.keyed_by != "units":
            raise TableError(
                "a table that is keyed by operations keeps no executed graphs; profile one of units"
            )

    def keep(self, entry: Entry) -> None:
        """Take an entry in place of an earlier one of its key, as the last one."""
        self.failures.pop(entry.spec, None)
        if isinstance(entry, Measurement):
            self.measurements.put(entry)
        else:
            self.measurements.discard(entry.spec)
            self.failures[entry.spec] = entry

    def entries(self) -> Iterator[Entry]:
        """Yield the measurements and then the failures."""
        return chain(self.measurements.values(), self.failures.values())

    def digest(self, specs: Collection[OpSpec] | None) -> str:
        """Return the SHA-256 of header, entries and executed graphs, sorted by their keys.

        Args:
            specs: Only what is of these; all of it if not given.
        """
        digest = hashlib.sha256(b"[" + _json(header_to_fields(self._header)))
        for fields in self._records(specs):
            digest.update(b", " + _json(fields))
        digest.update(b"]")
        return digest.hexdigest()

    def _records(self, specs: Collection[OpSpec] | None) -> Iterator[Fields]:
        wanted = {*self.measurements, *self.failures, *self.executed} if specs is None else set(specs)
        chosen = sorted(wanted, key=str)
        for spec in chosen:
            entry = self.measurements.get(spec) or self.failures.get(spec)
            if entry is not None:
                yield entry_to_fields(entry)
        for spec in chosen:
            if spec in self.executed:
                yield executed_to_fields(spec, self.executed[spec])

    def measured_under(self) -> Mapping[str, Counter[str]]:
        """Count the measurements by each condition that is not the same for all of them, and its values."""
        own = self._header.conditions()
        found: dict[str, Counter[str]] = {}
        for entry in self.measurements.values():
            for name in own.keys() & entry.conditions.keys():
                found.setdefault(name, Counter())[str(entry.conditions[name])] += 1
        for name, counts in found.items():
            counts[own[name]] += len(self.measurements) - counts.total()
        return {name: +counts for name, counts in found.items() if counts.keys() != {own[name]}}


def _json(fields: Fields) -> bytes:
    return json.dumps(fields, sort_keys=True).encode()
