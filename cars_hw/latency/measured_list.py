"""Networks that somebody measured, as a list in CSV or JSON; not trusted."""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cars_hw.errors import ArchitectureError, DataError
from cars_hw.networks.architecture import Architecture, from_text
from cars_hw.spaces._space import SearchSpace
from devices.foundation import UnknownNameError, read_regular

_NAME, _LATENCY = "architecture", "latency_ms"
_FORM = (
    f'CSV with the columns {_NAME} and {_LATENCY}, or JSON [{{"{_NAME}": "0.3.6", "{_LATENCY}": 1.5}}, ...]'
)
_LARGEST_BYTES = 1 << 26
#: Milliseconds; others are in another unit, or no latency.
_SHORTEST_MS, _LONGEST_MS = 1e-6, 3.6e6


@dataclass(frozen=True)
class MeasuredList:
    """What a list says.

    Attributes:
        latencies_s: By each connected network, seconds per call, one for each time that it is listed.
        disconnected: How many further networks have no path from the image to the output: they are left out,
            since a runtime may execute nothing of them.
    """

    latencies_s: dict[Architecture, tuple[float, ...]]
    disconnected: int


def read_list(path: Path, space: SearchSpace) -> MeasuredList:
    """Read a list of networks of ``space`` with their latencies in milliseconds.

    An architecture is its options joined by dots, or the form in which its family is published.

    Args:
        path: CSV with a header, or a JSON list, at most 64 MiB.
        space: The space.

    Raises:
        DataError: The file cannot be read or is neither, an architecture is none of the space, or a latency
            is none; the message names the line or the place in the list.
    """
    found: dict[Architecture, list[float]] = {}
    for where, name, latency in _pairs(path):
        try:
            architecture, latency_ms = _architecture(space, name), float(str(latency))
        except (ArchitectureError, UnknownNameError, ValueError) as error:
            raise DataError(f"{path}, {where}: {error}"[:300]) from error
        if not _SHORTEST_MS <= latency_ms <= _LONGEST_MS:
            raise DataError(f"{path}, {where}: {latency!r:.40} is no latency in milliseconds")
        found.setdefault(architecture, []).append(latency_ms / 1e3)
    connected = {one: tuple(own) for one, own in found.items() if space.deployed(one).is_connected}
    return MeasuredList(connected, len(found) - len(connected))


def read_architectures(path: Path, space: SearchSpace) -> tuple[Architecture, ...]:
    """Read a list of architectures of ``space``, one a line, their options joined by dots.

    Args:
        path: Text, at most 64 MiB; empty lines are left out.
        space: The space.

    Raises:
        DataError: The file cannot be read, or a line is no architecture of the space.
    """
    found: dict[Architecture, None] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            try:
                found[from_text(line.strip(), space.choices)] = None
            except ArchitectureError as error:
                raise DataError(f"{path}, line {number}: {error}"[:300]) from error
    return tuple(found)


def _architecture(space: SearchSpace, name: object) -> Architecture:
    if isinstance(name, str) and "." in name:
        return from_text(name, space.choices)
    if isinstance(name, str | dict):
        return space.from_description(name)
    raise ArchitectureError(f"{name!r:.80} is not an architecture; the form is 0.3.6")


def _pairs(path: Path) -> Iterator[tuple[str, object, object]]:
    """Yield of each network where it stands, its name and its latency."""
    text = _text(path)
    yield from _from_json(path, text) if text.lstrip()[:1] in ("[", "{") else _from_csv(path, text)


def _text(path: Path) -> str:
    try:
        return read_regular(path, _LARGEST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; name a list of networks") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text; name a list of networks") from error


def _from_json(path: Path, text: str) -> Iterator[tuple[str, object, object]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {str(error)[:80]}; a list of networks is {_FORM}") from error
    if not isinstance(found, list):
        raise DataError(f"{path} holds no list; a list of networks is {_FORM}")
    for i, one in enumerate(found, start=1):
        match one:
            case {"architecture": str() | dict() as name, "latency_ms": int() | float() as latency}:
                if isinstance(latency, bool) or not math.isfinite(latency):
                    raise DataError(f"{path}, network {i}: {latency!r} is no latency in milliseconds")
                yield f"network {i}", name, latency
            case _:
                raise DataError(f"{path}, network {i} is {one!r:.80}; a list of networks is {_FORM}")


def _from_csv(path: Path, text: str) -> Iterator[tuple[str, object, object]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        if header.count(_NAME) != 1 or header.count(_LATENCY) != 1:
            raise DataError(f"{path} has the columns {header!r:.80}; a list of networks is {_FORM}")
        name, latency = header.index(_NAME), header.index(_LATENCY)
        for row in reader:
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} cells; the header has {len(header)}"
                )
            yield f"line {reader.line_num}", row[name], row[latency]
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}; a list of networks is {_FORM}") from error
