"""Keys of units as people read them."""

from latency_tables.spec import OpSpec
from latency_tables.units.unit import Attribute, Shape, Unit, is_unit


def unit_text(spec: OpSpec) -> str:
    """Return the key of a unit in words, ``Conv 1x8x8x8 -> 1x4x8x8, weights 4x8x3x3 4``; any other as it is.

    Attributes that change nothing are left out: strides and dilations of 1, pads of 0, one group.
    """
    if not is_unit(spec):
        return str(spec)
    unit = Unit.of(spec)
    name = f"{unit.domain}.{unit.operator}" if unit.domain else unit.operator
    inputs = " ".join(map(_shape, unit.input_shapes))
    weights = f", weights {' '.join(map(_shape, unit.weight_shapes))}" if unit.weight_shapes else ""
    attributes = "".join(
        f", {key} {_value(value)}" for key, value in unit.attributes.items() if not _is_usual(key, value)
    )
    dtype = "" if spec.dtype == "float32" else f", {spec.dtype}"
    return f"{name} {inputs} -> {_shape(unit.output_shape)}{weights}{attributes}{dtype}"


def _is_usual(name: str, value: Attribute) -> bool:
    usual = {"strides": 1, "dilations": 1, "group": 1, "pads": 0}
    values = value if isinstance(value, tuple) else (value,)
    return name in usual and set(values) == {usual[name]}


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _value(value: Attribute) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
