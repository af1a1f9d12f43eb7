"""Units: the keys of what a runtime executes, one node of its own optimised graph.

A unit is an ``OpSpec`` of the kind ``unit.OPERATOR``, such as ``unit.Conv``, so that a table measures, keeps
and compares it like any operation. Its parameters are

* ``inputs``: how many tensors of the network it reads, where all have one shape and there are several;
  otherwise ``in1``, ``in2``, ...: the shapes of those after the first;
* ``w0``, ``w1``, ...: the shapes of its constants, weights above all;
* ``out``: the shape of its output;
* ``domain``: where the operator comes from, unless from the runtime's usual set;
* ``a.NAME``: its attributes. Lists are written ``3x3``, a list of one ``3x``.

Two nodes of equal keys cost the same, as far as their own work goes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from latency_tables.errors import SpecError
from latency_tables.spec import OpSpec, Value

Shape = tuple[int, ...]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]

_KIND = "unit."
_ATTRIBUTE = "a."
_SCALAR = "scalar"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?(?:[0-9]+\.[0-9]+(?:e-?[0-9]+)?|[0-9]+e-?[0-9]+|inf)|nan")


@dataclass(frozen=True)
class Unit:
    """A node of an executed graph, spelled out.

    Attributes:
        operator: Its name in the runtime: ``"Conv"``, ``"CONV_2D"``.
        input_shapes: Of the tensors of the network that it reads, at least one.
        output_shape: Of what it writes; of the first tensor, where there are several.
        weight_shapes: Of its constants, in order.
        attributes: By name.
        domain: Of the operator; empty for the runtime's usual set.
    """

    operator: str
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weight_shapes: tuple[Shape, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    domain: str = ""

    def spec(self, dtype: str = "float32") -> OpSpec:
        """Return the key of this unit.

        Raises:
            SpecError: It cannot be written as one: a name, shape or value is out of bounds, or too long.
        """
        first, *others = self.input_shapes
        params: dict[str, Value] = {"out": _shape_text(self.output_shape)}
        if others and set(others) == {first}:
            params["inputs"] = len(self.input_shapes)
        else:
            params |= {f"in{i}": _shape_text(shape) for i, shape in enumerate(others, start=1)}
        params |= {f"w{i}": _shape_text(shape) for i, shape in enumerate(self.weight_shapes)}
        params |= {f"{_ATTRIBUTE}{name}": _written(value) for name, value in self.attributes.items()}
        if self.domain:
            params["domain"] = self.domain
        return OpSpec(f"{_KIND}{self.operator}", first, tuple(sorted(params.items())), dtype)

    @classmethod
    def of(cls, spec: OpSpec) -> "Unit":
        """Spell out a key.

        Raises:
            SpecError: It is not the key of a unit.
        """
        params = dict(spec.params)
        if not is_unit(spec) or not isinstance(params.get("out"), str):
            raise SpecError(f"{spec} is not the key of an executed unit")
        others = tuple(_shapes(params, "in"))
        unit = cls(
            spec.kind.removeprefix(_KIND),
            (spec.input_shape, *others) if others else spec.input_shapes,
            _shape(params["out"]),
            tuple(_shapes(params, "w", first=0)),
            {
                name.removeprefix(_ATTRIBUTE): _read(value)
                for name, value in params.items()
                if name.startswith(_ATTRIBUTE)
            },
            str(params.get("domain", "")),
        )
        if unit.spec(spec.dtype) != spec:
            raise SpecError(f"{spec} is not how the key of an executed unit is written")
        return unit


def is_unit(spec: OpSpec) -> bool:
    """Tell whether ``spec`` is the key of a unit, not of an operation as a space writes it."""
    return spec.kind.startswith(_KIND)


def _shapes(params: Mapping[str, Value], prefix: str, first: int = 1) -> Iterator[Shape]:
    number = first
    while f"{prefix}{number}" in params:
        yield _shape(params[f"{prefix}{number}"])
        number += 1


def _shape_text(shape: Sequence[int]) -> str:
    """Return a shape's text: never one of digits alone, which would be a number."""
    return _listed(map(str, shape)) if shape else _SCALAR


def _shape(text: Value) -> Shape:
    if text == _SCALAR:
        return ()
    values = _read(text)
    if not isinstance(values, tuple) or not all(isinstance(value, int) for value in values):
        raise SpecError(f"{str(text)[:80]!r} is not the shape of a tensor")
    return tuple(int(value) for value in values)


def _written(value: Attribute) -> Value:
    text = _listed(map(_number_text, value)) if isinstance(value, tuple) else _number_text(value)
    written: Value = value if isinstance(value, int) else text
    if _read(written) != value and value == value:
        raise SpecError(f"the value {str(value)[:80]!r} of an attribute cannot be part of a unit's key")
    return written


def _number_text(value: float | str) -> str:
    return repr(value).replace("e+", "e") if isinstance(value, float) else str(value)


def _listed(texts: Iterator[str]) -> str:
    items = list(texts)
    return "x".join(items) + ("x" if len(items) == 1 else "")


def _read(value: Value) -> Attribute:
    """Read what ``_written`` returned."""
    if isinstance(value, int):
        return value
    items = value.removesuffix("x").split("x")
    if all(map(_INTEGER.fullmatch, items)):
        return tuple(map(int, items))
    if all(map(_FLOAT.fullmatch, items)):
        numbers = tuple(map(float, items))
        return numbers if "x" in value else numbers[0]
    return value
