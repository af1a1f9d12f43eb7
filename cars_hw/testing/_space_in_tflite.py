"""What a space's operations become in TFLite: torch's numbers, by the delegate alone."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cars_hw import spaces
from cars_hw.spaces._space import SearchSpace
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables import OpSpec
from profilers import TfLiteModel, formats

_IMAGE_RANK = 4
_SAMPLES = 24
_PARITY = 1e-5


class SpaceInTfLiteContract:
    """Tests that a phone runs what a space's networks consist of; needs ai-edge-litert.

        class TestMySpaceOnAPhone(SpaceInTfLiteContract):
            name = "my_lab.my_space"

    Attributes:
        name: The plug-in's.
    """

    name: str

    def space(self) -> SearchSpace:
        """Return the space; here, with its default settings."""
        return spaces.load(self.name)

    def test_operations_compute_what_torch_computes_and_stay_with_the_delegate(self) -> None:
        space = self.space()
        for spec in _operations(space):
            with modules.seeded(0):
                module = _with_statistics(modules.build(spec))
                inputs = [torch.randn(shape) for shape in spec.input_shapes]
            model = _loaded(module, spec.input_shapes)
            model.set_inputs([_nhwc(x.numpy()) for x in inputs])
            model.run()
            with torch.inference_mode():
                reference = _nhwc(module(*inputs).numpy())
            tolerance = _PARITY * max(float(np.abs(reference).max()), 1e-3)
            [output] = model.outputs()
            assert output.shape == reference.shape, spec
            assert np.abs(output.astype(np.float64) - reference).max() <= tolerance, spec
            assert model.nodes_outside() == 0, spec

    def test_a_whole_network_stays_with_the_delegate(self) -> None:
        space = self.space()
        graph = space.graph(space.sample(np.random.default_rng(0)), "deploy")
        model = _loaded(Network.untrained(graph).eval(), [graph.nodes[0].spec.input_shape])
        assert model.nodes_outside() == 0


def _operations(space: SearchSpace) -> list[OpSpec]:
    """Return an operation of each kind of a space, and random others."""
    operations = space.all_operations()
    kinds = {spec.kind: spec for spec in operations}
    others = np.random.default_rng(0).permutation(len(operations))[:_SAMPLES].tolist()
    return [*kinds.values(), *(operations[i] for i in others)]


def _loaded(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> TfLiteModel:
    model = TfLiteModel(formats.load("tflite").lower(module, shapes))
    model.allocate()
    return model


def _with_statistics(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.normal_()
    return module.eval()


def _nhwc(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images (n, c, h, w) as (n, h, w, c), and all else as it is."""
    return np.moveaxis(values, 1, -1).copy(order="C") if values.ndim == _IMAGE_RANK else values
