"""What model cards say of a network, of its images, and of what its latency was measured on."""

from pathlib import Path

from cars_hw.config import LatencySection, SearchConfig
from cars_hw.data import Data
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.results.exporting.weights import Subject
from cars_hw.spaces import SearchSpace
from latency_tables import LatencyTable, TableError


def network_card(
    config: SearchConfig, space: SearchSpace, architecture: Architecture, subject: Subject
) -> dict[str, Json]:
    """Return what a card says of a network, whether a run has found it or not."""
    kinds = list(config.space.operation_kinds)
    return {
        "space": {
            "name": config.space.name,
            "settings": space.settings.values(),
            **({"operation_kinds": [*kinds]} if kinds else {}),
        },
        "architecture": to_text(architecture),
        "description": space.describe(architecture),
        "parameters": subject.graph.parameters(),
        "macs": subject.graph.macs(),
        **subject.weights.to_json(),
        **({} if subject.data is None else {"data": _data_card(subject.data, subject.weights.judged_on)}),
    }


def measured_on(target: LatencySection) -> dict[str, Json]:
    """Return on what a latency was measured; of the hardware, what the target's table says."""
    given = {name: value for name, value in target.settings.items() if not name.endswith("_binary")}
    try:
        header = LatencyTable.open(Path(target.table)).header
    except TableError:  # it is elsewhere by now; what was measured is not
        of_table: dict[str, Json] = {}
    else:
        device = header.device
        of_table = {
            "hardware": device.model,
            "platform": device.platform,
            "os_build": device.os_build,
            "runtime_version": header.runtime_version,
        }
        given = {**header.settings, **given}
    return {
        "device": target.device,
        "runtime": target.runtime,
        "threads": target.threads,
        "delegate": given.get("delegate", given.get("provider", "cpu")),
        "settings": {**given},
        **of_table,
    }


def latency_card(target: LatencySection, sha256: str) -> dict[str, Json]:
    """Return the table of a target, with the digest of the entries that a search used."""
    return {
        "table": target.table,
        "sha256": sha256,
        "device": target.device,
        "runtime": target.runtime,
        "threads": target.threads,
    }


def _data_card(images: Data, judged_on: str) -> dict[str, Json]:
    return {
        "name": images.name,
        "source": images.training.source,
        "sha256": images.digest(),
        judged_on.replace(" ", "_"): len(images.fitness.labels),
        "training_images": len(images.training.labels),
        "classes": images.training.classes,
        "normalisation": {
            "input": "(pixel / 255 - mean) / std",
            "mean": images.channel_mean.tolist(),
            "std": images.channel_std.tolist(),
        },
    }
