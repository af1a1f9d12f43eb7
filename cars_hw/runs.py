"""A run folder: one search's configuration, checkpoints and results."""

import os
from dataclasses import dataclass
from pathlib import Path

from cars_hw.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.record import Record, read_record
from devices.foundation import replace_file

_CONFIG, _CHECKPOINTS = "config.toml", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: The folder: ``config.toml``, ``checkpoints/``, ``export/``, ``report.html``.
        config: The resolved configuration.
    """

    path: Path
    config: SearchConfig

    @classmethod
    def create(cls, path: Path, config: SearchConfig) -> "Run":
        """Make the folder for ``config``; one that holds this very run, or no generation yet, is taken over.

        Raises:
            CheckpointError: It holds generations of another configuration, or cannot be written to.
        """
        run = cls(path, config)
        CheckpointFolder(path / _CHECKPOINTS).check_writable()
        if run.has_checkpoints():
            if cls.open(path).config != config:
                raise CheckpointError(
                    f"{path} holds a run with another configuration; name another folder, or delete this one"
                )
            return run
        write_text(path / _CONFIG, config.to_toml())
        return run

    @classmethod
    def open(cls, path: Path) -> "Run":
        """Open the folder of an earlier search.

        Raises:
            CheckpointError: There is none.
            ConfigError: Its configuration is damaged.
        """
        if not os.path.exists(path / _CONFIG):
            raise CheckpointError(f"{path} holds no run; start one: cars-hw search --run {path}")
        return cls(path, SearchConfig.load(path / _CONFIG))

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The folder of its checkpoints."""
        return CheckpointFolder(self.path / _CHECKPOINTS)

    def has_checkpoints(self) -> bool:
        """Tell whether a generation of this run has been saved."""
        return self.checkpoints.holds_any()

    def checkpoint(self) -> Checkpoint:
        """Return the newest checkpoint.

        Raises:
            CheckpointError: No generation is complete, or the checkpoint is damaged.
        """
        checkpoint = self.checkpoints.load_newest()
        if checkpoint is None:
            raise CheckpointError(
                f"{self.path} has no completed generation; go on: cars-hw search --resume --run {self.path}"
            )
        return checkpoint

    def record(self) -> Record:
        """Return what the newest checkpoint says.

        Raises:
            CheckpointError: No generation is complete, or the checkpoint is damaged.
        """
        return read_record(self.checkpoint())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to a file of a run folder; a kill leaves the old or the new content.

    Raises:
        CheckpointError: The disk refuses.
    """
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; choose another folder") from error
