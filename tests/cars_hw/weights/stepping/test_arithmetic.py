"""What torch's back ends are told for CUDA, which can be seen without a GPU, and for how long."""

import os

import pytest
import torch

from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.training_plan import Precision
from devices.foundation import ConfigError

_CUDA, _CPU = torch.device("cuda"), torch.device("cpu")


def _told() -> tuple[object, ...]:
    return (
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.fp32_precision,
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin and end without what cuBLAS reads."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


@pytest.mark.parametrize(
    ("precision", "deterministic", "told"),
    [
        ("float32", False, (False, True, "ieee", "ieee", False)),
        ("float32", True, (True, False, "ieee", "ieee", True)),
        ("tf32", False, (False, True, "tf32", "tf32", False)),
        ("bfloat16", True, (True, False, "tf32", "tf32", True)),
    ],
)
def test_all_that_decides_a_result_is_said_and_put_back(
    precision: Precision, deterministic: bool, told: tuple[object, ...]
) -> None:
    before = _told()
    with Arithmetic(_CUDA, precision, deterministic).chosen():
        assert _told() == told
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) is deterministic
    assert _told() == before


def test_a_cpu_is_told_nothing() -> None:
    before = _told()
    with Arithmetic(_CPU, "float32", deterministic=True).chosen():
        assert _told() == before


def test_an_operation_without_a_deterministic_form_is_one_clear_error() -> None:
    before = _told()
    text = (
        "max_pool_backward does not have a deterministic implementation, but you set it. You can turn it off"
    )
    with (
        pytest.raises(
            ConfigError, match=r"training\.deterministic is true, and torch says: max_pool_backward"
        ),
        Arithmetic(_CUDA, "float32", deterministic=True).chosen(),
    ):
        raise RuntimeError(text)
    assert _told() == before
    with (
        pytest.raises(RuntimeError, match="out of memory"),
        Arithmetic(_CUDA, "float32", deterministic=True).chosen(),
    ):
        raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float32", torch.float32),
        ("tf32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_operations_compute_in_the_numbers_that_were_asked_for(
    precision: Precision, dtype: torch.dtype
) -> None:
    image, weight = torch.ones(1, 2, 4, 4), torch.ones(3, 2, 1, 1)
    with Arithmetic(_CPU, precision).numbers():
        assert torch.nn.functional.conv2d(image, weight).dtype == dtype
    assert torch.nn.functional.conv2d(image, weight).dtype == torch.float32
