"""What runtimes of this machine take, and how they time a block."""

from collections.abc import Sequence

import pytest

from devices.fake import Fake
from latency_tables.spec import OpSpec
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._host import mean_of_block, require_float32, require_inputs

SPEC = OpSpec.of("join", (1, 8, 4, 4), inputs=2)


def test_a_block_is_timed_without_the_call_that_fills_the_caches() -> None:
    device, ran = Fake.connect(""), list[int]()

    def run(n: int) -> None:
        ran.append(n)
        device.advance(n * 0.5)

    assert mean_of_block(run, 4, device) == (0.5,)
    assert ran == [1, 4]


def test_float32_passes_and_other_types_do_not() -> None:
    require_float32(SPEC)
    with pytest.raises(UnsupportedOperationError, match="this runtime measures float32"):
        require_float32(OpSpec("conv", (1, 8, 4, 4), dtype="int8"))


@pytest.mark.parametrize("shape", [(1, 8, 4, 4), ("batch", 8, 4, 4), (None, 8, None, 4)])
def test_sizes_that_a_model_leaves_open_fit(shape: Sequence[int | str | None]) -> None:
    require_inputs(SPEC, [("float32", shape)] * 2)


@pytest.mark.parametrize(
    "found",
    [
        [],
        [("float32", (1, 8, 4, 4))],
        [("float32", (1, 8, 4, 4)), ("float16", (1, 8, 4, 4))],
        [("float32", (1, 8, 4, 4)), ("float32", (1, 8, 4, 5))],
        [("float32", (1, 8, 4, 4)), ("float32", (1, 8, 4))],
    ],
)
def test_other_inputs_are_refused_with_both_sides(found: list[tuple[str, tuple[int, ...]]]) -> None:
    with pytest.raises(ProfilingError, match=r"the model takes \[.*says \[\('float32', \(1, 8, 4, 4\)\)"):
        require_inputs(SPEC, found)
