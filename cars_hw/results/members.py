"""Members of a run's front, taken home: its weights restored, files written and proven, cards beside them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cars_hw.assembly import make_space, make_trainer, table_key, table_trust
from cars_hw.candidate import Candidate, Front
from cars_hw.config import LatencySection
from cars_hw.data import Data
from cars_hw.errors import CheckpointError, InfeasibleError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.results.exporter import (
    Export,
    export_int8,
    export_network,
    made_folder,
    require_files_possible,
)
from cars_hw.results.measured import MeasuredGeneration, as_measured
from cars_hw.results.picks import expanded, file_stem, pick
from cars_hw.results.run_warnings import RunWarning, excess_text, excesses, violations_json, warnings_of_run
from cars_hw.runs import Run, writing_into
from cars_hw.saving.record import Record, read_record
from cars_hw.spaces import Scale
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from profilers import ExportError, FileFormat, formats


@dataclass(frozen=True)
class ExportProgress:
    """How far an export of several members has come.

    Attributes:
        done: Members that are written.
        wanted: How many are wanted.
        seconds_left: Estimate for the others; ``None`` before the first is written.
        files: What was written.
    """

    done: int
    wanted: int
    seconds_left: float | None
    files: tuple[Path, ...]


def _show_nothing(progress: ExportProgress) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class RestoredRun:
    """A run with the weights of its newest checkpoint.

    Attributes:
        run: The folder.
        trainer: The weights, and the images that members are judged on.
        record: The content of the checkpoint.
        generation: Its last generation, as it was measured where it was.
        trust: How far the latency tables may be trusted, as cards have it.
        warnings: What makes the run less than it looks like, as cards have it.
    """

    run: Run
    trainer: SuperNetTrainer
    record: Record
    generation: MeasuredGeneration
    trust: str
    warnings: tuple[RunWarning, ...] = ()

    @property
    def front(self) -> Front:
        """The last front, as it was measured where it was."""
        return self.generation.front

    def export_member(
        self, choice: str, *, folder: Path, scale: Scale = "deploy", file_format: str = formats.DEFAULT
    ) -> Export:
        """Write the member that ``choice`` names as ``folder/CHOICE`` and the format's suffix, with its card.

        Args:
            choice: A pick, or the number of a member.
            folder: Where the file goes.
            scale: Which of the space's two graphs.
            file_format: A format of this project, or a module from outside, with a dot.

        Raises:
            ExportError: The run deploys another network than the one that it has weights for, or the file is
                not what torch computes.
        """
        self._require_weights(scale)
        made_by = formats.load(file_format)
        member = pick(self.front, choice)
        card = {"pick": choice, "scale": scale, **self._card(member)}
        network, path = self.trainer.network(member.architecture), _path(choice, folder, made_by)
        done = export_network(network, *self.trainer.fitness, path, card=card, made_by=made_by)
        is_deployed = scale == "deploy" or self.trainer.space.deploys_search_graph
        return replace(done, measured=self.generation.measured_json(member)) if is_deployed else done

    def require_exportable(
        self,
        choices: Sequence[str],
        *,
        folder: Path,
        scale: Scale,
        made_by: FileFormat,
        allow_infeasible: bool,
    ) -> None:
        """Refuse before the first file is written what can be known of all ``choices`` until then.

        Raises:
            ConfigError: There is no such member.
            InfeasibleError: A member violates a limit, and ``allow_infeasible`` is false.
            ExportError: The run has no weights of that scale, or a file cannot have its name.
        """
        self._require_weights(scale)
        for choice in choices:
            member = pick(self.front, choice)
            if not allow_infeasible:
                _require_within_limits(self, choice, member)
            path = _path(choice, folder, made_by)
            require_files_possible(path, path.with_suffix(f".int8{made_by.suffix}"))

    def export_with_int8(self, before: Export, max_error_growth_share: float) -> Export:
        """Write an exported float file anew with 8-bit integers inside; training images set their ranges.

        Raises:
            ExportError: The error grows by more than this share of the images.
        """
        return export_int8(
            before,
            *self.trainer.fitness,
            range_images=self.trainer.recalibration_images,
            max_error_growth_share=max_error_growth_share,
        )

    def _require_weights(self, scale: Scale) -> None:
        if scale == "deploy" and not self.trainer.space.deploys_search_graph:
            raise ExportError(
                "the run has weights for the search graph, not for the larger network that it deploys: "
                "retrain that first (not in this version), or export the search graph"
            )

    def _card(self, member: Candidate) -> dict[str, Json]:
        config, space, generation = self.run.config, self.trainer.space, self.generation
        measured = generation.measured_json(member)
        graph = space.graph(member.architecture, "search")
        tables = {
            name: _latency_card(target, self.record.fingerprint.get(table_key(config, name), "none"))
            for name, target in config.latency_targets().items()
        }
        first, *others = tables.values()
        return {
            "space": {
                "name": config.space.name,
                "settings": space.settings.values(),
                **({"operation_kinds": list(kinds)} if (kinds := config.space.operation_kinds) else {}),
            },
            "architecture": to_text(member.architecture),
            "description": space.describe(member.architecture),
            "costs_of_the_deployed_network": dict(generation.predicted_of(member)),
            **({"measured_of_the_deployed_network": measured} if measured else {}),
            "violated_limits": violations_json(config, generation, member),
            "warnings": [found.to_json() for found in self.warnings],
            "parameters": graph.parameters(),
            "macs": graph.macs(),
            "weights": f"shared weights of the search after generation {generation.index}, not retrained; "
            "normalisation statistics recalibrated on this architecture's own path",
            "data": _data_card(self.trainer.data),
            "latency": {**first, "trust": self.trust},
            **({"targets": dict(tables)} if others else {}),
        }


def restored(run: Run) -> RestoredRun:
    """Return the run with the weights of its newest checkpoint.

    Raises:
        CheckpointError: There is none, or it was made with other images.
    """
    checkpoint = run.checkpoint()
    record = read_record(checkpoint)
    trainer = make_trainer(run.config, make_space(run.config))
    if record.fingerprint.get("images") != trainer.data.digest():
        raise CheckpointError(f"{run.path} was searched on other images than {trainer.data.name} holds now")
    trainer.restore(TrainerState(checkpoint.arrays, record.trainer))
    found = tuple(warnings_of_run(run, record))
    return RestoredRun(run, trainer, record, as_measured(run, record), table_trust(run.config), found)


def export(
    run: Run,
    picks: Sequence[str] = ("knee",),
    *,
    to: str | Path | None = None,
    file_format: str = formats.DEFAULT,
    scale: Scale = "deploy",
    max_error_growth_share: float | None = None,
    allow_infeasible: bool = False,
    on_progress: Callable[[ExportProgress], None] = _show_nothing,
) -> dict[str, Export]:
    """Write members of a run's front as files that are verified against torch, each with a model card.

    Args:
        run: The run whose front it is.
        picks: Which members: see ``pick`` and ``expanded``.
        to: Folder of the files; ``export`` in the run's folder if not given.
        file_format: ``"onnx"``, ``"tflite"``, or a module from outside, with a dot.
        scale: The network that the run deploys, or the small one that it trained.
        max_error_growth_share: Write a second file with 8-bit integers, whose error may be larger by this
            share of the images, 0..1; ``None`` writes none.
        allow_infeasible: Whether members that violate a limit of the search are written.
        on_progress: Called before the first member, and after each.

    Returns:
        By each pick what was written; a second file under the pick's name and ``int8``.

    Raises:
        CheckpointError: The run has no completed generation, another configuration or other images.
        StorageError: The folder lies in a run that somebody else writes into.
        ConfigError: There is no such member.
        InfeasibleError: A member violates a limit; nothing was written.
        ExportError: A file differs from torch, or cannot be written.
    """
    folder = run.path / "export" if to is None else Path(to)
    made_by = formats.load(file_format)
    made_by.require_installed(with_int8=max_error_growth_share is not None)
    with writing_into(folder) as require_in_place:
        opened = restored(run)
        chosen, found = expanded(opened.front, picks), dict[str, Export]()
        opened.require_exportable(
            chosen, folder=folder, scale=scale, made_by=made_by, allow_infeasible=allow_infeasible
        )
        with made_folder(folder):
            start_s = time.monotonic()
            on_progress(ExportProgress(0, len(chosen), None, ()))
            for done, name in enumerate(chosen, start=1):
                require_in_place()
                found[name] = opened.export_member(name, folder=folder, scale=scale, file_format=file_format)
                if max_error_growth_share is not None:
                    found[f"{name} int8"] = opened.export_with_int8(found[name], max_error_growth_share)
                left_s = (time.monotonic() - start_s) / done * (len(chosen) - done)
                files = tuple(written.path for written in found.values())
                on_progress(ExportProgress(done, len(chosen), left_s, files))
            require_in_place()
    return found


def _path(choice: str, folder: Path, made_by: FileFormat) -> Path:
    """Return where the file of a pick goes."""
    return folder / f"{file_stem(choice)}{made_by.suffix}"


def _require_within_limits(opened: RestoredRun, choice: str, member: Candidate) -> None:
    config, generation = opened.run.config, opened.generation
    limited = generation.limited_of(member)
    over = {name: limited[name] for name in excesses(config, generation, member)}
    if over:
        how = " and ".join(excess_text(config, generation, member, name) for name in over)
        raise InfeasibleError(
            f"member {choice} violates the limits of the search: {how}; pick another, or allow such members",
            costs=over,
        )


def _latency_card(target: LatencySection, sha256: str) -> dict[str, Json]:
    return {
        "table": target.table,
        "sha256": sha256,
        "device": target.device,
        "runtime": target.runtime,
        "threads": target.threads,
    }


def _data_card(images: Data) -> dict[str, Json]:
    return {
        "name": images.name,
        "source": images.training.source,
        "sha256": images.digest(),
        "fitness_images": len(images.fitness.labels),
        "classes": images.training.classes,
        "normalisation": {
            "input": "(pixel / 255 - mean) / std",
            "mean": images.channel_mean.tolist(),
            "std": images.channel_std.tolist(),
        },
    }
