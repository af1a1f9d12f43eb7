"""What every space's operations become in TFLite: torch's numbers, by the delegate alone."""

import numpy as np
import pytest
import torch
from torch import nn

from cars_hw import spaces
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables.spec import OpSpec
from profilers.lowering.tflite import lower
from profilers.runtimes._tflite.interpreter import TfLiteModel
from tests.fakes.tflite_files import run

_SAMPLES = 24
_PARITY = 1e-5


def _operations(name: str) -> list[OpSpec]:
    """Return an operation of each kind of a space, and random others."""
    operations = spaces.load(name).all_operations()
    kinds = {spec.kind: spec for spec in operations}
    others = np.random.default_rng(0).permutation(len(operations))[:_SAMPLES].tolist()
    return [*kinds.values(), *(operations[i] for i in others)]


def _nodes_outside(model: bytes) -> int | None:
    loaded = TfLiteModel(model)
    loaded.allocate()
    return loaded.nodes_outside()


def _with_statistics(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.normal_()
    return module.eval()


@pytest.mark.parametrize("name", spaces.names())
def test_operations_compute_what_torch_computes_and_stay_with_the_delegate(name: str) -> None:
    for spec in _operations(name):
        with modules.seeded(0):
            module = _with_statistics(modules.build(spec))
            inputs = [torch.randn(shape) for shape in spec.input_shapes]
        model = lower(module, spec.input_shapes)
        with torch.inference_mode():
            reference = module(*inputs)
        tolerance = _PARITY * max(float(reference.abs().max()), 1e-3)
        torch.testing.assert_close(run(model, *inputs), reference, rtol=0, atol=tolerance, msg=str(spec))
        assert _nodes_outside(model) == 0, spec


@pytest.mark.parametrize("name", spaces.names())
def test_a_whole_network_stays_with_the_delegate(name: str) -> None:
    space = spaces.load(name)
    graph = space.graph(space.sample(np.random.default_rng(0)), "deploy")
    network = Network.untrained(graph).eval()
    assert _nodes_outside(lower(network, [graph.nodes[0].spec.input_shape])) == 0
