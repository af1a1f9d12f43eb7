"""After G-EvoNAS on real weights: what growth adds to memory, and pruning takes away."""

import numpy as np

from cars_hw import data
from cars_hw.networks import operations
from cars_hw.objectives import Error, Parameters
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import SearchSpace
from cars_hw.spaces.darts import Darts
from cars_hw.strategies.g_evonas import GEvonas
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan


def parameters(space: SearchSpace) -> int:
    return sum(operations.parameters(node.spec) for node in space.all_nodes("search"))


def test_the_weights_in_memory_are_those_of_the_stage_and_never_those_of_the_whole_space() -> None:
    space = Darts(deploy="search", channels=2, cells=3, image_size=8, image_channels=1)
    images = data.load("digits", fitness_images=40)
    trainer = SuperNetTrainer(
        space, images, TrainingPlan(batch_size=16, crop_padding=1, recalibration_images=16), total_steps=40
    )
    whole = sum(parameter.numel() for parameter in trainer.supernet.parameters())
    assert whole == parameters(space)
    strategy = GEvonas(space, np.random.default_rng(0), population_size=4, elite_size=1)
    search = Search(trainer, strategy, [Error(trainer), Parameters(space)], Schedule(6, 6, 3))
    shares = []
    for _ in search.run():
        held = trainer.state().arrays
        weights = sum(parameter.numel() for parameter in trainer.supernet.parameters())
        assert weights == parameters(strategy.space)
        kept = {name.removeprefix("weights/") for name in held if name.startswith("weights/")}
        momenta = {name.removeprefix("momentum/") for name in held if name.startswith("momentum/")}
        assert momenta
        assert momenta <= kept
        shares.append(weights / whole)
    # The last node has 5 of the 14 edges of a cell; of the other nodes, one elite's operations are left.
    assert shares == sorted(shares)
    assert shares[-1] < 0.5
    for member in search.history[-1].front:
        pairs = zip(member.architecture, strategy.space.allowed, strict=True)
        assert all(option in options for option, options in pairs)
