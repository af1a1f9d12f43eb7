"""What runtimes of this machine have in common: which operations they take, how they time, and energy."""

import math
from collections.abc import Callable, Sequence

from devices import HostDevice, ThreadUse
from latency_tables import OpSpec
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._reference import input_shapes, input_type
from profilers.runtimes._runtime import Timed

#: An input of a model: the type of its numbers, and its shape; a size that is left open is no number.
Input = tuple[str, Sequence[int | str | None]]

#: Cards count joules in steps of some 0.02 to 0.1 s.
_ENERGY_S = 0.5

_MOST_CALLS = 1 << 16


def require_float32(spec: OpSpec) -> None:
    """Check that ``spec`` is what is measured here.

    Raises:
        UnsupportedOperationError: It is of another type.
    """
    if spec.dtype != "float32":
        raise UnsupportedOperationError(f"{spec}: this runtime measures float32; give it float32 operations")


def require_inputs(spec: OpSpec, found: Sequence[Input]) -> None:
    """Check that a model takes the inputs of ``spec``.

    Args:
        spec: What is to be measured.
        found: What the model takes, in torch's order, types by numpy's names.

    Raises:
        ProfilingError: It takes something else.
    """
    wanted = [(input_type(spec), shape) for shape in input_shapes(spec)]
    if len(found) != len(wanted) or not all(
        kind == wanted_kind and _fits(shape, wanted_shape)
        for (kind, shape), (wanted_kind, wanted_shape) in zip(found, wanted, strict=True)
    ):
        raise ProfilingError(
            f"the model takes {found}, but {spec} says {wanted}; give the shapes of its inputs"
        )


def mean_of_block(run: Callable[[int], None], n: int, device: HostDevice) -> Timed:
    """Time ``n`` calls as one block; return their mean in seconds, as a ``Sampler`` does.

    One call runs untimed before, because other workloads have emptied the caches.

    Args:
        run: Runs so many calls.
        n: At least one.
        device: Whose clock counts.
    """
    run(1)
    before = device.thread_use()
    start_s = device.clock_s()
    run(n)
    device.synchronize()
    latency_s = (device.clock_s() - start_s) / n
    after, disturbance = device.thread_use(), device.disturbance()
    if before is None or after is None:
        return Timed.of(latency_s, None, disturbance)
    used = ThreadUse(after.switches - before.switches, cpu_s=after.cpu_s - before.cpu_s)
    return Timed.of(latency_s, used, disturbance)


def energy_j_per_call(
    run: Callable[[int], None],
    wait: Callable[[], None],
    latency_s: float,
    energy_j: Callable[[], float | None],
) -> float | None:
    """Return the joules of a call of a card among many that follow one another; ``None``: it does not tell.

    Args:
        run: Gives the card so many calls.
        wait: Returns when it has done them.
        latency_s: Of a call among several, so that half a second of them is not a minute.
        energy_j: What the card has used since some moment.
    """
    before_j = energy_j()
    if before_j is None:
        return None
    n = max(1, min(_MOST_CALLS, math.ceil(_ENERGY_S / latency_s)))
    run(n)
    wait()
    after_j = energy_j()
    return None if after_j is None else (after_j - before_j) / n


def _fits(shape: Sequence[int | str | None], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(found, int) or found == size for found, size in zip(shape, wanted, strict=True)
    )
