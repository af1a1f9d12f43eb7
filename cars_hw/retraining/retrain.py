"""Retrain: networks of a front, or of no search, at their deployed size; a task of an executor each."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from cars_hw.assembly import make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.executors import Executor, Shared
from cars_hw.executors.in_process import InProcess
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.networks.graph import Graph, network_spec
from cars_hw.resolution import resolved
from cars_hw.retraining.images import RetrainingImages, retraining_images
from cars_hw.retraining.monitor import Monitor, Progress, current, watched_by
from cars_hw.retraining.records import (
    CHECKPOINTS,
    RETRAINED,
    ClassResult,
    ImagesUsed,
    Retrained,
    bind,
    is_finished,
    read_retrained,
    unbind,
    write_retrained,
)
from cars_hw.retraining.session import Outcome, Session
from cars_hw.retraining.trainer import DivergedError, NetworkTrainer, array, require_fit
from cars_hw.runs import Run
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.saving.record import read_record
from cars_hw.trainer import TrainerState
from cars_hw.weights.network import Network
from cars_hw.weights.retraining_plan import RetrainingPlan
from devices.foundation import ConfigError, owned

_SCHEMA = 1


@dataclass(frozen=True)
class _Beginning:
    """Where weights begin.

    Attributes:
        text: In words.
        tensors: By the name of each network, tensors by the names of its own; others are drawn.
    """

    text: str
    tensors: Mapping[str, dict[str, NDArray[np.generic]]]


_AT_RANDOM = _Beginning("drawn from the seed", {})


class Job(TypedDict):
    """What a retraining is made of, in plain values.

    Attributes:
        name: Of the network.
        folder: Where it is kept.
        config: The configuration, with its plan.
        architecture: As ``to_text`` writes it.
        initial: Tensors to begin with, by the names of the network's.
        began: Where these are from.
        searched_on: Digest of the images by which a search chose the network; empty where none did.
    """

    name: str
    folder: str
    config: dict[str, Json]
    architecture: str
    initial: dict[str, NDArray[np.generic]]
    began: str
    searched_on: str


def retrain(
    run: Run,
    members: Mapping[str, Architecture],
    plan: RetrainingPlan | None = None,
    *,
    to: str | Path | None = None,
    from_supernet: bool = False,
    monitor: Monitor | None = None,
) -> dict[str, Retrained]:
    """Train networks of a run from scratch, at the size that it deploys, and judge them.

    What was begun goes on from its newest checkpoint; what is finished is returned as it is.

    Args:
        run: The run.
        members: Its networks by the names of their folders:
            ``{"knee": pick(final_front(run), "knee").architecture}``.
        plan: How to train; that of the run's configuration if not given, and the defaults if it has none.
        to: Holds a folder for each; ``retrained`` in the run's folder if not given.
        from_supernet: Whether to begin with the search's weights, where their shapes fit.
        monitor: Who watches.

    Returns:
        What was kept of each, by its name.

    Raises:
        ConfigError: The images do not fit the deployed network or the plan; or the training diverged, and
            nothing is kept of it.
        CheckpointError: A folder holds another retraining, or a damaged one; the run has no generation that
            is complete, or was searched on other images.
        StorageError: Somebody else writes into a folder.
        DataError: The images cannot be loaded.
    """
    config = _with_plan(run.config, plan)
    folder = run.path / RETRAINED if to is None else Path(to)
    searched_on = run.record().fingerprint.get("images", "")
    beginning = _of_search(run, members) if from_supernet else _AT_RANDOM
    jobs = _jobs(config, members, folder, beginning=beginning, searched_on=searched_on)
    return _done(jobs, monitor)


def retrain_without_search(
    config: SearchConfig,
    members: Mapping[str, Architecture],
    *,
    to: str | Path,
    monitor: Monitor | None = None,
) -> dict[str, Retrained]:
    """Train networks of a space from scratch, at the size that it deploys, and judge them.

    Args:
        config: Its space, data and retraining are read.
        members: The networks by the names of their folders.
        to: Holds a folder for each.
        monitor: Who watches.

    Raises:
        ConfigError: As of ``retrain``; so are the others.
        UnknownNameError: The configuration names what there is not.
    """
    wanted = _with_plan(resolved(config), None)
    jobs = _jobs(wanted, members, Path(to))
    return _done(jobs, monitor)


def restored_network(retrained: Retrained, graph: Graph) -> Network:
    """Return a retrained network with its weights, in evaluation mode.

    Args:
        retrained: As ``read_retrained`` returns it.
        graph: The deployed graph of its architecture.

    Raises:
        CheckpointError: The weights are damaged, or of another network.
    """
    network = Network.untrained(graph)
    tensors = retrained.arrays()
    own = network.state_dict()
    if own.keys() != tensors.keys() or any(own[name].shape != one.shape for name, one in tensors.items()):
        raise CheckpointError(f"the weights in {retrained.folder} are those of another network")
    for name, tensor in own.items():
        tensor.copy_(tensor.new_tensor(tensors[name]))
    return network.eval()


def retrain_job(job: Job, shared: Shared) -> dict[str, Json]:
    """Do one retraining to its end, and return its record as JSON has it; the task of an executor."""
    folder, config = Path(job["folder"]), SearchConfig.of(job["config"])
    space = make_space(config)
    architecture = from_text(job["architecture"], space.choices)
    images, graph = _images(json.dumps(job["config"], sort_keys=True)), space.deployed(architecture)
    plan = config.retraining or RetrainingPlan()
    if job["searched_on"] not in ("", images.searched_on):
        raise CheckpointError(
            f"{job['name']} was searched on other images than {images.data.name} holds now; restore those, "
            f"or retrain architecture {job['architecture']} without the run"
        )
    require_fit(graph, images.data, plan)  # before anything is written, which a corrected plan would not fit
    with owned(folder):
        identity = bind(folder, _identity(job, config, images, graph))
        if is_finished(folder):
            return read_retrained(folder).to_json()
        trainer = NetworkTrainer(graph, images.data, plan, initial=job["initial"])
        checkpoints = CheckpointFolder(folder / CHECKPOINTS, within=folder)
        with checkpoints.owned():
            session = Session(job["name"], trainer, checkpoints, identity=identity, monitor=current())
            try:
                outcome = session.run()
            except DivergedError:
                unbind(folder)  # it would diverge again; a corrected plan may have the place
                raise
        record = _record(job, config, images, trainer, outcome)
        tensors = trainer.kept().state_dict()
        return write_retrained(record, {name: array(one) for name, one in tensors.items()}).to_json()


@contextmanager
def retrained_by(executor: Executor) -> Iterator[None]:
    """Let ``executor`` run what is retrained in this context until left, and end its workers then.

    In another process a training has one thread, and ``monitor`` is told of it when it is finished; where
    that asks for the end, trainings end at once, and go on later from what they saved last. Elsewhere than on
    this machine, the folders have to lie where all hosts find them under the same name.
    """
    token = _executor.set(executor)
    try:
        with executor:
            yield
    finally:
        _executor.reset(token)


_executor: ContextVar[Executor] = ContextVar("executor")


def _done(jobs: list[Job], monitor: Monitor | None) -> dict[str, Retrained]:
    executor, watching = _executor.get(InProcess()), monitor or current()
    found: dict[str, Retrained] = {}
    with watched_by(watching):
        for index, _ in executor.map(retrain_job, jobs, while_waiting=watching.require_go_on):
            one = found[jobs[index]["name"]] = read_retrained(jobs[index]["folder"])
            if not executor.is_in_process:
                epochs = len(one.curve)
                watching.tell(Progress(one.name, epochs, epochs, one.steps, one.steps, error=one.error))
    return {job["name"]: found[job["name"]] for job in jobs}


def _with_plan(config: SearchConfig, plan: RetrainingPlan | None) -> SearchConfig:
    return config.model_copy(update={"retraining": plan or config.retraining or RetrainingPlan()})


def _jobs(
    config: SearchConfig,
    members: Mapping[str, Architecture],
    folder: Path,
    *,
    beginning: _Beginning = _AT_RANDOM,
    searched_on: str = "",
) -> list[Job]:
    for name in members:
        if not name or name in (".", "..") or "/" in name or "\\" in name:
            raise ConfigError(f"{name!r:.64} cannot be the name of a folder; name the network otherwise")
    return [
        Job(
            name=name,
            folder=str(folder / name),
            config=config.to_values(),
            architecture=to_text(member),
            initial=beginning.tensors.get(name, {}),
            began=beginning.text,
            searched_on=searched_on,
        )
        for name, member in members.items()
    ]


@lru_cache(maxsize=1)
def _images(config: str) -> RetrainingImages:
    """Return the images of a configuration, which members of one run share."""
    return retraining_images(SearchConfig.of(json.loads(config)))


def _of_search(run: Run, members: Mapping[str, Architecture]) -> _Beginning:
    """Return the search's weights of each of ``members`` by its name."""
    checkpoint = run.checkpoint()
    record = read_record(checkpoint)
    trainer = make_trainer(run.config, make_space(run.config), torch_device="cpu")
    trainer.restore(TrainerState(checkpoint.arrays, record.trainer))
    found = {}
    for name, member in members.items():
        tensors = trainer.supernet.extract(member).state_dict()
        found[name] = {key: array(one) for key, one in tensors.items()}
    return _Beginning(f"weights of the search after generation {record.history[-1].index}", found)


def _identity(job: Job, config: SearchConfig, images: RetrainingImages, graph: Graph) -> dict[str, Json]:
    """Return all that decides what a retraining does."""
    plan = (config.retraining or RetrainingPlan()).values()
    plan.pop("checkpoint_every_s")
    initial = hashlib.sha256()
    for name, one in sorted(job["initial"].items()):
        initial.update(f"{name} {one.dtype} {one.shape}".encode())
        initial.update(one.tobytes())
    return {
        "schema": _SCHEMA,
        "space": _space_json(config),
        "architecture": job["architecture"],
        "network": str(network_spec(graph)),
        "plan": plan,
        "images": images.data.digest(),
        "judged_on": images.judged_on,
        "initial": job["began"],
        "initial_sha256": initial.hexdigest(),
        "searched_on": job["searched_on"],
    }


def _space_json(config: SearchConfig) -> dict[str, Json]:
    space = config.space
    return {"name": space.name, "settings": space.settings, "operation_kinds": list(space.operation_kinds)}


def _record(
    job: Job, config: SearchConfig, images: RetrainingImages, trainer: NetworkTrainer, outcome: Outcome
) -> Retrained:
    data, judgement = images.data, outcome.judgement
    classes = zip(
        images.class_names(),
        judgement.images.tolist(),
        judgement.right.tolist(),
        judgement.among_five.tolist(),
        strict=True,
    )
    n_tensors = len(trainer.kept().state_dict())
    taken = f": {trainer.taken} of {n_tensors} tensors fit" if job["initial"] else ""
    return Retrained(
        name=job["name"],
        space=_space_json(config),
        architecture=job["architecture"],
        plan=trainer.plan.values(),
        initial=f"{job['began']}{taken}",
        uses_bf16=trainer.uses_bf16,
        parameters=trainer.graph.parameters(),
        macs=trainer.graph.macs(),
        images=ImagesUsed(
            name=data.name,
            sha256=data.digest(),
            training=len(data.training.labels),
            judging=len(data.fitness.labels),
            judged_on=images.judged_on,
            are_unseen=images.judged_on == "test images" or not job["searched_on"],
            mean=tuple(data.channel_mean.tolist()),
            std=tuple(data.channel_std.tolist()),
        ),
        error=judgement.error,
        top5_error=judgement.top5_error,
        classes=tuple(ClassResult(*figures) for figures in classes),
        steps=trainer.steps,
        skipped_steps=trainer.skipped,
        seconds=outcome.seconds,
        curve=outcome.curve,
        weights_sha256="",
        folder=Path(job["folder"]),
    )
