"""A node that ONNX Runtime executes, with the shapes of what it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Operand:
    """What a node reads at one position.

    Attributes:
        shape: Of the tensor; ``None`` where an optional input is left out.
        is_constant: Whether it is part of the model, not computed.
        values: Of a constant of few integers, which say what is computed.
    """

    shape: Shape | None
    is_constant: bool = False
    values: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Call:
    """A node with the shapes of what it reads.

    Attributes:
        operator: Its name.
        domain: Where that comes from; empty for ONNX's own.
        operands: At each position.
        attributes: By name.
        channels: Of what it writes, in blocks, where only its readers tell.
    """

    operator: str
    domain: str
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Attribute]
    channels: int | None = None

    def shape(self, position: int = 0) -> Shape:
        """Return the shape of an operand.

        Raises:
            ValueError: There is none.
        """
        shape = self.operands[position].shape if position < len(self.operands) else None
        if shape is None:
            raise ValueError(f"there is no operand {position}")
        return shape

    def integer(self, name: str, default: int = 0) -> int:
        """Return an integer attribute.

        Raises:
            ValueError: It is something else.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ValueError(f"attribute {name} is no integer")
        return value

    def integers(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return a list of integers, as many as ``default``.

        Raises:
            ValueError: It is something else.
        """
        value = self.attributes.get(name, tuple(default))
        if not isinstance(value, tuple) or len(value) != len(default):
            raise ValueError(f"attribute {name} is no list of {len(default)} integers")
        return tuple(int(number) for number in value)

    def given(self, position: int, name: str) -> tuple[int, ...] | None:
        """Return integers that are a constant operand in newer versions of ONNX, an attribute in older ones.

        Raises:
            ValueError: They are computed.
        """
        if position < len(self.operands) and self.operands[position].shape is not None:
            values = self.operands[position].values
            if values is None:
                raise ValueError(f"operand {position} is not known before it runs")
            return values
        listed = self.attributes.get(name)
        return tuple(int(number) for number in listed) if isinstance(listed, tuple) else None
