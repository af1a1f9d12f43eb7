"""What a search may know of the published figures: latencies of the few networks that a table is made of."""

import csv
from pathlib import Path

from cars_hw.latency.networks_only import chosen_networks
from cars_hw.spaces.nasbench201 import Nasbench201

_NETWORKS = 20


def pixel3_of(folder: Path) -> list[tuple[str, float]]:
    """Return the codes of the networks that a table is to hold, and their milliseconds on a Pixel 3."""
    space = Nasbench201()
    with (folder / "nb201_accuracy_cost.csv").open(newline="") as file:
        places = {row["code"]: row["idx"] for row in csv.DictReader(file)}
    with (folder / "nb201_latency_help_ms.csv").open(newline="") as file:
        latencies = {row["idx"]: float(row["pixel3"]) for row in csv.DictReader(file)}
    codes = [space.to_code(one) for one in chosen_networks(space, _NETWORKS)]
    return [(code, latencies[places[code]]) for code in codes]
