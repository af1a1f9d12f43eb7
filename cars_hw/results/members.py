"""What ``export`` and ``demo`` share: a run's weights, and a member of its front written with them."""

from pathlib import Path

from cars_hw.assembly import make_space, make_trainer
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.data import Data
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text
from cars_hw.record import Record, read_record
from cars_hw.results.exporter import Export, export_int8, export_network
from cars_hw.results.picks import pick
from cars_hw.runs import Run
from cars_hw.spaces._space import Scale
from cars_hw.trainer import TrainerState
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from profilers import ExportError, formats


def restored_trainer(run: Run) -> tuple[SuperNetTrainer, Record]:
    """Return the weights of the run's newest checkpoint, and what it says.

    Raises:
        CheckpointError: There is none, or it was made with other images.
    """
    checkpoint = run.checkpoint()
    record = read_record(checkpoint)
    trainer = make_trainer(run.config, make_space(run.config))
    if record.fingerprint.get("images") != trainer.data.digest():
        raise CheckpointError(f"{run.path} was searched on other images than {trainer.data.name} holds now")
    trainer.restore(TrainerState(checkpoint.arrays, record.trainer))
    return trainer, record


def export_member(
    run: Run,
    trainer: SuperNetTrainer,
    record: Record,
    choice: str,
    *,
    folder: Path,
    scale: Scale = "deploy",
    file_format: str = "onnx",
    trust: str,
) -> Export:
    """Write the member of the front that ``choice`` names as ``folder/CHOICE.SUFFIX``, with its card.

    Args:
        run: Whose front it is.
        trainer: Its weights.
        record: What its newest checkpoint says.
        choice: A pick, or the number of a member.
        folder: Where the file goes.
        scale: Which of the space's two graphs.
        file_format: Name of the format.
        trust: How far the latency table may be trusted, as ``table_trust`` says; the same for all members.

    Raises:
        ExportError: The run deploys another network than the one that it has weights for.
    """
    if scale == "deploy" and not trainer.space.deploys_search_graph:
        raise ExportError(
            "the run has weights for the search graph, not for the larger network that it deploys: retrain "
            "that first (cars-hw retrain, not in this version), or write the search network: --scale search"
        )
    member = pick(record.history[-1].front, record.history[-1].objectives, choice)
    card = {"pick": choice, "scale": scale, **_card(run.config, trainer, record, member, trust)}
    name = f"member-{int(choice):03d}" if choice.isdecimal() else choice
    network = trainer.network(member.architecture)
    made_by = formats.load(file_format)
    path = folder / f"{name}{made_by.suffix}"
    return export_network(network, *trainer.fitness, path, card=card, made_by=made_by)


def export_with_int8(trainer: SuperNetTrainer, before: Export, max_error_growth: float) -> Export:
    """Write an exported float file anew with 8-bit integers inside, calibrated on training images.

    Raises:
        ExportError: The error grows by more than ``max_error_growth``, a share of the images.
    """
    calibration = trainer.recalibration_images
    return export_int8(before, *trainer.fitness, calibration=calibration, max_error_growth=max_error_growth)


def _card(
    config: SearchConfig, trainer: SuperNetTrainer, record: Record, member: Candidate, trust: str
) -> dict[str, Json]:
    space, generation = trainer.space, record.history[-1]
    graph = space.graph(member.architecture, "search")
    return {
        "space": {"name": config.space.name, "settings": dict(space.settings())},
        "architecture": to_text(member.architecture),
        "description": space.describe(member.architecture),
        "costs_of_the_deployed_network": dict(generation.costs_of(member)),
        "parameters": graph.parameters(),
        "macs": graph.macs(),
        "weights": f"shared weights of the search after generation {generation.index}, not retrained; "
        "normalisation statistics recalibrated on this architecture's own path",
        "data": _data_card(trainer.data),
        "latency": {
            "table": config.latency.table,
            "sha256": record.fingerprint["latency table"],
            "device": config.latency.device,
            "runtime": config.latency.runtime,
            "threads": config.latency.threads,
            "trust": trust,
        },
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
