"""Genotypes as files and logs write them: JSON, or the text of Python literals; read, never evaluated."""

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from cars_hw.errors import ArchitectureError
from devices.foundation import read_regular

#: A genotype takes a few hundred bytes, the log of a search that prints one per epoch some hundred thousand.
_LARGEST_BYTES = 1 << 20

#: The fields of the named tuple ``Genotype`` of DARTS' released code, in their order.
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_NAME = "Genotype"
_CALL = re.compile(r"\bGenotype\s*\(")
_LONGEST_RANGE = 64


def read_text(path: Path) -> JsonValue:
    """Return the genotype in ``path``, not trusted: JSON, Python's text of one, or a log that holds one.

    Raises:
        ArchitectureError: The file cannot be read, is no such text, or holds several genotypes.
    """
    text = _bounded_text(path)
    try:
        if text.lstrip().startswith(("{", '"')):
            return _from_json_or_literal(text)
        calls = list(_CALL.finditer(text))
        if len(calls) > 1:
            raise ArchitectureError(f"it holds {len(calls)} genotypes; leave the one that is meant")
        source = _call_text(text, calls[0].start()) if calls else text.strip()
        return _value(ast.parse(source, mode="eval").body)
    except ArchitectureError as error:
        raise ArchitectureError(f"genotype {path}: {error}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArchitectureError(
            f"genotype {path} is neither JSON nor a Python text of the form Genotype(normal=..., ...): "
            f"{str(error)[:80]}"
        ) from error


def _bounded_text(path: Path) -> str:
    try:
        content = read_regular(path, _LARGEST_BYTES)
    except OSError as error:
        raise ArchitectureError(
            f"genotype {path} cannot be read: {error.strerror}; a file with the one genotype is wanted"
        ) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArchitectureError(f"genotype {path} is no text: {error.reason}") from error


def _from_json_or_literal(text: str) -> JsonValue:
    """Read JSON, or where it is none, the text of a Python dictionary."""
    try:
        found: JsonValue = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError:
        return _value(ast.parse(text.strip(), mode="eval").body)
    return found


def _call_text(text: str, start: int) -> str:
    """Return the call that starts at ``start``, up to its closing parenthesis if it has one."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0 and text[position] == ")":
            return text[start : position + 1]
    return text[start:]


def _value(node: ast.expr) -> JsonValue:
    """Return the value of a literal, a range or a genotype; tuples and ranges are lists.

    Raises:
        ArchitectureError: It is anything else.
    """
    match node:
        case ast.Constant(value=str() | bool() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part) for part in parts]
        case ast.Dict(keys=keys, values=values):
            return _once([(_key(key), _value(value)) for key, value in zip(keys, values, strict=True)])
        case ast.Call(func=ast.Name(id="list" | "tuple"), args=[argument], keywords=[]):
            return _value(argument)
        case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
            return _range([_value(bound) for bound in bounds])
        case ast.Call(func=ast.Name(id=name), args=given, keywords=named) if name == _NAME:
            return _genotype(given, named)
    raise ArchitectureError(
        f"{ast.unparse(node)[:64]!r} is no literal, range or {_NAME}; nothing is evaluated"
    )


def _key(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=str(key)):
            return key
    raise ArchitectureError("a key is no text")


def _range(bounds: Sequence[JsonValue]) -> JsonValue:
    numbers = [bound for bound in bounds if isinstance(bound, int) and not isinstance(bound, bool)]
    if len(numbers) != len(bounds) or not 1 <= len(numbers) <= 3 or 0 in numbers[2:]:
        raise ArchitectureError(f"range{tuple(bounds)!r:.64} is no range")
    found = range(*numbers)
    if max(map(abs, numbers)) > _LONGEST_RANGE:
        raise ArchitectureError(f"{found} is no list of nodes; a cell has a few")
    return list(found)


def _genotype(given: Sequence[ast.expr], named: Sequence[ast.keyword]) -> JsonValue:
    """Return the arguments of a genotype by their names, those without one in the order of its fields."""
    if len(given) > len(_FIELDS):
        raise ArchitectureError(f"{_NAME} takes {', '.join(_FIELDS)}, but {len(given)} values are given")
    pairs = [(name, _value(node)) for name, node in zip(_FIELDS, given, strict=False)]
    for keyword in named:
        if keyword.arg is None:
            raise ArchitectureError(f"{_NAME} is given '**', which is not read")
        pairs.append((keyword.arg, _value(keyword.value)))
    return _once(pairs)


def _once(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return ``pairs`` by their keys, each of which stands once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ArchitectureError(f"the key {twice[:64]!r} stands twice")
    return found
