"""The truth of NAS-Bench-201 for two devices, and how a search is judged by it; and others, to choose on."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cars_hw.evolution.domination import Costs, non_dominated
from cars_hw.evolution.indicators import front_recall, hypervolume, igd_plus
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces.nasbench201 import Nasbench201
from cars_hw.tabular_trainer import read_figures

FOLDER = Path(os.environ.get("CARS_HW_DATA", Path(__file__).parents[2] / "shared" / "data")) / "nb201"

Indices = NDArray[np.intp]

#: What settings may be chosen on: other images and devices than those that a search is judged on.
_ELSEWHERE = (
    ("c100_test_200", "gold_6226"),
    ("c100_test_200", "1080ti_32"),
    ("in16_test_200", "eyeriss"),
    ("in16_test_200", "fpga"),
    ("c100_test_200", "silver_4210r"),
    ("in16_test_200", "titanxp_1"),
)


@dataclass(frozen=True)
class Device:
    """The search problem of one device: all networks, and the definition by which a search is judged.

    Attributes:
        name: As in the file of latencies.
        costs: (error %, parameters in millions, latency ms) of every network, (15625, 3).
        scaled: The same with the ends of the true front at 0 and 1.
        is_admitted: Which networks count, (15625,).
        reference: Reference point of the hypervolume, in scaled costs.
        true_hypervolume: That of all networks.
        front: The networks of the true front.
        figures: Hypervolume ratios of others, from the file.
    """

    name: str
    costs: Costs
    scaled: Costs
    is_admitted: NDArray[np.bool_]
    reference: tuple[float, ...]
    true_hypervolume: float
    front: Indices
    figures: dict[str, Any]

    def judge(self, evaluated: Indices) -> tuple[float, float, float]:
        """Return hypervolume ratio, recall of the true front and IGD+ of distinct networks."""
        found = evaluated[self.is_admitted[evaluated]]
        inside = found[(self.scaled[found] < self.reference).all(axis=1)]
        ratio = (
            hypervolume(self.scaled[inside], self.reference) / self.true_hypervolume if len(inside) else 0.0
        )
        distance = igd_plus(self.scaled[found], self.scaled[self.front]) if len(found) else float("inf")
        return ratio, front_recall(self.costs[found], self.costs[self.front]) if len(found) else 0.0, distance


@dataclass(frozen=True)
class Truth:
    """All networks of the benchmark.

    Attributes:
        architectures: In the order of the files.
        index: Where each stands.
        devices: The two that a search is judged on.
    """

    architectures: tuple[Architecture, ...]
    index: dict[Architecture, int]
    devices: tuple[Device, ...]


def load() -> Truth:
    """Read the files."""
    definition = json.loads((FOLDER / "nb201_hv_definition.json").read_text())
    space = Nasbench201()
    columns = ("idx", "c10_test_200", "params_c10_M")
    rows = read_figures(FOLDER / "nb201_accuracy_cost.csv", columns, key="code", parse=space.from_code)
    architectures = tuple(sorted(rows, key=lambda architecture: rows[architecture][0]))
    names = tuple(definition["devices"])
    latencies = read_figures(
        FOLDER / "nb201_latency_help_ms.csv", names, key="idx", parse=lambda text: architectures[int(text)]
    )
    own = np.array([rows[architecture][1:] for architecture in architectures])
    measured = np.array([latencies[architecture] for architecture in architectures])
    devices = tuple(
        _device(name, np.column_stack([100.0 - own[:, 0], own[:, 1], measured[:, k]]), definition)
        for k, name in enumerate(names)
    )
    return Truth(architectures, {found: i for i, found in enumerate(architectures)}, devices)


def elsewhere(truth: Truth) -> tuple[Device, ...]:
    """Return search problems of other data sets and devices, each defined as the two of ``truth`` are.

    As large a share of the networks is admitted, by their errors, as in the first of ``truth``; the true
    front of those is computed here.
    """
    columns = ("c100_test_200", "in16_test_200", "params_c10_M")
    accuracies = read_figures(
        FOLDER / "nb201_accuracy_cost.csv", columns, key="code", parse=Nasbench201().from_code
    )
    own = np.array([accuracies[architecture] for architecture in truth.architectures])
    names = tuple(sorted({name for _, name in _ELSEWHERE}))
    latencies = read_figures(
        FOLDER / "nb201_latency_help_ms.csv",
        names,
        key="idx",
        parse=lambda text: truth.architectures[int(text)],
    )
    measured = np.array([latencies[architecture] for architecture in truth.architectures])
    share = float(np.mean(truth.devices[0].costs[:, 0] <= 15.0))
    return tuple(
        _defined(
            f"{images}, {name}",
            np.column_stack(
                [100.0 - own[:, columns.index(images)], own[:, 2], measured[:, names.index(name)]]
            ),
            share,
        )
        for images, name in _ELSEWHERE
    )


def early_errors(truth: Truth) -> NDArray[np.float64]:
    """Return the errors on CIFAR-10 after 12 epochs, in %, ``(15625,)``."""
    rows = read_figures(
        FOLDER / "nb201_accuracy_cost.csv", ("c10_test_12",), key="code", parse=Nasbench201().from_code
    )
    return np.array([100.0 - rows[architecture][0] for architecture in truth.architectures], dtype=np.float64)


def _defined(name: str, costs: Costs, share: float) -> Device:
    """Define a search problem on ``costs`` (n, 3), where the ``share`` with the least errors is admitted."""
    is_admitted = costs[:, 0] <= np.quantile(costs[:, 0], share)
    admitted = np.flatnonzero(is_admitted)
    front = admitted[non_dominated(costs[admitted])]
    low, high = costs[front].min(axis=0), costs[front].max(axis=0)
    scaled, reference = (costs - low) / (high - low), (1.1, 1.1, 1.1)
    return Device(
        name, costs, scaled, is_admitted, reference, hypervolume(scaled[front], reference), front, {}
    )


def _device(name: str, costs: Costs, definition: dict[str, Any]) -> Device:
    own = definition["devices"][name]
    low, high = np.array(own["lo"]), np.array(own["hi"])
    is_admitted = costs[:, 0] <= 15.0
    if name == "pixel3":
        is_admitted &= costs[:, 2] >= 0.05
    return Device(
        name,
        costs,
        (costs - low) / (high - low),
        is_admitted,
        tuple(definition["reference_point"]),
        own["true_hv"],
        np.array(own["front_idx"]),
        own["figures"],
    )
