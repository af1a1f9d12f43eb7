"""What torch computes, and whether a runtime computes the same."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latency_tables import OpSpec, Unit, is_unit
from profilers.errors import UnsupportedOperationError, WrongOutputError

if TYPE_CHECKING:  # a process that runs what others have lowered loads no torch
    from torch import nn

#: Kernels add in another order, and Winograd's transforms lose digits: float32 networks stay below 1e-5 of
#: the largest output, while a wrong kernel differs by as much as the outputs themselves. The first bound is a
#: share of each output; the second, of the largest, serves outputs that cancel out to almost nothing.
RELATIVE_TOLERANCE = 1e-3
SCALE_TOLERANCE = 1e-4

#: Seed of the inputs, which are normal: a processor takes other paths for all-zero or denormal numbers.
_SEED = 0

Array = NDArray[np.float32]

#: Values of any type.
Values = NDArray[np.generic]

#: Parameter of the key of a file whose inputs are not float32: their type.
TAKES = "takes"

FLOAT32 = "float32"

#: Types of inputs that can be made up.
INPUT_TYPES = (
    *(FLOAT32, "float16", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)

#: Integers of one byte are images or quantised values, and may be anything; larger ones are numbers of
#: tokens or classes, of which 0 and 1 exist in every model.
_NUMBERS_FROM = 2

_TORCH = threading.RLock()


def input_shapes(spec: OpSpec) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of what ``spec`` takes; those of an executed unit may differ from one another."""
    return Unit.of(spec).input_shapes if is_unit(spec) else spec.input_shapes


def batched(spec: OpSpec, n: int) -> OpSpec:
    """Return ``spec`` with ``n`` images in each of its inputs; an executed unit has its own already."""
    if n == 1 or is_unit(spec):
        return spec
    return replace(spec, input_shape=(n, *spec.input_shape[1:]))


def random_inputs(spec: OpSpec) -> tuple[Array, ...]:
    """Return the N(0, 1) inputs of ``spec``, of its ``input_shapes``, the same ones each time."""
    rng = np.random.default_rng(_SEED)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in input_shapes(spec))


def input_type(spec: OpSpec) -> str:
    """Return the type of the numbers that ``spec`` takes, by numpy's name."""
    return str(dict(spec.params).get(TAKES, FLOAT32))


def made_up_inputs(spec: OpSpec) -> tuple[Values, ...]:
    """Return random inputs of ``spec``, of its ``input_shapes`` and type, the same ones each time."""
    kind = np.dtype(input_type(spec))
    if kind.kind == "f":
        return tuple(values.astype(kind) for values in random_inputs(spec))
    if kind.kind == "b" or kind.itemsize > 1:
        low, end = 0, _NUMBERS_FROM
    else:
        low, end = np.iinfo(kind).min, np.iinfo(kind).max + 1
    rng = np.random.default_rng(_SEED)
    return tuple(rng.integers(low, end, shape).astype(kind) for shape in input_shapes(spec))


def as_float32(output: Values) -> Array:
    """Return an output as float32; text, which is no number, as no numbers at all."""
    return output.astype(np.float32) if output.dtype.kind in "biuf" else np.zeros(0, np.float32)


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Let torch compute with ``n`` threads; leaving gives it back those it had.

    More of them than the processors that this process is pinned to wait for one another: 40 ms a convolution.

    One at a time: while torch traces a module it is in a state that its other callers in this process share,
    and those would be traced too. A thread that measures on another device waits.
    """
    import torch

    with _TORCH:
        before = torch.get_num_threads()
        torch.set_num_threads(n)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def torch_output(module: "nn.Module", inputs: Sequence[Array]) -> Array:
    """Return what ``module`` computes in evaluation mode, in the shape that it gives.

    Args:
        module: Takes tensors in the shapes of ``inputs`` and returns one tensor.
        inputs: In torch's order, with the batch first.

    Raises:
        UnsupportedOperationError: It is not one tensor.
    """
    import torch

    from profilers.lowering._evaluation import evaluating

    with evaluating(module), torch.inference_mode():
        output = module(*map(torch.from_numpy, inputs))
    if not isinstance(output, torch.Tensor):
        raise UnsupportedOperationError(
            f"{type(module).__name__} returns a {type(output).__name__}, not a tensor"
        )
    return output.numpy().astype(np.float32)


def check_outputs(
    spec: OpSpec, outputs: Sequence[Array], reference: Array | None, *, slack: float = 1.0
) -> None:
    """Check that ``outputs`` of a runtime are finite, and the first equal to ``reference`` if there is one.

    Args:
        spec: What was computed.
        outputs: What the runtime computed, in torch's order.
        reference: What torch computes, in the shape of ``outputs[0]``.
        slack: Times the tolerances, for kernels of less than single precision.

    Raises:
        WrongOutputError: They are not.
    """
    for output in outputs:
        wrong = int(output.size - np.count_nonzero(np.isfinite(output)))
        if wrong:
            raise WrongOutputError(f"{wrong} of {output.size} outputs of {spec} are not finite")
    if reference is not None:
        _check_equal(spec, outputs[0], reference, slack)


def _check_equal(spec: OpSpec, output: Array, reference: Array, slack: float) -> None:
    """Check that two arrays have one shape and, up to the tolerances, the same numbers."""
    if output.shape != reference.shape:
        raise WrongOutputError(
            f"the output of {spec} has shape {output.shape}; torch's has {reference.shape}"
        )
    scale = float(np.max(np.abs(reference), initial=0.0))
    error = np.abs(output - reference)
    allowed = slack * (RELATIVE_TOLERANCE * np.abs(reference) + SCALE_TOLERANCE * scale)
    if not np.all(error <= allowed):
        share = float(np.max(error)) / scale if scale else math.inf
        raise WrongOutputError(
            f"the output of {spec} differs from torch's by {share:.2g} of its largest value"
        )
