"""Operations of a TFLite graph as units, the keys of tables, and units as graphs of one operation.

All shapes in keys are TFLite's; images are (n, h, w, c). Of an operation's options a key leaves out those
that say what the schema says where nothing is said.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum

import numpy as np

from latency_tables import IMAGE, ExecutedGraph, ExecutedNode, OpSpec, Unit
from profilers._layout import IMAGE_RANK
from profilers.errors import UnsupportedOperationError
from profilers.lowering._tflite.graph import ACTIVATION, Activation, Constant, Graph, Operation, Padding

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]

#: A convolution that alone reads what a PAD writes is one unit with it: XNNPACK pads inside of it.
_PADDED = ("CONV_2D", "DEPTHWISE_CONV_2D")

#: Attribute of such a unit: zeros above, below, left and right of the image.
_MARGINS = "pad"

#: Options that a key has by another name, height before width.
_PAIRS = {
    "dilation": ("dilationHFactor", "dilationWFactor"),
    "filter": ("filterHeight", "filterWidth"),
    "stride": ("strideH", "strideW"),
}
_WORDS: Mapping[str, tuple[str, type[IntEnum]]] = {
    "activation": (ACTIVATION, Activation),
    "padding": ("padding", Padding),
}

#: What an option is where nothing is said; a key leaves it out. A padding, which is SAME, is always said.
_USUAL = {"dilation": (1, 1), "activation": Activation.NONE.name}

#: Constants that are no weights, but say what to do: the attributes that they are in a key.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "MEAN": ("axes",),
    "PAD": ("paddings",),
    "RESHAPE": ("shape",),
    "SLICE": ("begin", "size"),
    "STRIDED_SLICE": ("begin", "end", "strides"),
}

#: Operations that are built from a key, and the attributes that they may have.
_BUILT: Mapping[str, set[str]] = {
    **{code: set(names) for code, names in _ARGUMENTS.items()},
    **{code: set() for code in ("HARD_SWISH", "LOGISTIC", "RELU", "RELU6")},
    **{code: {"activation"} for code in ("ADD", "FULLY_CONNECTED", "MUL")},
    **{code: {"activation", "filter", "padding", "stride"} for code in ("AVERAGE_POOL_2D", "MAX_POOL_2D")},
    "CONCATENATION": {"axis"},
    "CONV_2D": {"activation", "dilation", "padding", "stride", _MARGINS},
    "DEPTHWISE_CONV_2D": {"activation", "depthMultiplier", "dilation", "padding", "stride", _MARGINS},
    "GELU": {"approximate"},
    "MEAN": {"axes", "keepDims"},
}

#: Seed of the weights of a unit's model: no time depends on them, as long as they are ordinary numbers.
_SEED = 0


def executed(graph: Graph, integers: Collection[int] = ()) -> ExecutedGraph:
    """Return the units of a simplified graph.

    Args:
        graph: Its operations are executed in their order.
        integers: Tensors of 8-bit integers.

    Raises:
        TableError: There is no operation.
        SpecError: One cannot be written as a key.
    """
    return Units().executed(graph, integers)


class Units:
    """Writes the keys of units, each one once."""

    def __init__(self) -> None:
        self._keys: dict[tuple[object, ...], OpSpec] = {}

    def executed(self, graph: Graph, integers: Collection[int] = ()) -> ExecutedGraph:
        """Return the units of a simplified graph, as the function ``executed`` does."""
        pads = _absorbed(graph)
        absorbed = {pad.output for pad in pads.values()}
        positions: dict[int, int] = {}
        nodes: list[ExecutedNode] = []
        for operation in graph.operations:
            if operation.output in absorbed:
                continue
            pad = pads.get(operation.output)
            sources = _sources(graph, pad or operation)
            reads = tuple(positions.get(tensor, IMAGE) for tensor in sources)
            positions[operation.output] = len(nodes)
            nodes.append(ExecutedNode(self._key(graph, operation, pad, integers), reads))
        return ExecutedGraph(tuple(nodes))

    def _key(
        self, graph: Graph, operation: Operation, pad: Operation | None, integers: Collection[int]
    ) -> OpSpec:
        sources = _sources(graph, pad or operation)
        constants = [tensor for tensor in operation.inputs if tensor not in _sources(graph, operation)]
        names = _ARGUMENTS.get(operation.code, ())
        arguments = [_values(graph.constants[tensor]) for _, tensor in zip(names, constants, strict=False)]
        margins = _values(graph.constants[pad.inputs[1]][1:3]) if pad else ()
        is_integer = any(tensor in integers for tensor in (*sources, operation.output))
        facts = (
            operation.code,
            tuple(graph.shapes[tensor] for tensor in sources),
            graph.shapes[operation.output],
            tuple(graph.shapes[tensor] for tensor in constants[len(names) :]),
        )
        known = (*facts, *operation.options.items(), *arguments, margins, is_integer)
        if known not in self._keys:
            attributes = _attributes(operation.options) | dict(zip(names, arguments, strict=False))
            unit = Unit(*facts, attributes | ({_MARGINS: margins} if pad else {}))
            self._keys[known] = unit.spec("int8" if is_integer else "float32")
        return self._keys[known]


def unit_graph(unit: Unit) -> Graph:
    """Return a graph that executes a unit and nothing else, with random weights.

    Raises:
        UnsupportedOperationError: It is no unit that ``executed`` gives of a network that we lower.
    """
    _require_built(unit)
    names = _ARGUMENTS.get(unit.operator, ())
    graph = Graph()
    sources = [graph.add_input(shape) for shape in unit.input_shapes]
    if _MARGINS in unit.attributes:
        sources = [_padded(graph, sources[0], _integers(unit.attributes[_MARGINS], n=4))]
    arguments = [_argument(name, _integers(unit.attributes[name])) for name in names]
    rng = np.random.default_rng(_SEED)
    weights = [_weights(shape, rng) for shape in unit.weight_shapes]
    inputs = (*sources, *map(graph.constant, (*arguments, *weights)))
    options = _options({name: value for name, value in unit.attributes.items() if name not in names})
    graph.output = graph.add(unit.operator, inputs, unit.output_shape, options)
    return graph


def _require_built(unit: Unit) -> None:
    names = unit.attributes.keys()
    needed = set(_ARGUMENTS.get(unit.operator, ()))
    is_image = all(len(shape) == IMAGE_RANK for shape in (*unit.input_shapes[:1], unit.output_shape))
    known = _BUILT.get(unit.operator)
    if known is None or not needed <= names <= known or (_MARGINS in names and not is_image):
        raise UnsupportedOperationError(f"no model of the unit {unit.spec()} can be written for TFLite")


def _absorbed(graph: Graph) -> dict[int, Operation]:
    """Return the PADs that are one unit with a convolution, by what that convolution writes."""
    readers, producers = graph.readers(), graph.producers()
    absorbed = {}
    for operation in graph.operations:
        pad = producers.get(operation.inputs[0]) if operation.code in _PADDED else None
        if pad is None or pad.code != "PAD" or readers[pad.output] != 1:
            continue
        widths = graph.constants.get(pad.inputs[1])
        if widths is not None and widths.shape == (IMAGE_RANK, 2) and not widths[[0, -1]].any():
            absorbed[operation.output] = pad
    return absorbed


def _sources(graph: Graph, operation: Operation) -> tuple[int, ...]:
    """Return the tensors of the network that an operation reads; all, where all are constants."""
    return tuple(each for each in operation.inputs if each not in graph.constants) or operation.inputs


def _attributes(options: Mapping[str, int | bool]) -> dict[str, Attribute]:
    """Return options of the schema as attributes of a key."""
    left = {name: int(value) for name, value in options.items()}
    found: dict[str, Attribute] = {}
    for name, pair in _PAIRS.items():
        if pair[0] in left:
            found[name] = tuple(left.pop(option) for option in pair)
    for name, (option, words) in _WORDS.items():
        if option in left:
            found[name] = words(left.pop(option)).name
    found |= {name: value for name, value in left.items() if value}
    return {name: value for name, value in found.items() if value != _USUAL.get(name)}


def _options(attributes: Mapping[str, Attribute]) -> dict[str, int | bool]:
    """Return what ``_attributes`` made into attributes."""
    options: dict[str, int | bool] = {}
    for name, value in attributes.items():
        if name in _WORDS:
            option, words = _WORDS[name]
            options[option] = next((word for word in words if word.name == value), words(0))
        elif name in _PAIRS:
            options |= zip(_PAIRS[name], _integers(value, n=2), strict=True)
        elif name != _MARGINS:
            [options[name]] = _integers(value, n=1)
    return options


def _padded(graph: Graph, image: int, margins: Sequence[int]) -> int:
    n, height, width, channels = graph.shapes[image]
    top, bottom, left, right = margins
    widths = graph.constant(np.array([(0, 0), (top, bottom), (left, right), (0, 0)], dtype=np.int32))
    return graph.add("PAD", (image, widths), (n, top + height + bottom, left + width + right, channels))


def _argument(name: str, values: Sequence[int]) -> Constant:
    array = np.array(values, dtype=np.int32)
    return array.reshape(-1, 2) if name == "paddings" else array


def _weights(shape: tuple[int, ...], rng: np.random.Generator) -> Constant:
    """Return numbers so small that sums of their products stay ordinary."""
    return (rng.standard_normal(shape) / math.sqrt(max(1, math.prod(shape)))).astype(np.float32)


def _values(constant: Constant) -> tuple[int, ...]:
    return tuple(int(value) for value in constant.ravel())


def _integers(value: Attribute, n: int | None = None) -> tuple[int, ...]:
    """Return an attribute that is made of integers, ``n`` of them if that is given.

    Raises:
        UnsupportedOperationError: It is not.
    """
    values = value if isinstance(value, tuple) else (value,)
    integers = tuple(each for each in values if isinstance(each, int))
    if len(integers) != len(values) or len(integers) != (n or len(integers)):
        raise UnsupportedOperationError(f"{str(value)[:80]!r} is no attribute of a unit of TFLite")
    return integers
