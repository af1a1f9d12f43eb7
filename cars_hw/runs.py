"""A run folder: one search's configuration, checkpoints and results."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import JsonValue

from cars_hw.candidate import Front
from cars_hw.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.config import MAX_CONFIG_BYTES, SearchConfig, merged_values, read_toml
from cars_hw.errors import CheckpointError
from cars_hw.record import Record, read_record
from cars_hw.resolution import require_allowed, resolved
from devices.foundation import ConfigError, Ownership, owned, read_regular, replace_file

_CONFIG, _CHECKPOINTS = "config.toml", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: The folder: ``config.toml``, ``checkpoints/``, ``export/``, ``report.html``.
        config: The resolved configuration.
        sha256: Digest of the values of ``config.toml`` when it was opened; ``None``: it may be any.
    """

    path: Path
    config: SearchConfig
    sha256: str | None = None

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
            CheckpointError: There is none.
            ConfigError: Its configuration is damaged.
            PluginNotAllowedError: It names a module that is not allowed.
        """
        path = Path(path)
        if not cls.exists(path):
            raise CheckpointError(f"{path} holds no run; a search makes one")
        stored = SearchConfig.load_stored(path / _CONFIG)
        require_allowed(stored, allow_plugins, where=str(path / _CONFIG))
        run = cls(path, resolved(stored, is_stored=True))
        return cls(path, run.config, run.configuration_hashes()[0])

    def owned(self) -> AbstractContextManager[Ownership]:
        """Be the only one to write into this run until left; whoever only reads does not ask.

        Raises:
            StorageError: Somebody else writes into it, or it cannot be written to.
        """
        return owned(self.path)

    def with_values(self, values: Mapping[str, JsonValue]) -> SearchConfig:
        """Return this run's configuration with other values: what somebody asks for who goes on with it.

        Args:
            values: Section by section; whatever they leave out is as it was stored.

        Raises:
            UnknownNameError: A key that does not exist.
            ConfigError: A value that is not taken.
        """
        stored = self.config.to_values(with_none=True)
        return resolved(SearchConfig.of(merged_values(stored, values)))

    def require(self, config: SearchConfig) -> None:
        """Refuse to go on by another configuration than this run's.

        Raises:
            CheckpointError: It differs; the message names the first key and both values.
        """
        mine, other = _flat(self.config.model_dump(mode="json")), _flat(config.model_dump(mode="json"))
        for key in mine | other:
            if mine.get(key) != other.get(key):
                raise CheckpointError(
                    f"{self.path} holds a run with another configuration: {key} = {mine.get(key)!r:.80}, and "
                    f"{other.get(key)!r:.80} is asked for; name another folder, or delete this one"
                )

    def configuration_hashes(self) -> tuple[str, str]:
        """Return two SHA-256 of the stored configuration: of its values, and, as before, of its text.

        Every value that was stored is in both; a key that was added to the program later is in neither.
        """
        values = json.dumps(read_toml(self.path / _CONFIG), sort_keys=True, default=str).encode()
        text = read_regular(self.path / _CONFIG, MAX_CONFIG_BYTES)
        return hashlib.sha256(values).hexdigest(), hashlib.sha256(text).hexdigest()

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The folder of its checkpoints."""
        return CheckpointFolder(self.path / _CHECKPOINTS, within=self.path, check=self.require_stored)

    def require_stored(self) -> None:
        """Refuse to go on where ``config.toml`` no longer holds what it held when this run was opened.

        Raises:
            CheckpointError: It does not, or cannot be read.
        """
        try:
            found = self.configuration_hashes()[0]
        except (ConfigError, OSError) as error:
            raise CheckpointError(f"{error}; restore it, or begin anew in another folder") from error
        if self.sha256 not in (None, found):
            raise CheckpointError(
                f"{self.path / _CONFIG} was changed while it was in use; restore it, or begin anew in "
                "another folder"
            )

    def _require_own(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint that was written under another configuration than the stored one."""
        self.require_stored()
        fingerprint = checkpoint.values.get("fingerprint")
        written = fingerprint.get("configuration") if isinstance(fingerprint, dict) else None
        if written not in self.configuration_hashes():
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


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to a file of a run folder; a kill leaves the old or the new content.

    Raises:
        CheckpointError: The disk refuses, or the folder is gone.
    """
    try:
        path.parent.stat()  # a run that was there, and is not any more, is not made again
        replace_file(path, text.encode())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; choose another folder") from error


def _flat(values: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """Return nested values by dotted keys."""
    flat: dict[str, JsonValue] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
