"""torch's global switches while it computes for a table."""

import pytest
from torch import backends

from profilers.runtimes._torch.backends import computing
from profilers.runtimes._torch.settings import TorchSettings


def switches() -> tuple[object, ...]:
    cudnn = backends.cudnn
    return (
        backends.cuda.matmul.fp32_precision,
        cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        cudnn.benchmark,
        cudnn.deterministic,
    )


def test_float32_is_exact_unless_tf32_is_asked_for() -> None:
    with computing(TorchSettings(dtype="float32")):
        assert switches() == ("ieee", "ieee", True, False)
    with computing(TorchSettings(dtype="tf32", cudnn_benchmark="off")):
        assert switches() == ("tf32", "tf32", False, False)


def fail(seen: list[tuple[object, ...]]) -> None:
    with computing(TorchSettings(dtype="tf32")):
        seen.append(switches())
        raise KeyError


def test_every_switch_gets_its_value_back_after_a_failure_too() -> None:
    before, seen = switches(), list[tuple[object, ...]]()
    with pytest.raises(KeyError):
        fail(seen)
    assert switches() == before
    assert seen != [before]
