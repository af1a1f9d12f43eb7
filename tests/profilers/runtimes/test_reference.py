"""What torch computes, and what counts as the same."""

import numpy as np
import pytest
import torch
from torch import nn

from latency_tables.spec import OpSpec
from profilers.errors import UnsupportedOperationError, WrongOutputError
from profilers.runtimes._reference import check_outputs, random_inputs, torch_output, torch_threads
from tests.fakes.modules import Pair

SPEC = OpSpec.of("add", (1, 4, 8, 8), inputs=2)


def test_inputs_have_the_shapes_of_the_spec_and_are_the_same_each_time() -> None:
    first, second = random_inputs(SPEC), random_inputs(SPEC)
    assert [x.shape for x in first] == [(1, 4, 8, 8)] * 2
    assert all(np.array_equal(x, y) for x, y in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_rounding_is_no_difference() -> None:
    reference = np.linspace(-1.0, 1.0, 100, dtype=np.float32)
    check_outputs(SPEC, [reference * np.float32(1 + 1e-5) + np.float32(1e-6)], reference)
    check_outputs(SPEC, [np.zeros(4, dtype=np.float32)], np.zeros(4, dtype=np.float32))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_one_wrong_number_is_found_at_any_scale(scale: float) -> None:
    reference = scale * np.ones(1000, dtype=np.float32)
    wrong = reference.copy()
    wrong[500] *= 1.01
    with pytest.raises(WrongOutputError, match=r"differs from torch's by 0\.01 of"):
        check_outputs(SPEC, [wrong], reference)


def test_anything_but_zero_differs_from_zero() -> None:
    with pytest.raises(WrongOutputError, match="by inf"):
        check_outputs(SPEC, [np.full(4, 1e-9, dtype=np.float32)], np.zeros(4, dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_wrong_even_if_torch_agrees(value: float) -> None:
    output = np.array([1.0, value], dtype=np.float32)
    with pytest.raises(WrongOutputError, match="1 of 2 outputs"):
        check_outputs(SPEC, [output], output)
    with pytest.raises(WrongOutputError, match="not finite"):
        check_outputs(SPEC, [np.ones(2, dtype=np.float32), output], None)


def test_another_shape_is_wrong() -> None:
    with pytest.raises(WrongOutputError, match=r"has shape \(4,\); torch's has \(1, 4\)"):
        check_outputs(SPEC, [np.ones(4, dtype=np.float32)], np.ones((1, 4), dtype=np.float32))


def test_torch_computes_in_evaluation_mode_and_forgets_it() -> None:
    module = nn.Dropout(0.5).train()
    (x,) = random_inputs(OpSpec.of("dropout", (1, 100)))
    assert np.array_equal(torch_output(module, [x]), x)
    assert module.training


def test_a_module_returns_one_tensor() -> None:
    with pytest.raises(UnsupportedOperationError, match="Pair returns a tuple"):
        torch_output(Pair(), [np.ones(2, dtype=np.float32)])


def test_torch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt), torch_threads(1):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before


def test_kernels_of_half_precision_have_slack_and_wrong_ones_do_not() -> None:
    reference = np.linspace(-1, 1, 50, dtype=np.float32)
    check_outputs(SPEC, [reference.astype(np.float16).astype(np.float32)], reference, slack=100.0)
    with pytest.raises(WrongOutputError):
        check_outputs(SPEC, [reference[::-1].copy()], reference, slack=100.0)
