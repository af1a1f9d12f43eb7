"""Lowered networks, and what a runtime makes of networks, kept from one process to the next.

Of whatever says what its module follows from, the lowered model and torch's outputs are kept by that, by the
versions of what lowers, and by the code of ours that does. What is kept is never trusted to be whole.
"""

import json
import math
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from devices.foundation import KeptFiles, code_digest, key_of
from latency_tables import (
    ExecutedGraph,
    OpSpec,
    SpecError,
    TableError,
    executed_from_fields,
    executed_to_fields,
)
from profilers.runtimes._reference import Array

#: A network of CARS for CIFAR takes 11 MB; tables of ten spaces' networks have room.
_MODELS = KeptFiles("lowered", 2 << 30)
#: A graph takes some 30 kB.
_GRAPHS = KeptFiles("executed", 1 << 26)

#: What lowers, and what torch's outputs are made of.
_DISTRIBUTIONS = ("torch", "numpy", "onnx", "ai-edge-litert")
_CODE = ("latency_tables", "profilers.lowering", "profilers.runtimes", "profilers.units")

#: A larger head is none that was written here.
_MOST_HEAD_BYTES = 4096

_FLOAT_BYTES = 4


def kept_model(
    recipe: str, spec: OpSpec, format_name: str, lower: Callable[[], tuple[bytes, Array]]
) -> tuple[bytes, Array]:
    """Return a lowered model and torch's output, made by ``lower`` where they are not kept.

    Args:
        recipe: What the module follows from; empty: nothing is kept.
        spec: As it is run: gives the shapes of the inputs.
        format_name: Of the file.
        lower: Lowers the module, and runs it.
    """
    if not recipe:
        return lower()
    key = key_of("model", format_name, recipe, str(spec), _lowering())
    content = _MODELS.read(key)
    found = None if content is None else _unpacked(content)
    if found is None:
        found = lower()
        _MODELS.write(key, _packed(*found))
    return found


def kept_graph(
    recipe: str, network: OpSpec, runtime: str, count: Callable[[], ExecutedGraph]
) -> ExecutedGraph:
    """Return what a runtime on this machine makes of a network, counted by ``count`` where it is not kept.

    Args:
        recipe: What the network follows from; empty: nothing is kept.
        network: Its key.
        runtime: All else that the graph follows from: the runtime's version and the machine; empty: unknown,
            and nothing is kept.
        count: Asks the runtime.
    """
    if not recipe or not runtime:
        return count()
    key = key_of("graph", runtime, recipe, str(network), _lowering())
    content = _GRAPHS.read(key)
    found = None if content is None else _read_graph(content, network)
    if found is None:
        found = count()
        _GRAPHS.write(key, json.dumps(executed_to_fields(network, found)).encode())
    return found


@lru_cache(maxsize=1)
def _lowering() -> str:
    """Return what lowered models follow from, but for what is lowered."""
    return "\n".join([*map(_version, _DISTRIBUTIONS), code_digest(*_CODE)])


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution


def _packed(content: bytes, output: Array) -> bytes:
    head = json.dumps({"model_bytes": len(content), "output": list(output.shape)}).encode()
    return b"".join([head, b"\n", content, output.astype("<f4").tobytes()])


def _unpacked(content: bytes) -> tuple[bytes, Array] | None:
    """Return what was packed; ``None`` where it was something else."""
    start = content.find(b"\n", 0, _MOST_HEAD_BYTES) + 1
    match _json(content[:start]):
        case {"model_bytes": int(model_bytes), "output": list(shape)} if _is_shape(shape):
            end = start + model_bytes
            if model_bytes >= 0 and len(content) - end == _FLOAT_BYTES * math.prod(shape):
                output = np.frombuffer(content, "<f4", offset=end).reshape(shape)
                return content[start:end], output.astype(np.float32)
    return None


def _is_shape(sizes: list[object]) -> bool:
    return all(type(size) is int and size >= 0 for size in sizes)


def _read_graph(content: bytes, network: OpSpec) -> ExecutedGraph | None:
    fields = _json(content)
    if not isinstance(fields, dict):
        return None
    try:
        found, graph = executed_from_fields(fields)
    except (SpecError, TableError):
        return None
    return graph if found == network else None


def _json(content: bytes) -> object:
    """Return what is written as JSON; ``None`` where that is nothing."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
