"""One lowering: the same numbers, the same bytes, and nothing changed in the module."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from profilers.errors import UnsupportedOperationError
from profilers.lowering.onnx import OPSET, lower
from tests.fakes.modules import InverseError, Sum
from tests.fakes.onnx_files import run


def conv_bn_relu(*, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU())


def optimized_operations(model: bytes, path: Path) -> list[str]:
    """Return the operations that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return sorted(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("groups", [1, 8])
def test_the_numbers_are_those_of_torch(groups: int) -> None:
    module, x = conv_bn_relu(groups=groups).eval(), torch.randn(1, 8, 12, 12)
    torch.testing.assert_close(run(lower(module, [(1, 8, 12, 12)]), x), module(x).detach())


def test_a_batch_normalisation_is_folded_into_its_convolution() -> None:
    model = onnx.load_model_from_string(lower(conv_bn_relu(), [(1, 8, 12, 12)]))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu"]
    assert model.opset_import[0].version == OPSET


def test_equal_modules_give_equal_bytes() -> None:
    assert lower(conv_bn_relu(), [(1, 8, 12, 12)]) == lower(conv_bn_relu(), [(1, 8, 12, 12)])


def test_each_part_gets_its_own_mode_back() -> None:
    module = conv_bn_relu().train()
    module[1].eval()
    lower(module, [(1, 8, 12, 12)])
    assert [part.training for part in (module, *module)] == [True, True, False, True]


def test_inputs_and_output_have_fixed_names() -> None:
    model = onnx.load_model_from_string(lower(Sum(), [(1, 4), (1, 4)]))
    assert [node.name for node in model.graph.input] == ["input", "input_1"]
    assert [node.name for node in model.graph.output] == ["output"]


def test_the_batch_is_fixed() -> None:
    module, x = conv_bn_relu().eval(), torch.randn(3, 8, 12, 12)
    with pytest.raises(Exception, match="Got: 3 Expected: 1"):
        run(lower(module, [(1, 8, 12, 12)]), x)


def test_what_onnx_cannot_say_is_named() -> None:
    with pytest.raises(UnsupportedOperationError, match=r"InverseError has no form in ONNX: .*erfinv"):
        lower(InverseError(), [(1, 4)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (5, 8)])
def test_the_other_exporter_leads_to_the_same_optimised_graph(
    kernel: int, groups: int, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="torch's dynamo exporter needs onnxscript")
    module = conv_bn_relu(kernel=kernel, groups=groups).eval()
    program = torch.onnx.export(module, (torch.zeros(1, 8, 12, 12),), dynamo=True, verbose=False)
    assert program is not None
    program.save(tmp_path / "dynamo.onnx")
    theirs = optimized_operations((tmp_path / "dynamo.onnx").read_bytes(), tmp_path / "dynamo_optimized.onnx")
    assert optimized_operations(lower(module, [(1, 8, 12, 12)]), tmp_path / "optimized.onnx") == theirs
