"""Members of a run's front, taken home: their weights found, files written and proven, cards beside them.

A network of no run is exported alike, by its configuration.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from cars_hw.assembly import make_space, make_trainer, table_key, table_trust
from cars_hw.candidate import Candidate, Front
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError, InfeasibleError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.resolution import resolved
from cars_hw.results.exporting.cards import latency_card, measured_on, network_card
from cars_hw.results.exporting.errors import NotRetrainedError
from cars_hw.results.exporting.files import Export, Source, written
from cars_hw.results.exporting.folders import made_folder, require_files_possible
from cars_hw.results.exporting.options import FileOptions
from cars_hw.results.exporting.progress import ExportProgress, Telling, show_nothing
from cars_hw.results.exporting.weights import (
    Subject,
    WeightsWanted,
    find_retrained,
    subject_of_search,
    subject_retrained,
    subject_untrained,
)
from cars_hw.results.measured import MeasuredGeneration, as_measured
from cars_hw.results.picks import expanded, file_stem, pick, reason
from cars_hw.results.run_warnings import RunWarning, excess_text, excesses, violations_json, warnings_of_run
from cars_hw.retraining.images import RetrainingImages, retraining_images
from cars_hw.retraining.records import RETRAINED, Retrained
from cars_hw.runs import Run, writing_into
from cars_hw.saving.checkpoint import Checkpoint
from cars_hw.saving.record import Record, read_record
from cars_hw.spaces import Scale, SearchSpace
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from devices.foundation import ConfigError
from profilers import ExportError, FileFormat

#: What files hold where nothing else is said: the network alone.
PLAIN = FileOptions()


@dataclass(frozen=True)
class RestoredRun:
    """A run with what its members are exported from.

    Attributes:
        run: The folder.
        checkpoint: Its newest one.
        record: The content of that.
        generation: Its last generation, as it was measured where it was.
        trust: How far the latency tables may be trusted, as cards have it.
        warnings: What makes the run less than it looks like, as cards have it.
        wanted: Which weights are exported.
    """

    run: Run
    checkpoint: Checkpoint
    record: Record
    generation: MeasuredGeneration
    trust: str
    warnings: tuple[RunWarning, ...] = ()
    wanted: WeightsWanted = field(default_factory=WeightsWanted)

    @property
    def front(self) -> Front:
        """The last front, as it was measured where it was."""
        return self.generation.front

    @cached_property
    def space(self) -> SearchSpace:
        """The space of the members."""
        return make_space(self.run.config)

    @cached_property
    def trainer(self) -> SuperNetTrainer:
        """The search's weights, and the images that it judged members on.

        Raises:
            CheckpointError: It was made with other images.
        """
        trainer = make_trainer(self.run.config, self.space, torch_device="cpu")
        if self.record.fingerprint.get("images") != trainer.data.digest():
            raise CheckpointError(
                f"{self.run.path} was searched on other images than {trainer.data.name} holds now"
            )
        trainer.restore(TrainerState(self.checkpoint.arrays, self.record.trainer))
        return trainer

    @cached_property
    def images(self) -> RetrainingImages:
        """The images that networks are retrained and judged on."""
        return retraining_images(self.run.config)

    def export_member(self, choice: str, *, folder: Path, options: FileOptions = PLAIN) -> dict[str, Export]:
        """Write the member that ``choice`` names as ``folder/CHOICE`` and the format's suffix, with its card.

        Args:
            choice: A pick, or the number of a member.
            folder: Where the files go.
            options: What they hold.

        Returns:
            The files: that in float by the name of the pick, others with what they are behind it.

        Raises:
            ExportError: The run has no such weights, or a file is not what torch computes.
        """
        made_by, member = options.loaded_format(), pick(self.front, choice)
        subject = self._subject(choice, member)
        card = {"pick": choice, **self._card(choice, member, subject)}
        done = written(_source(subject, card), _path(file_stem(choice), folder, made_by), made_by, options)
        measured = self.generation.measured_json(member) if self._is_deployed else {}
        done[""] = replace(done[""], measured=measured)  # of the float file alone: others take another time
        return {f"{choice} {word}".strip(): one for word, one in done.items()}

    def require_exportable(
        self, choices: Sequence[str], *, folder: Path, options: FileOptions, allow_infeasible: bool
    ) -> None:
        """Refuse before the first file is written what can be known of all ``choices`` until then.

        Raises:
            ConfigError: There is no such member.
            InfeasibleError: A member violates a limit, and ``allow_infeasible`` is false.
            ExportError: The run has no such weights, or a file cannot have its name.
            CheckpointError: The weights are damaged, or the images are others now.
        """
        made_by, lacking = options.loaded_format(), []
        for choice in choices:
            member = pick(self.front, choice)
            if not allow_infeasible:
                _require_within_limits(self, choice, member)
            _require_names(_path(file_stem(choice), folder, made_by), options)
            if self._retrained(choice, member) is None and not self._has_weights_of_search:
                lacking.append(choice)
        if lacking:
            raise self._lacks_weights(tuple(lacking))

    @property
    def _is_deployed(self) -> bool:
        """Whether what is exported is the deployed network."""
        return self.wanted.scale == "deploy" or self.space.deploys_search_graph

    @property
    def _has_weights_of_search(self) -> bool:
        """Whether the search's weights are of the network that is exported, and may be."""
        return self.wanted.kind != "retrained" and (
            self.wanted.scale == "search" or self.space.deploys_search_graph
        )

    def _retrained(self, choice: str, member: Candidate) -> Retrained | None:
        """Return what was retrained of a member, where that is wanted and there is some.

        Raises:
            CheckpointError: A record is damaged.
            ConfigError: Retrained weights are wanted of a network that is not deployed.
        """
        if self.wanted.kind == "search":
            return None
        if not self._is_deployed:
            if self.wanted.kind == "retrained" or self.wanted.folder is not None:
                raise ConfigError("what was retrained is of the deployed size; leave out scale = search")
            return None
        folder = self.wanted.folder or self.run.path / RETRAINED
        found = find_retrained(folder, member.architecture, self.run.config, name=file_stem(choice))
        if found is None and self.wanted.folder is not None:
            raise ExportError(
                f"{folder} holds no finished retraining of {choice}, whose architecture is "
                f"{to_text(member.architecture)}"
            )
        return found

    def _lacks_weights(self, choices: tuple[str, ...]) -> NotRetrainedError:
        names = ", ".join(choices)
        if self.space.deploys_search_graph:
            text = f"{names}: not retrained yet, and retrained weights are asked for"
        else:
            text = (
                "the run has weights for the search graph, not for the larger network that it deploys: "
                f"retrain {names} first, or export the search graph"
            )
        has_plan = self.run.config.retraining is not None
        return NotRetrainedError(self.run.path, choices, has_plan=has_plan, text=text)

    def _subject(self, choice: str, member: Candidate) -> Subject:
        """Return a member with the weights that are wanted.

        Raises:
            NotRetrainedError: There are none.
            CheckpointError: They are damaged, or the images are others than those that they were made on.
        """
        retrained = self._retrained(choice, member)
        if retrained is not None:
            return subject_retrained(retrained, self.space.deployed(member.architecture), self.images)
        if not self._has_weights_of_search:
            raise self._lacks_weights((choice,))
        return subject_of_search(self.trainer, member.architecture, self.generation.index)

    def _card(self, choice: str, member: Candidate, subject: Subject) -> dict[str, Json]:
        config, generation = self.run.config, self.generation
        measured = generation.measured_json(member)
        targets = config.latency_targets()
        tables = {
            name: latency_card(target, self.record.fingerprint.get(table_key(config, name), "none"))
            for name, target in targets.items()
        }
        first, *others = tables.values()
        latencies: dict[str, Json] = {
            name: {**values, "measured_on": measured_on(targets[name])}
            for name, values in measured.items()
            if isinstance(values, dict)
        }
        return {
            "picked_as": reason(self.front, choice),
            "scale": self.wanted.scale,
            **network_card(config, self.space, member.architecture, subject),
            "costs_of_the_deployed_network": dict(generation.predicted_of(member)),
            **({"measured_of_the_deployed_network": latencies} if latencies else {}),
            "violated_limits": violations_json(config, generation, member),
            "warnings": [found.to_json() for found in self.warnings],
            "latency": {**first, "trust": self.trust},
            **({"targets": dict(tables)} if others else {}),
        }


def restored(run: Run, wanted: WeightsWanted | None = None) -> RestoredRun:
    """Return the run with its newest checkpoint.

    Args:
        run: The run.
        wanted: Which weights are exported; if not given, the best ones of the deployed networks.

    Raises:
        CheckpointError: There is none.
    """
    checkpoint = run.checkpoint()
    record = read_record(checkpoint)
    found = tuple(warnings_of_run(run, record))
    generation, trust = as_measured(run, record), table_trust(run.config)
    return RestoredRun(run, checkpoint, record, generation, trust, found, wanted or WeightsWanted())


def export(
    run: Run,
    picks: Sequence[str] = ("knee",),
    *,
    to: str | Path | None = None,
    scale: Scale = "deploy",
    weights: Literal["any", "retrained", "search"] = "any",
    retrained: str | Path | None = None,
    options: FileOptions = PLAIN,
    allow_infeasible: bool = False,
    on_progress: Callable[[ExportProgress], None] = show_nothing,
) -> dict[str, Export]:
    """Write members of a run's front as files that are verified against torch, each with a model card.

    Args:
        run: The run whose front it is.
        picks: Which members: see ``pick`` and ``expanded``.
        to: Folder of the files; ``export`` in the run's folder if not given.
        scale: The network that the run deploys, or the small one that it trained.
        weights: ``"any"``: what was retrained of a member's architecture, where there is some, else the
            search's; or one of these alone.
        retrained: Folder of a retraining, or of several; ``retrained`` in the run's folder if not given.
        options: What the files hold, and which there are of each member.
        allow_infeasible: Whether members that violate a limit of the search are written.
        on_progress: Called before the first member, and after each.

    Returns:
        By each pick what was written; further files under the pick's name and ``fp16`` or ``int8``.

    Raises:
        CheckpointError: The run has no completed generation, another configuration or other images; or what
            was retrained is damaged.
        StorageError: The folder lies in a run that somebody else writes into.
        ConfigError: There is no such member.
        InfeasibleError: A member violates a limit; nothing was written.
        ExportError: A file differs from torch, or cannot be written; or, as ``NotRetrainedError``, the run
            has no weights of a member as it is deployed.
    """
    folder = run.path / "export" if to is None else Path(to)
    options.loaded_format()
    wanted = WeightsWanted(scale, weights, None if retrained is None else Path(retrained))
    with writing_into(folder) as require_in_place:
        opened = restored(run, wanted)
        chosen = expanded(opened.front, picks)
        opened.require_exportable(chosen, folder=folder, options=options, allow_infeasible=allow_infeasible)
        with made_folder(folder):
            tell = Telling(len(chosen), on_progress)
            for name in chosen:
                require_in_place()
                tell(opened.export_member(name, folder=folder, options=options))
            require_in_place()
            return tell.found


def export_without_search(
    config: SearchConfig,
    members: Mapping[str, Architecture],
    *,
    to: str | Path,
    retrained: str | Path = RETRAINED,
    options: FileOptions = PLAIN,
    on_progress: Callable[[ExportProgress], None] = show_nothing,
) -> dict[str, Export]:
    """Write networks of a space as they are deployed, with retrained weights where there are some.

    Where there are none, weights are drawn from the seed, for measuring alone: such a file has no error, is
    verified on drawn images, and its card calls it untrained.

    Args:
        config: Its space, data and seed are read.
        members: The networks by the names of their files.
        to: Folder of the files.
        retrained: Folder of a retraining, or of several.
        options: What the files hold, and which there are of each network.
        on_progress: Called before the first network, and after each.

    Returns:
        As ``export`` does, by the names.

    Raises:
        ConfigError: As of ``export``; so are the others.
        UnknownNameError: The configuration names what there is not.
    """
    config, folder = resolved(config), Path(to)
    space, made_by = make_space(config), options.loaded_format()
    for name in members:
        if not name or name.startswith(".") or "/" in name or "\\" in name:
            raise ConfigError(f"{name!r:.64} cannot be the name of a file; name the network otherwise")
        _require_names(_path(name, folder, made_by), options)
    with writing_into(folder), made_folder(folder):
        tell = Telling(len(members), on_progress)
        for name, member in members.items():
            subject = _without_search(config, space, member, Path(retrained), name)
            card = {
                "pick": name,
                "scale": "deploy",
                **network_card(config, space, member, subject),
            }
            done = written(_source(subject, card), _path(name, folder, made_by), made_by, options)
            tell({f"{name} {word}".strip(): one for word, one in done.items()})
        return tell.found


def _without_search(
    config: SearchConfig, space: SearchSpace, member: Architecture, retrained: Path, name: str
) -> Subject:
    """Return a network of no run, with retrained weights where there are some."""
    graph, found = space.deployed(member), find_retrained(retrained, member, config, name=name)
    if found is None:
        return subject_untrained(graph, config.search.seed)
    return subject_retrained(found, graph, retraining_images(config))


def _source(subject: Subject, card: Mapping[str, Json]) -> Source:
    weights = subject.weights
    return Source(
        subject.network, subject.judging, subject.range_images, card, weights.kind, weights.judged_on
    )


def _path(stem: str, folder: Path, made_by: FileFormat) -> Path:
    """Return where the float file of that name goes."""
    return folder / f"{stem}{made_by.suffix}"


def _require_names(path: Path, options: FileOptions) -> None:
    """Refuse files whose names are taken by folders.

    Raises:
        ExportError: They are.
    """
    suffix = path.suffix
    require_files_possible(path, *(path.with_suffix(f".{word}{suffix}") for word in options.extras))


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
