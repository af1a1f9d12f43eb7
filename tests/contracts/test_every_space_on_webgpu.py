"""What every space's operations compute under WebGPU, on a card that a processor plays."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from cars_hw import spaces
from cars_hw.networks.graph import network_spec
from cars_hw.weights import modules
from devices import Accelerator
from latency_tables import OpSpec
from profilers import Workload
from profilers.runtimes._onnxruntime.providers.sampler import CardSampler
from profilers.runtimes._reference import Array, random_inputs
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.networks import learnt, normalised_network
from tests.fakes.small_spaces import small
from tests.fakes.software_card import software_card

#: Of the largest output.
PARITY = 1e-5


@pytest.fixture(name="card")
def _card(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    return software_card(monkeypatch)


def built(spec: OpSpec) -> nn.Module:
    """Return the module of an operation, with numbers of its own in all that it learns."""
    return learnt(modules.build(spec), seed=3)


def on_card(workload: Workload, card: Accelerator) -> tuple[Array, Array]:
    """Return what the card and torch compute of a workload."""
    runtime = OnnxRuntime(provider="webgpu")
    lowered = runtime.lowered(workload)
    with runtime.prepare(Workload(workload.spec, lowered), card) as sampler:
        assert isinstance(sampler, CardSampler)
        [output] = sampler.outputs()
    assert lowered.reference is not None
    return output, lowered.reference


def share(output: Array, reference: NDArray[np.floating]) -> float:
    """Return by how much an output differs, of the largest output."""
    difference = float(np.max(np.abs(output - reference)))
    return difference / float(np.max(np.abs(reference))) if difference else 0.0


#: The one with the fewest operations, which stand for those of the others where time is short.
_DEFAULT = "nasbench201"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == _DEFAULT else pytest.mark.slow) for name in spaces.names()],
)
def test_operations_run_on_the_card_alone_and_compute_what_torch_computes(
    name: str, card: Accelerator
) -> None:
    for spec in small(name).all_operations("search"):
        assert share(*on_card(Workload(spec, partial(built, spec)), card)) <= PARITY, spec


@pytest.mark.slow
def test_a_network_of_twenty_cells_is_as_exact_as_in_torch(card: Accelerator) -> None:
    """So many layers enlarge what single precision rounds: both are held against double precision."""
    space = spaces.load("darts", deploy="search", channels=16, cells=20)
    network = normalised_network(space, seed=6)
    spec = network_spec(space.graph(space.sample(np.random.default_rng(6))))
    output, single = on_card(Workload(spec, lambda: network), card)
    [image] = random_inputs(spec)
    with torch.inference_mode():
        exact = network.double()(torch.from_numpy(image).double()).numpy()
    assert share(output, exact) <= 3 * share(single, exact) <= 1e-4
