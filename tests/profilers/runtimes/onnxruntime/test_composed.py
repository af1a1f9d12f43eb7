"""Networks written of their operations: what ONNX Runtime computes of them, and which cannot be."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from cars_hw import spaces
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables.spec import OpSpec
from profilers.lowering.onnx import lower
from profilers.runtimes._onnxruntime.networks.composed import ComposedNetworks
from profilers.runtimes._reference import RELATIVE_TOLERANCE, SCALE_TOLERANCE
from profilers.runtimes._runtime import Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes.networks import normalised_network, random_images
from tests.fakes.small_spaces import small

SHAPE = (1, 4, 6, 6)
CONV = OpSpec.of("relu_conv_bn", SHAPE, out=4, kernel=3, stride=1, affine=1)


def outputs(content: bytes, images: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["output"], {"input": images.numpy()})[0])


def weights(content: bytes) -> int:
    return len(onnx.load_model_from_string(content).graph.initializer)


def shape_of_output(content: bytes) -> list[int]:
    sizes = onnx.load_model_from_string(content).graph.output[0].type.tensor_type.shape.dim
    return [size.dim_value for size in sizes]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", spaces.names())
def test_a_network_of_operations_computes_what_its_module_does(name: str, batch: int) -> None:
    space = small(name)
    composed = ComposedNetworks()
    for seed in (0, 1):  # the second time, operations are known
        network, images = normalised_network(space, seed), random_images(space, n=batch, seed=9)
        content = composed.model(network, batch)
        assert content is not None
        with torch.inference_mode():
            expected = network(images).numpy()
        assert shape_of_output(content) == list(expected.shape)
        most = SCALE_TOLERANCE * float(np.abs(expected).max())
        np.testing.assert_allclose(outputs(content, images), expected, rtol=RELATIVE_TOLERANCE, atol=most)


def chain(*units: nn.Module) -> Network:
    """Return a network of convolutions, one after the other, with modules of one's own."""
    nodes = [Node(f"{i}", CONV, (f"{i - 1}" if i else IMAGE,)) for i in range(len(units))]
    return Network(Graph(tuple(nodes)), units).eval()


def test_equal_tensors_are_one_as_in_what_is_exported() -> None:
    network = chain(modules.build(CONV), modules.build(CONV))
    content = ComposedNetworks().model(network)
    assert content is not None
    # Two convolutions; scales and variances are all one, shifts and means all zero.
    assert [weights(content), weights(lower(network, [SHAPE], is_folded=False))] == [4, 4]


def test_what_is_measured_is_composed() -> None:
    network = chain(modules.build(CONV), modules.build(CONV))
    measured = OnnxRuntime().lowered(Workload(OpSpec.of("network", SHAPE), lambda: network))
    assert measured.content == ComposedNetworks().model(network)


def test_a_tensor_may_be_learnt_in_one_place_and_fixed_in_another() -> None:
    zero = OpSpec.of("zero", SHAPE, out=4, stride=1)
    pointwise = OpSpec.of("relu_conv_bn", SHAPE, out=4, kernel=1, stride=1, affine=1)
    nodes = [Node("0", zero, (IMAGE,)), Node("1", pointwise, (IMAGE,))]
    nodes.append(Node("2", OpSpec.of("sum", SHAPE, inputs=2), ("0", "1")))
    network = Network.untrained(Graph(tuple(nodes))).eval()
    convolution = next(part for part in network.units["1"].modules() if isinstance(part, nn.Conv2d))
    nn.init.zeros_(convolution.weight)
    content = ComposedNetworks().model(network)
    assert content is not None
    assert not outputs(content, torch.ones(SHAPE)).any()


def test_the_modules_keep_what_they_have_learnt() -> None:
    network = chain(modules.build(CONV), modules.build(CONV))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ComposedNetworks().model(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Hidden(nn.Module):
    """Computes with a tensor that its state does not name, though it changes with what it learns."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.hidden = self.learnt.weight.detach()

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.conv2d(image, self.hidden, padding=1)


def test_what_cannot_be_made_of_operations_is_none() -> None:
    composed = ComposedNetworks()
    assert composed.model(nn.Conv2d(4, 4, 3)) is None
    assert composed.model(chain(Hidden())) is None
    blind = Network(Graph((Node("0", CONV, ()),)), [modules.build(CONV)])
    assert composed.model(blind) is None
