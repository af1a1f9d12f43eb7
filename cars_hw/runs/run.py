"""A run folder: one search's configuration, checkpoints and results."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import JsonValue

from cars_hw.candidate import Front
from cars_hw.config import MAX_CONFIG_BYTES, SearchConfig, merged_values, read_toml
from cars_hw.errors import CheckpointError
from cars_hw.resolution import require_allowed, resolved
from cars_hw.runs.amendments import (
    Amendment,
    Change,
    amended_values,
    amendment_path,
    amendment_text,
    read_amendments,
)
from cars_hw.runs.changes import changes_between, flat, refusal
from cars_hw.runs.files import make_folder, write_text
from cars_hw.runs.measurements import MEASUREMENTS, MeasurementFile
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.saving.record import Record, read_record
from cars_hw.spaces._space import SearchSpace
from devices.foundation import ConfigError, Ownership, owned, read_regular

_CONFIG, _CHECKPOINTS, _AMENDMENTS = "config.toml", "checkpoints", "amendments"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: The folder: ``config.toml``, ``amendments/``, ``checkpoints/``, ``measurements.jsonl``,
            ``export/``, ``report.html``.
        config: The resolved configuration, as it was stored and amended since.
        sha256: What bound the configuration when it was opened: the digest of the values of ``config.toml``,
            or the last amendment's; ``None``: it may be any.
        amendments: What was changed since the run began, the oldest first.
    """

    path: Path
    config: SearchConfig
    sha256: str | None = None
    amendments: tuple[Amendment, ...] = ()

    @classmethod
    def create(cls, path: str | Path, config: SearchConfig) -> Self:
        """Make the folder for ``config``; one that holds this very run, or no generation yet, is taken over.

        Raises:
            CheckpointError: It holds generations of another configuration, cannot be written to, or somebody
                else writes into it.
            UnknownNameError: The configuration names a plug-in, or a setting of one, that does not exist.
            ConfigError: A setting has a value that its plug-in does not take.
        """
        path = Path(path)
        run = cls(path, resolved(config))
        with run.owned():
            run.checkpoints.check_writable()
            if run.has_checkpoints() and not cls.exists(path):
                raise CheckpointError(
                    f"{path} holds checkpoints without their {_CONFIG}; name another folder"
                )
            if run.has_checkpoints():
                there = cls.open(path, allow_plugins=config.outside_names())
                there.require(there.with_values(config.to_values(only_given=True)))
                return there
            shutil.rmtree(path / _AMENDMENTS, ignore_errors=True)  # of a run that never began
            (path / MEASUREMENTS).unlink(missing_ok=True)
            write_text(path / _CONFIG, run.config.to_toml())
            return cls(path, run.config, run.configuration_hashes()[0])

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Tell whether the folder ``path`` holds a run."""
        return os.path.exists(Path(path) / _CONFIG)

    @classmethod
    def open(cls, path: str | Path, *, allow_plugins: Collection[str] = ()) -> Self:
        """Open the folder of an earlier search.

        Args:
            path: The folder; not trusted.
            allow_plugins: Modules from outside that its configuration may name.

        Raises:
            CheckpointError: There is none, or an amendment is missing, damaged or changed.
            ConfigError: Its configuration is damaged.
            PluginNotAllowedError: It names a module that is not allowed.
        """
        path = Path(path)
        if not cls.exists(path):
            raise CheckpointError(f"{path} holds no run; a search makes one")
        stored = SearchConfig.load_stored(path / _CONFIG)
        amendments = read_amendments(path / _AMENDMENTS, _hashes(path)[0])
        if amendments:
            stored = SearchConfig.of(amended_values(stored.to_values(with_none=True), amendments))
        require_allowed(stored, allow_plugins, where=str(path / _CONFIG))
        head = amendments[-1].link if amendments else _hashes(path)[0]
        return cls(path, resolved(stored, is_stored=True), head, amendments)

    def owned(self) -> AbstractContextManager[Ownership]:
        """Be the only one to write into this run until left; whoever only reads does not ask.

        Raises:
            StorageError: Somebody else writes into it, or it cannot be written to.
        """
        return owned(self.path)

    def with_values(self, values: Mapping[str, JsonValue]) -> SearchConfig:
        """Return this run's configuration with other values: what somebody asks for who goes on with it.

        Args:
            values: Section by section; whatever they leave out is as it was stored. ``None`` takes a limit
                away, and for ``retraining`` the section. A retraining with a preset takes the place of the
                stored one, whose keys all come from a preset too.

        Raises:
            UnknownNameError: A key that does not exist.
            ConfigError: A value that is not taken.
        """
        merged = merged_values(self.config.to_values(with_none=True), values)
        if isinstance(merged["limits"], dict):
            merged["limits"] = {name: most for name, most in merged["limits"].items() if most is not None}
        retraining = values.get("retraining")
        if isinstance(retraining, dict) and "preset" in retraining:
            merged["retraining"] = retraining
        return resolved(SearchConfig.of(merged))

    def require(self, config: SearchConfig) -> None:
        """Refuse to go on by another configuration than this run's.

        Raises:
            CheckpointError: It differs; the message names the first key and both values.
        """
        mine, other = flat(self.config.model_dump(mode="json")), flat(config.model_dump(mode="json"))
        for key in mine | other:
            if mine.get(key) != other.get(key):
                raise refusal(Change(key, mine.get(key), other.get(key)), self.path)

    def changes_to(self, config: SearchConfig) -> tuple[Change, ...]:
        """Return what has to be amended to go on by ``config``; nothing where it is this run's.

        Raises:
            CheckpointError: A key may not change, or not to that value; the message names it and both values.
        """
        return changes_between(self.config, config, where=self.path)

    def with_amendment(
        self,
        changes: Sequence[Change],
        *,
        tables_before: Mapping[str, str] = MappingProxyType({}),
        tables_after: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Write an amendment, and return the run as it is from then on.

        Nothing is held against devices, tables or the space: ``cars_hw.amended`` does that first.

        Args:
            changes: As ``changes_to`` returns them.
            tables_before: Digests of latency tables that go out of use, by their names in fingerprints.
            tables_after: Digests of those that come into use.

        Raises:
            CheckpointError: The disk refuses, or the configuration was changed meanwhile.
            StorageError: Somebody else writes into the run.
        """
        folder = self.path / _AMENDMENTS
        with self.owned() as ownership:
            self.require_stored()
            amendment = Amendment(
                number=len(self.amendments) + 1,
                generation=self._last_generation(),
                changes=tuple(changes),
                previous=self.amendments[-1].sha256 if self.amendments else _hashes(self.path)[0],
                tables_before=tables_before,
                tables_after=tables_after,
            )
            ownership.require_in_place()
            make_folder(folder)
            write_text(amendment_path(folder, amendment.number), amendment_text(amendment))
        return type(self).open(self.path, allow_plugins=self.config.outside_names())

    def _last_generation(self) -> int:
        """Return the last generation that is complete, -1 where none is."""
        checkpoint = self.latest_checkpoint()
        history = () if checkpoint is None else read_record(checkpoint).history
        return history[-1].index if history else -1

    @property
    def planned_generations(self) -> int:
        """Generations that the run was begun for; its schedule is made for these, however it is extended."""
        changes = [amendment.change("search.generations") for amendment in self.amendments]
        planned = next((change.before for change in changes if change), self.config.search.generations)
        return planned if isinstance(planned, int) else self.config.search.generations

    def configuration_hashes(self) -> tuple[str, str]:
        """Return two SHA-256 of the stored configuration: of its values, and, as before, of its text.

        Every value that was stored is in both; a key that was added to the program later is in neither.
        """
        return _hashes(self.path)

    def bindings(self) -> tuple[str, ...]:
        """Return what a checkpoint of this run may have been written under, today's first.

        That is each amendment that was the last one at a time, and the stored configuration.

        Raises:
            CheckpointError: An amendment is missing, damaged or changed.
            ConfigError: The stored configuration is no TOML.
            OSError: It cannot be read.
        """
        hashes = _hashes(self.path)
        amendments = read_amendments(self.path / _AMENDMENTS, hashes[0])
        return (*(amendment.link for amendment in reversed(amendments)), *hashes)

    def table_digests(self, name: str, today: str) -> tuple[str, ...]:
        """Return what a checkpoint of this run may say of a latency table, today's first.

        Args:
            name: Of the table, in fingerprints.
            today: Digest of the table that the configuration names.

        Raises:
            CheckpointError: It is not the table any more that an amendment brought into use.
        """
        named = [amendment for amendment in self.amendments if name in amendment.tables_after]
        if named and named[-1].tables_after[name] != today:
            raise CheckpointError(
                f"the {name} has changed since it came into use by "
                f"{amendment_path(self.path / _AMENDMENTS, named[-1].number)}; restore it from a copy"
            )
        return today, *(one.tables_before[name] for one in named if name in one.tables_before)

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The folder of its checkpoints."""
        return CheckpointFolder(self.path / _CHECKPOINTS, within=self.path, check=self.require_stored)

    def measurements(self, space: SearchSpace) -> MeasurementFile:
        """Return what was measured of its fronts, members of ``space``."""
        return MeasurementFile(self.path / MEASUREMENTS, self.configuration_hashes()[0], space.choices)

    def require_stored(self) -> None:
        """Refuse to go on where ``config.toml`` or its amendments are not what they were at opening.

        Raises:
            CheckpointError: They are not, or cannot be read.
        """
        try:
            bindings = self.bindings()
        except (ConfigError, OSError) as error:
            raise CheckpointError(f"{error}; restore it, or begin anew in another folder") from error
        if self.sha256 in (None, bindings[0]):
            return
        if self.sha256 in bindings:
            raise CheckpointError(f"{self.path} was amended while it was in use; open it again")
        changed = self.path / (_AMENDMENTS if self.amendments else _CONFIG)
        raise CheckpointError(
            f"{changed} was changed while it was in use; restore it, or begin anew in another folder"
        )

    def _require_own(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint that was written under another configuration than this run's."""
        self.require_stored()
        fingerprint = checkpoint.values.get("fingerprint")
        written = fingerprint.get("configuration") if isinstance(fingerprint, dict) else None
        if written in self.bindings():
            return
        number, colon, _ = str(written).partition(":")
        if colon and number.isdecimal():
            path = amendment_path(self.path / _AMENDMENTS, int(number))
            raise CheckpointError(
                f"amendment {path} is missing, or is not the one that this run was searched under; restore "
                "it from a copy, or begin anew in another folder"
            )
        raise CheckpointError(
            f"{self.path / _CONFIG} is not the configuration that this run was searched with: it was "
            "changed, or replaced; restore it from a copy, or begin anew in another folder"
        )

    def has_checkpoints(self) -> bool:
        """Tell whether a generation of this run, or a part of one, has been saved."""
        return self.checkpoints.holds_any()

    def checkpoint(self) -> Checkpoint:
        """Return the newest checkpoint of a generation that is complete.

        Raises:
            CheckpointError: No generation is complete, the checkpoint is damaged, or the stored configuration
                is another one than it was written under.
        """
        checkpoint = self.checkpoints.load_newest()
        if checkpoint is None:
            raise CheckpointError(f"{self.path} has no completed generation; let its search go on")
        self._require_own(checkpoint)
        return checkpoint

    def latest_checkpoint(self) -> Checkpoint | None:
        """Return what its search goes on from, a checkpoint inside a generation too; ``None``: the beginning.

        Raises:
            CheckpointError: As ``checkpoint`` says.
        """
        checkpoint = self.checkpoints.load_latest()
        if checkpoint is not None:
            self._require_own(checkpoint)
        return checkpoint

    def record(self) -> Record:
        """Return what the newest checkpoint says.

        Raises:
            CheckpointError: No generation is complete, or the checkpoint is damaged.
        """
        return read_record(self.checkpoint())

    def front(self) -> Front:
        """Return the front of the last generation that is complete.

        Raises:
            CheckpointError: No generation is complete, or the checkpoint is damaged.
        """
        return self.record().history[-1].front

    def __repr__(self) -> str:
        names = self.config
        return f"<run {self.path}: {names.strategy.name} on {names.space.name}, {names.data.name}>"


@contextmanager
def writing_into(folder: Path) -> Iterator[Callable[[], None]]:
    """Own the run that ``folder`` lies in until left; a folder that lies in none takes no lock.

    Yields:
        Raises ``StorageError`` where the run has been removed or replaced meanwhile.

    Raises:
        StorageError: Somebody else writes into that run.
    """
    whole = folder.resolve()
    run = next((one for one in (whole, *whole.parents) if Run.exists(one) and _has_checkpoints(one)), None)
    if run is None:
        yield _require_nothing
        return
    with owned(run) as ownership:
        yield ownership.require_in_place


def _has_checkpoints(folder: Path) -> bool:
    return os.path.isdir(folder / _CHECKPOINTS) and CheckpointFolder(folder / _CHECKPOINTS).holds_any()


def _require_nothing() -> None:
    """Ask nothing of a folder that lies in no run."""


def _hashes(run: Path) -> tuple[str, str]:
    """Return the SHA-256 of the values and of the text of the stored configuration of ``run``."""
    values = json.dumps(read_toml(run / _CONFIG), sort_keys=True, default=str).encode()
    text = read_regular(run / _CONFIG, MAX_CONFIG_BYTES)
    return hashlib.sha256(values).hexdigest(), hashlib.sha256(text).hexdigest()
