"""OpSpec: one operation (a fused unit) at one shape; the key of a latency table."""

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from latency_tables.errors import SpecError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TEXT = re.compile(
    r"(?P<kind>[A-Za-z0-9_.]+)\[(?P<shape>[0-9x]+)(?:;(?P<params>[^;\]]*))?;(?P<dtype>[a-z0-9]+)\]"
)
_FORM = "kind[NxCxHxW;name=value,...;dtype]"
_DTYPES = ("float32", "float16", "int8")
_DIGITS = re.compile(r"-?[0-9]+")
#: The one way to write an integer; digits in another form ("007") are neither an integer nor a text.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_MAX_DIMENSION = 1 << 20
_MAX_INPUTS = 1 << 10
_MAX_TEXT = 1024
#: So many parameters of at most 194 characters, with kind and shape, are no text of that length.
_FEW = 4

#: Distinct shapes and parameters whose checks are remembered: a few occur in all specs of a table, which
#: then share them in memory too.
_REMEMBERED = 1 << 14

Value = int | str


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operation at one shape: hashable, printable, parseable.

    ``str(spec)`` is ``kind[NxCxHxW;name=value,...;dtype]`` and ``OpSpec.parse`` reads it back. A spec has one
    text and a text one spec, so either may be the key.

    Attributes:
        kind: Kind of operation: ``"sep_conv"``.
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
        if not _is_shape(self.input_shape):
            raise SpecError(f"input shape {self.input_shape!r} of {self.kind} is out of bounds")
        if self.dtype not in _DTYPES:
            raise SpecError(f"dtype {self.dtype[:64]!r} of {self.kind} is none of {', '.join(_DTYPES)}")
        self._check_params()

    def _check_params(self) -> None:
        names = [name for name, _ in self.params]
        if names != sorted(set(names)):
            raise SpecError(f"parameters {names!r} of {self.kind} are not sorted and distinct")
        for name, value in self.params:
            if not _is_parameter(name, value):
                raise SpecError(f"parameter {name[:64]}={str(value)[:64]!r} of {self.kind} is out of bounds")
        if len(names) > _FEW and len(str(self)) > _MAX_TEXT:
            raise SpecError(f"parameters of {self.kind} make a text longer than {_MAX_TEXT} characters")
        if "inputs" in names and not 1 <= self.integer("inputs") <= _MAX_INPUTS:
            raise SpecError(f"{self} has not between 1 and {_MAX_INPUTS} inputs")

    @classmethod
    def of(cls, kind: str, input_shape: tuple[int, ...], **params: Value) -> Self:
        """Build a float32 spec from parameters in any order."""
        return cls(kind, input_shape, tuple(sorted(params.items())))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str(spec)`` wrote.

        Raises:
            SpecError: ``text`` does not have exactly that form.
        """
        match = _TEXT.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if match is None:
            raise SpecError(f"{text[:80]!r} is not an operation spec; the form is {_FORM}")
        shape = _shape(match["shape"])
        pairs = match["params"]
        if pairs == "":
            raise SpecError(f"{text[:80]!r} has a semicolon too many; the form is {_FORM}")
        params = tuple(map(_parameter, pairs.split(","))) if pairs else ()
        return cls(sys.intern(match["kind"]), shape, params, sys.intern(match["dtype"]))

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


@lru_cache(maxsize=_REMEMBERED)
def _shape(text: str) -> tuple[int, ...]:
    """Read ``NxCxHxW``."""
    try:
        shape = tuple(int(dimension) for dimension in text.split("x"))
    except ValueError as error:
        raise SpecError(f"the shape {text[:80]!r} is malformed") from error
    _require_written(text, "x".join(map(str, shape)))
    return shape


def _is_shape(shape: tuple[int, ...]) -> bool:
    return 1 <= len(shape) <= 8 and min(shape) > 0 and max(shape) <= _MAX_DIMENSION


@lru_cache(maxsize=_REMEMBERED)
def _parameter(text: str) -> tuple[str, Value]:
    """Read ``name=value``."""
    name, _, number_or_text = text.partition("=")
    value = int(number_or_text) if _INTEGER.fullmatch(number_or_text) else number_or_text
    _require_written(text, f"{name}={value}")
    return sys.intern(name), value


def _require_written(text: str, canonical: str) -> None:
    if text != canonical:
        raise SpecError(f"{text[:80]!r} is not how {canonical[:80]!r} is written")


@lru_cache(maxsize=_REMEMBERED, typed=True)  # typed: True is no 1
def _is_parameter(name: str, value: Value) -> bool:
    """Tell whether ``name`` is a name, and ``value`` read back from its text as itself."""
    return _NAME.fullmatch(name) is not None and _is_value(value)


def _is_value(value: Value) -> bool:
    """Tell whether ``value`` is read back from its text as itself; a ``bool`` or a text of digits is not."""
    if isinstance(value, str):
        return _VALUE.fullmatch(value) is not None and _DIGITS.fullmatch(value) is None
    return not isinstance(value, bool) and _INTEGER.fullmatch(str(value)) is not None
