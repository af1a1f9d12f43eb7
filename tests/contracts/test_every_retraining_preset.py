"""Each preset takes a step on its real network, at its real image size, in two parts of two images."""

import math

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.data import Data, ImageSet
from cars_hw.retraining.trainer import NetworkTrainer, classes_of
from cars_hw.weights.network import module_name
from cars_hw.weights.retraining_plan import Preset, RetrainingPlan, preset_names

#: The network that a preset is for: of CARS' and EvNAS' papers; ``small`` is for whatever is small.
_NETWORKS: dict[str, dict[str, object]] = {
    "cars-cifar": {"name": "darts", "deploy": "cifar"},
    "evnas-cifar": {"name": "darts", "deploy": "cifar"},
    "cars-imagenet": {"name": "darts", "deploy": "imagenet"},
    "evnas-imagenet": {"name": "darts", "deploy": "imagenet"},
    "small": {"name": "nasbench201"},
}


def _images(n: int, shape: tuple[int, ...], classes: int) -> ImageSet:
    rng = np.random.default_rng(0)
    labels = np.linspace(0, classes - 1, n).astype(np.int64)  # the last class is among them
    pixels = rng.integers(0, 256, (n, *shape), dtype=np.uint8)
    return ImageSet("noise", pixels, labels, flips=True, source="made up")


@pytest.mark.slow
@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_takes_a_step_on_its_network(preset: Preset) -> None:
    values = dict(_NETWORKS[preset])
    space = spaces.load(str(values.pop("name")), **values)
    graph = space.deployed(space.sample(np.random.default_rng(0)))
    shape = graph.nodes[0].spec.input_shape[1:]
    data = Data(_images(4, shape, classes_of(graph)), _images(2, shape, classes_of(graph)))
    plan = RetrainingPlan.checked("retraining", {"preset": preset, "batch_size": 4, "accumulation": 2})
    trainer = NetworkTrainer(graph, data, plan)
    before = {name: one.clone() for name, one in trainer.kept().state_dict().items()}
    loss = trainer.step()
    # Of an untrained network, about that of guessing; the auxiliary classifier's comes to it.
    guess = math.log(classes_of(graph)) * (1 + plan.auxiliary_weight)
    assert 0.5 * guess < loss < 2 * guess
    assert (trainer.steps, trainer.skipped) == (1, 0)
    live = tuple(f"units.{module_name(node.slot)}." for node in graph.live.nodes)
    after = {name: one for name, one in trainer.kept().state_dict().items() if name.startswith(live)}
    moved = [name for name, one in after.items() if not one.equal(before[name])]
    assert len(moved) > 0.9 * len(after) > 30
