"""SharedMemory: arrays that one process writes and its workers read, in memory that no name leads to.

A file without a name, in memory where the system has that: it is gone with the last process that has it
open, however that ends, and a full memory is an error of the call that writes, not a signal.
"""

import mmap
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cars_hw.executors._executor import Shared, WorkerLostError

#: Each array begins at a multiple of this, as vector instructions like it.
_ALIGNED_BYTES = 64


@dataclass(frozen=True)
class Place:
    """Where an array lies.

    Attributes:
        dtype: As numpy writes it.
        shape: Of the array.
        start: Its first byte.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int


class SharedMemory:
    """Memory for one set of arrays at a time.

    Attributes:
        descriptor: Of the file; workers inherit it.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("cars-hw", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())

    def write(self, arrays: Shared) -> dict[str, Place]:
        """Let it hold ``arrays``, and return where they lie.

        Raises:
            WorkerLostError: There is not so much memory.
        """
        places, end = dict[str, Place](), 0
        try:
            for name, array in arrays.items():
                places[name] = Place(array.dtype.str, array.shape, end)
                _write(self.descriptor, np.ascontiguousarray(array), end)
                end += -(-array.nbytes // _ALIGNED_BYTES) * _ALIGNED_BYTES
            os.ftruncate(self.descriptor, max(end, 1))
        except OSError as error:
            raise WorkerLostError(
                f"workers cannot share {sum(array.nbytes for array in arrays.values()) / 2**20:.0f} MB: "
                f"{error.strerror}; free memory, or go on with --workers 1"
            ) from error
        return places

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


def read(descriptor: int, places: Mapping[str, Place]) -> Shared:
    """Return the arrays that lie in a worker's inherited memory; what it writes to them it alone sees."""
    if not places:
        return {}
    memory = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    return {name: _at(memory, place) for name, place in places.items()}


def _at(memory: mmap.mmap, place: Place) -> NDArray[np.generic]:
    if 0 in place.shape:
        return np.empty(place.shape, place.dtype)
    count = int(np.prod(place.shape, dtype=np.int64))
    return np.frombuffer(memory, place.dtype, count, place.start).reshape(place.shape)


def _write(descriptor: int, array: NDArray[np.generic], start: int) -> None:
    if not array.nbytes:
        return
    left = array.reshape(-1).view(np.uint8).data
    while left:
        written = os.pwrite(descriptor, left, start)
        left, start = left[written:], start + written
