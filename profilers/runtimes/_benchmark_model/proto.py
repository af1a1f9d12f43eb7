"""The protocol buffers that ``benchmark_model`` writes, decoded by hand and bounded.

Messages and numbers: ``tflite/tools/benchmark/proto/benchmark_result.proto`` (``BenchmarkResult``) and
``tflite/profiling/proto/model_runtime_info.proto`` (``ModelRuntimeDetails``) of LiteRT.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._coverage import Coverage

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}

#: A varint of 64 bits takes ten bytes.
_LONGEST_VARINT = 10

#: ``BenchmarkResult``: the message of latencies, that of the rest, and there the number of runs.
_LATENCIES, _MISCELLANY, _N_RUNS = 2, 4, 2

#: ``LatencyMetrics``, all in milliseconds: the tool sets each of them in every run.
_MEAN, _MIN, _MAX, _DEVIATION, _MEDIAN, _P5, _P95, _INIT, _FIRST, _WARM_UP = range(1, 11)

#: ``ModelRuntimeDetails`` → ``RuntimeSubgraph`` → ``Node``.
_SUBGRAPHS, _NODES, _TYPE, _OF_DELEGATE = 2, 3, 5, 2
_NODE_ID, _DELEGATE_DETAILS, _DELEGATED_TO, _DELEGATE_NAME = 1, 8, 9, 1

Field = tuple[int, int, int | bytes]
Value = TypeVar("Value")


def proto_timings(content: bytes) -> Timings:
    """Read a ``BenchmarkResult``.

    Raises:
        GarbledOutputError: It is truncated, or lacks a number that every run writes.
    """
    latencies = _one_message(content, _LATENCIES)
    ms = {number: _float(latencies, number) for number in range(_MEAN, _WARM_UP + 1)}
    return Timings(
        n=_one_int(_one_message(content, _MISCELLANY), _N_RUNS),
        mean_s=ms[_MEAN] / 1e3,
        min_s=ms[_MIN] / 1e3,
        max_s=ms[_MAX] / 1e3,
        p5_s=ms[_P5] / 1e3,
        median_s=ms[_MEDIAN] / 1e3,
        p95_s=ms[_P95] / 1e3,
        init_s=ms[_INIT] / 1e3,
    )


def proto_coverage(content: bytes) -> Coverage:
    """Read what ran where from a ``ModelRuntimeDetails``: of the graph itself, not of those in delegates.

    Raises:
        GarbledOutputError: It is truncated, has no graph, or a node that refers to none.
    """
    graphs = [graph for graph in _messages(content, _SUBGRAPHS) if _ints(graph, _TYPE) != [_OF_DELEGATE]]
    # The first is the main one; the others are bodies of loops and branches.
    nodes = _messages(graphs[0], _NODES) if graphs else []
    names: dict[int, str] = {}
    delegated_to: Counter[int] = Counter()
    for node in nodes:
        for details in _messages(node, _DELEGATE_DETAILS):
            names[_one_int(node, _NODE_ID)] = _text(details, _DELEGATE_NAME)
        delegated_to.update(_ints(node, _DELEGATED_TO))
    if not nodes or names.keys() != delegated_to.keys():
        raise GarbledOutputError("benchmark_model's account of the graph is incomplete; run it again")
    nodes_outside = len(nodes) - len(names) - delegated_to.total()
    return Coverage(tuple(sorted(set(names.values()))), len(names), nodes_outside)


def _fields(message: bytes) -> Iterator[Field]:
    """Walk the fields of a message: number, wire type, value."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        value: int | bytes
        if wire_type == _VARINT:
            value, position = _varint(message, position)
        else:
            size, position = _size(message, position, wire_type)
            value, position = message[position : position + size], position + size
            if len(value) != size:
                raise GarbledOutputError("a file of benchmark_model is truncated; run it again")
        yield number, wire_type, value


def _size(message: bytes, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == _BYTES:
        return _varint(message, position)
    if wire_type in _FIXED_BYTES:
        return _FIXED_BYTES[wire_type], position
    raise GarbledOutputError(f"a file of benchmark_model has wire type {wire_type}; run it again")


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i in range(_LONGEST_VARINT):
        if position + i >= len(message):
            break
        byte = message[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise GarbledOutputError("a number in a file of benchmark_model does not end; run it again")


def _values(message: bytes, number: int, wire_type: int) -> list[int | bytes]:
    return [value for found, kind, value in _fields(message) if (found, kind) == (number, wire_type)]


def _ints(message: bytes, number: int) -> list[int]:
    return [value for value in _values(message, number, _VARINT) if isinstance(value, int)]


def _messages(message: bytes, number: int) -> list[bytes]:
    return [value for value in _values(message, number, _BYTES) if isinstance(value, bytes)]


def _one_message(message: bytes, number: int) -> bytes:
    return _one(_messages(message, number), number)


def _one_int(message: bytes, number: int) -> int:
    return _one(_ints(message, number), number)


def _float(message: bytes, number: int) -> float:
    found = [value for value in _values(message, number, _FIXED32) if isinstance(value, bytes)]
    (value,) = struct.unpack("<f", _one(found, number))
    return float(value)


def _text(message: bytes, number: int) -> str:
    return _one_message(message, number).decode("utf-8", errors="replace")[:64]


def _one(found: Sequence[Value], number: int) -> Value:
    if len(found) != 1:
        raise GarbledOutputError(
            f"field {number} stands {len(found)} times in a file of benchmark_model, not once; run it again"
        )
    return found[0]
