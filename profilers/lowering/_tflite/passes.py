"""What makes a TFLite graph smaller without changing what it computes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.graph import ACTIVATION, SCALE_SHIFT, Activation, Graph, Operation

Floats = NDArray[np.float64]

#: Lets operations with weights compute the scale and shift, the second argument, that follows them.
_Scaling = Callable[[Graph, Operation, Sequence[Operation]], None]

#: The axis of the output channels: CONV_2D has weights (c_out, h, w, c_in / groups), DEPTHWISE_CONV_2D
#: (1, h, w, c_out), FULLY_CONNECTED (c_out, c_in).
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": -1, "FULLY_CONNECTED": 0}

#: In a mask, the bit of the first axis.
_FIRST_AXIS = 1

_ACTIVATIONS = {"RELU": Activation.RELU, "RELU6": Activation.RELU6}


def simplify(graph: Graph) -> None:
    """Drop what does not reach the result, merge equal operations, fold normalisations, fuse activations.

    The order matters: folding needs to know who reads a tensor, so dead and double readers go first; and an
    activation can be fused only into what stands before it once the normalisation between them is gone.
    """
    _simplify(graph, _scale_weights)


def simplify_operations(graph: Graph) -> None:
    """Leave the operations that ``simplify`` leaves, in a fraction of its time: no weights are computed.

    The graph says which operations are executed, and no longer what they compute.
    """
    _simplify(graph, lambda *_: None)


def require_floats(graph: Graph) -> None:
    """Check that pixels are converted before anything is computed of them.

    Raises:
        UnsupportedOperationError: They are not.
    """
    for operation in graph.operations:
        if operation.code != "CAST" and graph.pixels.intersection(operation.inputs):
            raise UnsupportedOperationError(
                f"{operation.code} of 8-bit pixels has no form in TFLite; convert them to float32 first"
            )


def free_batch(graph: Graph) -> None:
    """Let a simplified graph, written for one image, take any number of them.

    Raises:
        UnsupportedOperationError: Images are joined with what is known before.
    """
    for operation in graph.operations:
        if operation.code == "CONCATENATION" and any(each in graph.constants for each in operation.inputs):
            raise UnsupportedOperationError(
                "a constant that is joined to a tensor has no form in TFLite for any number of images; "
                "fix the batch"
            )
        if operation.code == "RESHAPE":
            source, sizes = operation.inputs
            shape = graph.constants[sizes].copy()
            shape[0] = -1  # what follows from the number of values
            operation.inputs = (source, graph.constant(shape))
        if operation.code == "SLICE":
            # A size of -1, for all that is there, would keep it out of XNNPACK; an open end does not.
            source, begin, size = operation.inputs
            end = graph.constant(graph.constants[begin] + graph.constants[size])
            step = graph.constant(np.ones(len(graph.constants[begin]), dtype=np.int32))
            operation.code, operation.inputs = "STRIDED_SLICE", (source, begin, end, step)
        if operation.code == "STRIDED_SLICE":
            operation.options["endMask"] = _FIRST_AXIS
    graph.is_batch_free = True


def _simplify(graph: Graph, scale_weights: _Scaling) -> None:
    _compute_result(graph)
    _drop_dead(graph)
    _merge_equal(graph)
    _fold(graph, scale_weights)
    _expand(graph)
    _fuse(graph)


def _compute_result(graph: Graph) -> None:
    """Copy a result that is an input or a constant: a result is something that was computed."""
    if graph.output in graph.inputs or graph.output in graph.constants:
        shape = graph.shapes[graph.output]
        wanted = graph.constant(np.array(shape, dtype=np.int32))
        graph.output = graph.add("RESHAPE", (graph.output, wanted), shape)


def _drop_dead(graph: Graph) -> None:
    """Drop what the result does not depend on, from the end on: readers come before what they read."""
    needed = {graph.output}
    kept = []
    for operation in reversed(graph.operations):
        if operation.output in needed:
            needed.update(operation.inputs)
            kept.append(operation)
    graph.operations = kept[::-1]


def _merge_equal(graph: Graph) -> None:
    """Run once what reads the same tensors with the same options; nothing here has state."""
    merged: dict[int, int] = {}
    first: dict[tuple[object, ...], int] = {}
    kept = []
    for operation in graph.operations:
        operation.inputs = tuple(merged.get(tensor, tensor) for tensor in operation.inputs)
        key = (operation.code, operation.inputs, *sorted(operation.options.items()))
        if key in first:
            merged[operation.output] = first[key]
        else:
            first[key] = operation.output
            kept.append(operation)
    graph.operations = kept
    graph.output = merged.get(graph.output, graph.output)


def _fold(graph: Graph, scale_weights: _Scaling) -> None:
    """Multiply the weights of what a scale and shift alone reads, instead of its result."""
    readers, producers = graph.readers(), graph.producers()
    kept = []
    for operation in graph.operations:
        source = operation.inputs[0]
        parts = _foldable(graph, source, readers, producers) if operation.code == SCALE_SHIFT else []
        if parts:
            scale_weights(graph, operation, parts)
            _bypass(operation, producers)
        else:
            kept.append(operation)
    graph.operations = kept


def _foldable(
    graph: Graph, tensor: int, readers: Mapping[int, int], producers: Mapping[int, Operation]
) -> list[Operation]:
    """Return the operations whose weights make the channels of ``tensor`` alone, in the channels' order."""
    operation = producers.get(tensor)
    # Another reader would find its input scaled.
    if operation is None or readers[tensor] != 1:
        return []
    if operation.code in _CHANNEL_AXIS:
        # An activation comes between weights and scale: relu(w x) * s is not relu(s w x) where s < 0.
        return [operation] if operation.options[ACTIVATION] == Activation.NONE else []
    if operation.code != "CONCATENATION" or operation.options["axis"] != len(graph.shapes[tensor]) - 1:
        return []
    parts = [_foldable(graph, source, readers, producers) for source in operation.inputs]
    # All or none: a part that cannot be folded would need a scale of its own.
    return [operation for part in parts for operation in part] if all(parts) else []


def _scale_weights(graph: Graph, scale_shift: Operation, parts: Sequence[Operation]) -> None:
    """Let ``parts``, which make the channels that ``scale_shift`` reads, make its result."""
    source, *factors = scale_shift.inputs
    # A normalisation may follow a concatenation of convolutions: each takes its part of the channels.
    channels = graph.shapes[source][-1]
    scale, shift = (
        np.broadcast_to(graph.constants[each].astype(np.float64), (channels,)) for each in factors
    )
    ends = np.cumsum([graph.shapes[part.output][-1] for part in parts])[:-1]
    for part, *own in zip(parts, np.split(scale, ends), np.split(shift, ends), strict=True):
        _scale_part(graph, part, *own)


def _scale_part(graph: Graph, operation: Operation, scale: Floats, shift: Floats) -> None:
    """Let ``operation`` make ``scale * y + shift`` of its result ``y``; both are (c_out,), in float64.

    ``scale * (W x + b) + shift = (scale W) x + (scale b + shift)``, rounded to float32 once.
    """
    source, weights, bias = operation.inputs
    shape = [1] * len(graph.shapes[weights])
    shape[_CHANNEL_AXIS[operation.code]] = -1
    scaled = graph.constants[weights] * scale.reshape(shape)
    shifted = graph.constants[bias] * scale + shift
    changed = (graph.constant(values.astype(np.float32)) for values in (scaled, shifted))
    operation.inputs = (source, *changed)


def _expand(graph: Graph) -> None:
    """Write what could not be folded as a multiplication and an addition."""
    expanded = []
    for operation in graph.operations:
        if operation.code != SCALE_SHIFT:
            expanded.append(operation)
            continue
        source, scale, shift = operation.inputs
        if np.any(graph.constants[scale] != 1):
            # Without an addition behind it the product is the result; else it is a tensor of its own.
            product = source if np.any(graph.constants[shift] != 0) else operation.output
            if product == source:
                product = graph.add_tensor(graph.shapes[source])
            expanded.append(Operation("MUL", (source, scale), product, {ACTIVATION: Activation.NONE}))
            source = product
        if source != operation.output:
            expanded.append(
                Operation("ADD", (source, shift), operation.output, {ACTIVATION: Activation.NONE})
            )
    graph.operations = expanded


def _fuse(graph: Graph) -> None:
    """Let the operation before an activation apply it, where nothing else reads the result without it."""
    readers, producers = graph.readers(), graph.producers()
    kept = []
    for operation in graph.operations:
        source = operation.inputs[0]
        before = producers.get(source)
        if (
            operation.code in _ACTIVATIONS
            and before is not None
            and readers[source] == 1
            and before.options.get(ACTIVATION) == Activation.NONE
        ):
            before.options[ACTIVATION] = _ACTIVATIONS[operation.code]
            _bypass(operation, producers)
        else:
            kept.append(operation)
    graph.operations = kept


def _bypass(operation: Operation, producers: dict[int, Operation]) -> None:
    """Let the operation whose result ``operation`` reads first make the result of ``operation``.

    Several in a row are bypassed one by one, so ``producers`` is kept up to date.
    """
    before = producers[operation.inputs[0]]
    before.output = operation.output
    producers[operation.output] = before
