"""MeasurementFile: what a run measured of its fronts, in ``measurements.jsonl``, written before it is used.

The file is a journal as a latency table is: lines with checksums, appended, each on the disk before anything
follows from it. The first names the run by the digest of its stored configuration. Every further one is a
session: networks that were measured in turns, beside anchors of a target's table, which it names by the
digest of its entries. A table never gets these measurements: its digest is part of the run's fingerprint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from cars_hw.errors import ArchitectureError, CheckpointError
from cars_hw.latency.anchors import Anchored, intervals_of
from cars_hw.networks.architecture import Architecture, from_text, to_text
from latency_tables import (
    DamagedFileError,
    Entry,
    Journal,
    Measurement,
    SessionSpeed,
    SpecError,
    TableError,
    entry_from_fields,
    entry_to_fields,
    read_lines,
)

#: Its name in the folder of a run.
MEASUREMENTS = "measurements.jsonl"

_KIND = "cars_hw measurements"
_SCHEMA = 1

#: What a session was measured for: to correct the model of latency, or to know the final front.
Purpose = Literal["model", "front"]


@dataclass(frozen=True)
class MeasuredSession:
    """Members of a front that were measured in turns, beside anchors.

    Attributes:
        target: Name of the latency objective.
        table: Digest of the entries of the target's table.
        generation: After which.
        purpose: What for.
        seconds: Time that it took.
        networks: What became of each member, by its architecture.
        anchors: What became of the anchors.
        speed: How fast the device was against the table; ``None`` where the table has no anchors.
    """

    target: str
    table: str
    generation: int
    purpose: Purpose
    seconds: float
    networks: Mapping[Architecture, Entry]
    anchors: tuple[Entry, ...] = ()
    speed: SessionSpeed | None = None

    @property
    def latencies(self) -> dict[Architecture, Anchored]:
        """The members that were measured, at the speed of the table."""
        intervals = intervals_of([*self.networks.values(), *self.anchors])
        return {
            architecture: Anchored(entry, self.speed, intervals[entry.spec])
            for architecture, entry in self.networks.items()
            if isinstance(entry, Measurement)
        }


@dataclass(frozen=True)
class _Speed:
    n: Annotated[int, Field(ge=1)]
    ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    spread: Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class _Network:
    architecture: str
    entry: dict[str, JsonValue]


@dataclass(frozen=True)
class _Line:
    """A session as it is stored."""

    target: str
    table: str
    generation: Annotated[int, Field(ge=0)]
    purpose: Purpose
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    networks: tuple[_Network, ...]
    anchors: tuple[dict[str, JsonValue], ...] = ()
    speed: _Speed | None = field(default=None)


_LINE = TypeAdapter(_Line)


class MeasurementFile:
    """The measurements of one run.

    Args:
        path: The file; made by the first session.
        run: Digest of the run's stored configuration, as it began.
        choices: Options of each decision of its space.
    """

    def __init__(self, path: Path, run: str, choices: Sequence[int]) -> None:
        self.path = path
        self._run, self._choices = run, tuple(choices)

    def __repr__(self) -> str:
        return f"MeasurementFile({str(self.path)!r})"

    def read(self) -> list[MeasuredSession]:
        """Return all sessions, oldest first; nothing is believed that is damaged or of another run.

        Raises:
            CheckpointError: The file is damaged, of another run or a newer version, or cannot be read.
        """
        if not self.path.exists():
            return []
        sessions = []
        try:
            for number, fields in read_lines(self.path):
                if number == 1:
                    self._require_own(fields)
                else:
                    sessions.append(self._session(fields))
        except (ArchitectureError, SpecError, TableError, ValidationError) as error:
            raise CheckpointError(self._damage_text(error)) from error
        return sessions

    def append(self, session: MeasuredSession) -> None:
        """Write a session; it is on the disk when this returns.

        Raises:
            CheckpointError: The disk refuses, the folder is gone, or the file is damaged.
        """
        line = asdict(_stored(session))
        try:
            if not self.path.exists():
                first = {"kind": _KIND, "schema": _SCHEMA, "run": self._run}
                journal = Journal.create(self.path, first)
            else:
                self.read()
                journal = Journal.open(self.path)
            with journal:
                journal.append(line)
        except TableError as error:
            raise CheckpointError(self._damage_text(error)) from error

    def _require_own(self, fields: Mapping[str, JsonValue]) -> None:
        schema = fields.get("schema")
        if fields.get("kind") != _KIND or type(schema) is not int:
            raise CheckpointError(f"{self.path} holds no measurements of a run; move it away")
        if schema > _SCHEMA:
            raise CheckpointError(f"{self.path} has schema {schema}, but up to {_SCHEMA} is read; upgrade")
        if fields.get("run") != self._run:
            raise CheckpointError(
                f"{self.path} was measured for another run than this one; restore it from a copy, or move it "
                "away"
            )

    def _session(self, fields: Mapping[str, JsonValue]) -> MeasuredSession:
        line = _LINE.validate_python(dict(fields))
        return MeasuredSession(
            line.target,
            line.table,
            line.generation,
            line.purpose,
            line.seconds,
            {
                from_text(one.architecture, self._choices): entry_from_fields(one.entry)
                for one in line.networks
            },
            tuple(entry_from_fields(entry) for entry in line.anchors),
            None if line.speed is None else SessionSpeed(**asdict(line.speed)),
        )

    def _damage_text(self, error: Exception) -> str:
        reason = " ".join(str(error).partition("; ")[0].split())[:200]
        if isinstance(error, TableError) and not isinstance(error, DamagedFileError):
            return reason if str(self.path) in reason else f"{self.path}: {reason}"
        where = "" if isinstance(error, DamagedFileError) else f"{self.path} is damaged: "
        return f"{where}{reason}; restore it from a copy, or move it away, which forgets what was measured"


def _stored(session: MeasuredSession) -> _Line:
    networks = (
        _Network(to_text(architecture), dict(entry_to_fields(entry)))
        for architecture, entry in session.networks.items()
    )
    return _Line(
        session.target,
        session.table,
        session.generation,
        session.purpose,
        session.seconds,
        tuple(networks),
        tuple(dict(entry_to_fields(entry)) for entry in session.anchors),
        None if session.speed is None else _Speed(**asdict(session.speed)),
    )
