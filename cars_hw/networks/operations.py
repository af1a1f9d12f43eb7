"""What follows from an operation's spec by arithmetic: layers, shapes, parameters, MACs. No torch."""

from collections.abc import Iterator
from functools import lru_cache

from cars_hw.networks import kinds, layers
from cars_hw.networks.layers import Conv, Elementwise, Layer, offsets, shape_after, weights
from latency_tables import OpSpec, SpecError


@lru_cache(maxsize=4096)
def layers_of(spec: OpSpec) -> tuple[Layer, ...]:
    """Return the layers of ``spec`` in the order of execution; the first one takes all inputs.

    Raises:
        SpecError: The kind is unknown, the input is not NCHW, or a parameter of the kind is missing.
    """
    if len(spec.input_shape) != 4:
        raise SpecError(f"the input of {spec} is not NCHW")
    return kinds.spelled(spec)


@lru_cache(maxsize=4096)
def output_shape(spec: OpSpec) -> tuple[int, ...]:
    """Return the shape of what ``spec`` computes: NCHW, or (n, out) of a classifier."""
    *_, (_, shape) = _outputs(spec)
    return shape


@lru_cache(maxsize=4096)
def parameters(spec: OpSpec) -> int:
    """Count the learnable parameters."""
    return sum(weights(layer) + offsets(layer) for layer in layers_of(spec))


@lru_cache(maxsize=4096)
def macs(spec: OpSpec) -> int:
    """Count multiply-accumulates of convolutions and linear layers, for one image."""
    return sum(layers.macs(layer, shape) for layer, shape in _outputs(spec))


def conv_inputs(spec: OpSpec) -> Iterator[tuple[Conv, tuple[int, ...]]]:
    """Yield each convolution of ``spec`` with the shape of its input."""
    shape = spec.input_shape
    for layer, output in _outputs(spec):
        if isinstance(layer, Conv):
            yield layer, shape
        shape = output


@lru_cache(maxsize=4096)
def tensor_shapes(spec: OpSpec) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the tensors that ``spec`` writes, one after the other; the last is its output.

    Layers that change a tensor in place write none.
    """
    shapes = [shape for layer, shape in _outputs(spec) if not isinstance(layer, Elementwise)]
    return tuple(shapes) or (output_shape(spec),)


def _outputs(spec: OpSpec) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Yield each layer with the shape of its output."""
    shape = spec.input_shape
    for layer in layers_of(spec):
        shape = shape_after(layer, shape, n_inputs=len(spec.input_shapes))
        yield layer, shape
