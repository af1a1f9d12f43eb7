"""Model files from somewhere else, in whatever format: bounded, and known in a table by their digest."""

import hashlib
import math
from collections.abc import Collection, Sequence
from pathlib import Path

from devices.foundation import read_regular
from latency_tables import OpSpec
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._reference import FLOAT32, INPUT_TYPES, TAKES

#: Larger ONNX models keep their weights in external files, which are not read, and the offsets of a TFLite
#: file end at 2 GiB; what a phone can hold is well below.
_LARGEST_BYTES = 1 << 30

#: The most numbers that all inputs of a model may have together, 1 GiB of float32.
_MOST_INPUT_ELEMENTS = 1 << 28


def read_bounded(path: Path, wanted: str) -> bytes:
    """Return the content of ``path``, not trusted.

    Args:
        path: The file.
        wanted: What to give instead of what cannot be read: "an ONNX model".

    Raises:
        ProfilingError: The file cannot be read, or is too large.
    """
    try:
        size_bytes = path.stat().st_size
        if not path.is_file() or size_bytes > _LARGEST_BYTES:
            raise ProfilingError(f"{path} is not a file of up to {_LARGEST_BYTES} bytes; give {wanted}")
        return read_regular(path, _LARGEST_BYTES)
    except OSError as error:
        raise ProfilingError(f"{path} cannot be read: {error.strerror}") from error


def file_spec(
    path: Path,
    content: bytes,
    *,
    kind: str,
    shapes: Sequence[tuple[int, ...]],
    types: Collection[str] = (FLOAT32,),
) -> OpSpec:
    """Return the key of the model ``content`` in a table.

    Args:
        path: Where it was read, for messages.
        content: What the key has the digest of.
        kind: The kind of the spec: "onnx".
        shapes: Shape of each input in torch's order; a size of 0 is one that is not known.
        types: The types of the numbers of the inputs, by numpy's names; in the key, unless float32.

    Raises:
        UnsupportedOperationError: The inputs are not all of one type that can be made up.
        ProfilingError: The inputs are not all of one shape and known size, or are too large.
    """
    taken = sorted(set(types))
    if len(taken) > 1 or not set(taken) <= set(INPUT_TYPES):
        raise UnsupportedOperationError(
            f"{path} is unsupported: it takes inputs of type {', '.join(taken):.80}; one of "
            f"{', '.join(INPUT_TYPES)} can be made up, the same for all inputs"
        )
    if len(set(shapes)) != 1 or min(shapes[0], default=0) < 1:
        raise ProfilingError(f"{path} takes inputs of shapes {list(shapes)}; export it for one fixed shape")
    if len(shapes) * math.prod(shapes[0]) > _MOST_INPUT_ELEMENTS:
        raise ProfilingError(
            f"{path} takes inputs of shape {shapes[0]}; up to {_MOST_INPUT_ELEMENTS} numbers are made up"
        )
    others = {} if taken in ([], [FLOAT32]) else {TAKES: taken[0]}
    digest = hashlib.sha256(content).hexdigest()[:16]
    return OpSpec.of(kind, shapes[0], inputs=len(shapes), file=f"sha256.{digest}", **others)
