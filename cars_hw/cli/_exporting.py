"""What ``export`` and ``demo`` share: a run's weights, and a member of its front written with them."""

from pathlib import Path

from cars_hw.architecture import to_text
from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.exporter import Export, export_onnx
from cars_hw.picks import pick
from cars_hw.runs import Run, make_search, make_space, make_trainer, open_table
from cars_hw.search import Generation
from cars_hw.supernet_trainer import SuperNetTrainer
from cars_hw.trainer import Json
from devices._errors import CheckpointError


def restored_trainer(run: Run) -> tuple[SuperNetTrainer, Generation]:
    """Return the weights of the run's newest checkpoint, and its last generation.

    Raises:
        CheckpointError: There is none.
    """
    trainer = make_trainer(run.config, make_space(run.config))
    search = make_search(run, trainer)
    if not search.resume():
        raise CheckpointError(
            f"{run.path} has no generation yet; run: cars-hw search --resume --run {run.path}"
        )
    return trainer, search.history[-1]


def export_member(
    run: Run, trainer: SuperNetTrainer, generation: Generation, choice: str, folder: Path
) -> Export:
    """Write the member of the front that ``choice`` names as ``folder/CHOICE.onnx``, with its card."""
    member = pick(generation.front, generation.objectives, choice)
    card = {"pick": choice, **_card(run.config, trainer, generation, member)}
    name = f"member-{int(choice):03d}" if choice.isdecimal() else choice
    network = trainer.network(member.architecture)
    return export_onnx(network, *trainer.fitness, folder / f"{name}.onnx", card=card)


def _card(
    config: SearchConfig, trainer: SuperNetTrainer, generation: Generation, member: Candidate
) -> dict[str, Json]:
    space, images = trainer.space, trainer.data
    graph = space.graph(member.architecture, "search")
    return {
        "space": {"name": config.space.name, "settings": dict(space.settings())},
        "architecture": to_text(member.architecture),
        "description": space.describe(member.architecture),
        "costs": dict(zip(generation.objectives, member.costs, strict=True)),
        "parameters": graph.parameters(),
        "macs": graph.macs(),
        "weights": f"shared weights of the search after generation {generation.index}, not retrained; "
        "normalisation statistics recalibrated on this architecture's own path",
        "data": {
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
        },
        "latency": _latency_card(config),
    }


def _latency_card(config: SearchConfig) -> dict[str, Json]:
    if "latency_ms" not in config.search.objectives:
        return {}
    table = open_table(config)
    header = table.header
    return {
        "table": config.latency.table,
        "sha256": table.digest(),
        "device": str(header.device),
        "runtime": f"{header.runtime} {header.runtime_version}",
        "threads": header.threads,
    }
