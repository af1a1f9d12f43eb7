"""NSE on shared weights and real images: duels of branches, fresh rounds, resumed runs, exported networks."""

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cars_hw import assembly
from cars_hw.config import SearchConfig
from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.results.exporter import export_network
from cars_hw.runs import Run
from cars_hw.search import Search
from cars_hw.spaces.nse import Nse
from cars_hw.testing._tables import write_table
from cars_hw.weights.option_gradients import option_gradients
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.supernet_trainer import SuperNetTrainer

_GOLDEN = Path(__file__).parents[2] / "golden" / "before-the-moves"

_TINY: dict[str, Json] = {
    "space.name": "nse",
    "space.variant": "nsenet-gpu",
    "space.deploy": "search",
    "space.channels": 2,
    "space.stages": 2,
    "space.depth": 1,
    "space.image_size": 8,
    "space.image_channels": 1,
    "strategy.name": "nse",
    "strategy.population_size": 4,
    "strategy.operations_per_place": 3,
    "strategy.target": 40_000.0,
    "strategy.drift": 0.8,
    "strategy.cleaning_threshold": -0.02,
    "data.name": "digits",
    "data.fitness_images": 100,
    "training.batch_size": 16,
    "training.crop_padding": 1,
    "training.recalibration_images": 32,
    "search.objectives": ["error", "macs"],
    "search.warm_up_epochs": 0.2,
    "search.epochs_per_generation": 0.2,
    "search.generations": 3,
}


@pytest.fixture(scope="module")
def config() -> SearchConfig:
    return SearchConfig.load(None, _TINY)


def search_in(folder: Path, config: SearchConfig) -> tuple[Search, SuperNetTrainer]:
    run = Run.create(folder, config)
    trainer = assembly.make_trainer(config, assembly.make_space(config))
    return assembly.make_search(run, trainer), trainer


@pytest.mark.slow  # in a round of one generation, the contract of every search shows it by default
@pytest.mark.parametrize(("generations_per_round", "killed_after"), [(1, 2), (2, 2), (3, 1), (3, 2)])
def test_a_killed_search_resumes_to_the_same_weights_and_front(
    tmp_path: Path, config: SearchConfig, generations_per_round: int, killed_after: int
) -> None:
    config = SearchConfig.load(None, {**_TINY, "strategy.generations_per_round": generations_per_round})
    straight, trainer = search_in(tmp_path / "straight", config)
    whole = [generation.population for generation in straight.run()]

    killed, _ = search_in(tmp_path / "killed", config)
    begun = [generation.population for generation in itertools.islice(killed.run(), killed_after)]
    resumed, resumed_trainer = search_in(tmp_path / "killed", config)
    assert resumed.resume()
    rest = [generation.population for generation in resumed.run()]

    assert begun + rest == whole
    assert resumed.strategy.state() == straight.strategy.state()
    expected, found = trainer.state().arrays, resumed_trainer.state().arrays
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_every_member_of_the_front_is_exported_and_proven(tmp_path: Path, config: SearchConfig) -> None:
    search, trainer = search_in(tmp_path, config)
    [*_, last] = search.run()
    assert last.front
    assert trainer.ledger.option_steps == 4 * (trainer.ledger.steps // 4 // 2)
    for i, member in enumerate(last.front):
        export = export_network(
            trainer.network(member.architecture), *trainer.fitness, tmp_path / f"{i}.onnx", card={}
        )
        assert export.error == pytest.approx(member.costs[0])


def test_a_round_starts_with_fresh_weights_and_fresh_statistics(tmp_path: Path, config: SearchConfig) -> None:
    """The released code initialises the weights again, but keeps the running statistics."""
    search, trainer = search_in(tmp_path, config)
    next(search.run())
    search.strategy.train(trainer, 0)
    fresh = SuperNet(search.strategy.space, seed=config.search.seed)
    for name, buffer in trainer.supernet.named_buffers():
        assert torch.equal(buffer, dict(fresh.named_buffers())[name]), name
    assert not any(name.startswith("momentum/") for name in trainer.state().arrays)


def test_the_learning_rate_falls_anew_in_each_round(tmp_path: Path) -> None:
    config = SearchConfig.load(None, {**_TINY, "strategy.generations_per_round": 3})
    search, trainer = search_in(tmp_path, config)
    after: dict[int, float] = {}
    trainer.ledger.listener = lambda ledger: after.update({ledger.steps: trainer.learning_rate})
    list(search.run())
    high, low = config.training.learning_rate, config.training.final_learning_rate
    n = trainer.ledger.steps // 4  # of a generation; the first round has three, the second is cut to one
    shares = [k / (3 * n) for k in range(1, 3 * n + 1)] + [k / n for k in range(1, n + 1)]
    expected = [low + (high - low) * (1 + math.cos(math.pi * share)) / 2 for share in shares]
    assert [after[k] for k in range(1, 4 * n + 1)] == pytest.approx(expected)


def test_a_run_from_before_the_learning_rate_started_anew_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(_GOLDEN, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    run = Run.open(Path("nse"))
    search = assembly.make_search(run, assembly.make_trainer(run.config, assembly.make_space(run.config)))
    with pytest.raises(
        CheckpointError, match=r"numerics of nse 1, which are 2 by now.*another folder"
    ) as caught:
        search.resume()
    assert "\n" not in str(caught.value)


def test_the_weights_of_a_round_are_those_of_its_sub_space(tmp_path: Path, config: SearchConfig) -> None:
    search, trainer = search_in(tmp_path, config)
    for _ in search.run():
        slots = {node.slot for node in search.strategy.space.all_nodes()}
        branches = {slot for slot in slots if slot.startswith("layer") and not slot.endswith("mean")}
        held = {key.partition(":")[0].replace("_", "") for key in trainer.supernet.units}
        assert len(branches) < 3 * 19
        assert {slot.replace(".", "").replace("_", "") for slot in slots} == held


def test_a_latency_budget_goes_by_the_table(tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    changes: dict[str, Json] = {
        "search.objectives": ["error", "latency_ms"],
        "latency.table": str(table),
        "strategy.budget": "latency_ms",
        "strategy.operations_per_place": 19,
        "strategy.population_size": 30,
    }
    config = SearchConfig.load(None, {**_TINY, "strategy.target": 1.0, **changes})
    write_table(table, assembly.make_space(config))
    search, _ = search_in(tmp_path / "probe", config)
    latency_ms = search.strategy.facts.known_costs["latency_ms"]
    target = float(np.median([latency_ms(architecture) for architecture in search.strategy.ask()]))

    changes |= {"strategy.target": target, "strategy.drift": 0.02}
    search, _ = search_in(tmp_path / "run", SearchConfig.load(None, {**_TINY, **changes}))
    generation = next(search.run())
    for member in generation.population:
        assert member.costs[1] == pytest.approx(target, rel=0.02)


def test_soft_paths_run_every_branch_and_train_it(tmp_path: Path, config: SearchConfig) -> None:
    trainer = assembly.make_trainer(config, _SPACE)
    trainer.activate(_SPACE, soft_path=True)
    before = {name: value.clone() for name, value in trainer.supernet.named_parameters()}
    architecture = _SPACE.sample(np.random.default_rng(0))
    assert np.isfinite(float(trainer.step([architecture])))
    assert 0 <= trainer.accuracy(architecture) <= 1
    moved = {
        name.partition(":")[0]
        for name, value in trainer.supernet.named_parameters()
        if (value != before[name]).any()
    }
    assert len({name for name in moved if name.startswith("units.layer")}) == 3 * 19


_SPACE = Nse(
    variant="nsenet-gpu", deploy="search", channels=4, stages=2, depth=1, image_size=8, image_channels=1
)


def _having(*branches: tuple[int, ...]) -> Architecture:
    return tuple(int(i in indices) for indices in branches for i in range(19))


@pytest.mark.parametrize(
    ("layer", "chosen", "other"),
    [
        (0, (3,), (5,)),
        (0, (3, 9), (3,)),
        (0, (), (4,)),
        (0, (4, 6), ()),
        (0, (1, 2), (2, 8)),
        (1, (2,), (11,)),
        (1, (0, 2), (15,)),
        (1, (0,), (2, 7, 15)),
        (2, (13,), ()),
        (2, (0, 1), (2, 3)),
    ],
    ids=str,
)
def test_a_duel_of_branch_sets_is_the_derivative_of_mixing_what_both_compute(
    layer: int, chosen: tuple[int, ...], other: tuple[int, ...]
) -> None:
    supernet = SuperNet(_SPACE, seed=0).double()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.arange(6)
    sets = [(2, 5), (1, 8), (3,)]
    first = _having(*sets[:layer], chosen, *sets[layer + 1 :])
    second = _having(*sets[:layer], other, *sets[layer + 1 :])
    found = option_gradients(supernet, first, second, images, labels)
    epsilon, naive = 1e-6, _Naive(supernet.train(), images, labels)
    ends = [naive.mixed_loss(layer, first, other, share) for share in (-epsilon, epsilon)]
    derivative = (ends[1] - ends[0]) / (2 * epsilon)

    differing = [d for d in _SPACE.groups[layer] if first[d] != second[d]]
    for decision in differing:
        assert found.other[decision] - found.chosen[decision] == pytest.approx(derivative, rel=1e-4, abs=1e-9)
    assert abs(derivative) > 1e-6


class _Naive:
    """Computes a layer at a time with the weights of a SuperNet, on one batch."""

    def __init__(self, supernet: SuperNet, images: Tensor, labels: Tensor) -> None:
        self.supernet, self.images, self.labels = supernet, images, labels
        self.nodes = {node.slot: node for node in _SPACE.all_nodes() if not node.slot.endswith("mean")}

    @torch.no_grad()
    def mixed_loss(
        self, layer: int, architecture: Architecture, other: tuple[int, ...], share: float
    ) -> float:
        """Return the loss where ``layer`` computes its own branches, and in the given share ``other``."""
        branches = _SPACE.branches(architecture)
        tensor = self._unit("stem", self.images)
        for i, own in enumerate(branches):
            mine = self._layer(i, tensor, own)
            tensor = (
                mine
                if i != layer
                else (1 - share) * mine + share * self._layer(i, tensor, other or (() if i != 1 else (0,)))
            )
        logits = self._unit("classifier", self._unit("tail", tensor))
        return functional.cross_entropy(logits, self.labels).item()

    def _layer(self, i: int, tensor: Tensor, indices: tuple[int, ...]) -> Tensor:
        names = [_SPACE.plan.operations[index].name for index in indices]
        terms = [self._unit(f"layer{i}.{name}", tensor) for name in names]
        terms = [tensor, *terms] if i != 1 else terms
        return torch.stack(terms).mean(0)

    def _unit(self, slot: str, tensor: Tensor) -> Tensor:
        output = self.supernet.unit(self.nodes[slot])(tensor)
        assert isinstance(output, Tensor)
        return output
