"""Allocation: a worker keeps the memory that tensors have left, where the C library has a word for that.

glibc gives what is free at the end of the heap back to the system, and by default begins with 128 kB; a
worker's tensors of some MB then are page-faulted at each operation, which took an eighth of its time.
"""

import ctypes
from contextlib import suppress
from functools import lru_cache

#: Of ``mallopt``, as malloc.h numbers them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: The most that glibc takes; larger tensors are mapped, and given back.
_MAPPED_FROM_BYTES = 32 << 20
_KEPT_BYTES = 256 << 20


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Let this process keep up to 256 MB that it has freed; nothing happens without glibc."""
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
