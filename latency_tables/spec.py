"""OpSpec: one operation (a fused unit) at one shape; the key of a latency table."""

import re
from dataclasses import dataclass
from typing import Self

from devices._errors import SpecError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TEXT = re.compile(r"(?P<kind>[A-Za-z0-9_.]+)\[(?P<shape>[0-9x]+)(?:;(?P<params>[^;\]]*))?;(?P<dtype>[a-z0-9]+)\]")
_DTYPES = ("float32", "float16", "int8")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MAX_DIMENSION = 1 << 20
_MAX_TEXT = 1024

Value = int | str


@dataclass(frozen=True)
class OpSpec:
    """One operation at one shape: hashable, printable, parseable.

    ``str(spec)`` is ``kind[NxCxHxW;name=value,...;dtype]`` and ``OpSpec.parse`` reads it back.

    Attributes:
        kind: What is computed: ``"sep_conv"``.
        input_shape: Shape of each input, NCHW for images.
        params: Pairs sorted by name. An operation of several equal inputs has ``inputs``.
        dtype: Element type of weights and activations.

    Raises:
        SpecError: A name, dimension or value is out of bounds.
    """

    kind: str
    input_shape: tuple[int, ...]
    params: tuple[tuple[str, Value], ...] = ()
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.kind):
            raise SpecError(f"operation kind {self.kind[:64]!r} is not a name")
        if not 1 <= len(self.input_shape) <= 8 or not all(0 < d <= _MAX_DIMENSION for d in self.input_shape):
            raise SpecError(f"input shape {self.input_shape!r} of {self.kind} is out of bounds")
        if self.dtype not in _DTYPES:
            raise SpecError(f"dtype {self.dtype[:64]!r} of {self.kind} is none of {', '.join(_DTYPES)}")
        names = [name for name, _ in self.params]
        if names != sorted(set(names)):
            raise SpecError(f"parameters {names!r} of {self.kind} are not sorted and distinct")
        for name, value in self.params:
            is_text_number = isinstance(value, str) and _INTEGER.fullmatch(value) is not None
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(str(value)) or is_text_number:
                raise SpecError(f"parameter {name[:64]!r}={str(value)[:64]!r} of {self.kind} is out of bounds")

    @classmethod
    def of(cls, kind: str, input_shape: tuple[int, ...], **params: Value) -> Self:
        """Build a float32 spec from parameters in any order."""
        return cls(kind, input_shape, tuple(sorted(params.items())))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str(spec)`` wrote.

        Raises:
            SpecError: ``text`` does not have that form.
        """
        match = _TEXT.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise SpecError(f"{text[:80]!r} is not an operation spec; the form is kind[NxCxHxW;name=value,...;dtype]")
        try:
            shape = tuple(int(dimension) for dimension in match["shape"].split("x"))
        except ValueError as error:
            raise SpecError(f"{text[:80]!r} has a malformed shape") from error
        pairs = [pair.partition("=") for pair in match["params"].split(",")] if match["params"] else []
        params = tuple((name, _value(text)) for name, _, text in pairs)
        return cls(match["kind"], shape, params, match["dtype"])

    def __str__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        params = ",".join(f"{name}={value}" for name, value in self.params)
        return f"{self.kind}[{shape}{f';{params}' if params else ''};{self.dtype}]"

    def integer(self, name: str, default: int | None = None) -> int:
        """Return the integer parameter ``name``.

        Raises:
            SpecError: There is none and no default, or it is no integer.
        """
        value = dict(self.params).get(name, default)
        if not isinstance(value, int):
            raise SpecError(f"{self} has no integer parameter {name!r}")
        return value

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all inputs: ``inputs`` (default 1) times the input shape."""
        return (self.input_shape,) * self.integer("inputs", 1)


def _value(text: str) -> Value:
    return int(text) if _INTEGER.fullmatch(text) else text
