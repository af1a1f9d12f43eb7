"""The length of blocks is found by the same blocks, in few messages."""

from collections.abc import Sequence

import pytest

from profilers._sampling.probes import Probes
from profilers.statistics import inner_calls


def latency_s(n: int, call_s: float) -> float:
    """Return the mean of a block: the first call of all is slow, and a clock takes its time too."""
    return call_s + 3e-6 / n


@pytest.mark.parametrize("call_s", [2e-7, 5e-6, 1e-3 / 64, 4e-4, 0.1])
@pytest.mark.parametrize("least", [1, 8])
def test_probes_are_the_blocks_that_would_be_asked_for_one_by_one(call_s: float, least: int) -> None:
    alone: list[int] = []
    together: list[int] = []
    messages = 0

    def one(n: int) -> float:
        alone.append(n)
        return latency_s(n, call_s)

    def many(sizes: Sequence[int]) -> list[float]:
        nonlocal messages
        messages += 1
        together.extend(sizes)
        return [latency_s(n, call_s) for n in sizes]

    assert inner_calls(Probes(many, 1e-3), 1e-3, least=least) == inner_calls(one, 1e-3, least=least)
    assert together == alone
    assert messages <= 4
