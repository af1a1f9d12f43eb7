"""Protocol buffers written by hand, for tests of what reads them."""

import struct
from collections.abc import Mapping, Sequence

#: Milliseconds by field: mean, min, max, deviation, median, p5, p95, init, first, warm-up.
LATENCIES_MS = {
    1: 22.6138,
    2: 22.401,
    3: 24.02,
    4: 0.277,
    5: 22.547,
    6: 22.44,
    7: 23.14,
    8: 12.3,
    9: 24,
    10: 23,
}


def integer(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def nested(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def real(number: int, value: float) -> bytes:
    return _varint(number << 3 | 5) + struct.pack("<f", value)


def result(latencies_ms: Mapping[int, float] = LATENCIES_MS, *, n: int = 50) -> bytes:
    """Return a ``BenchmarkResult``."""
    latencies = b"".join(real(number, ms) for number, ms in latencies_ms.items())
    return nested(1, b"name") + nested(2, latencies) + nested(4, real(1, 1.3) + integer(2, n) + integer(3, 9))


def account(nodes: Sequence[str | int]) -> bytes:
    """Return a ``ModelRuntimeDetails``.

    Args:
        nodes: By their ids: a delegate's name; or which of them has taken this one over, -1 for none.
    """
    parts = []
    for number, node in enumerate(nodes):
        content = integer(1, number) + nested(3, b"CONV_2D")
        if isinstance(node, str):
            content += nested(8, nested(1, node.encode()))
        elif node >= 0:
            content += integer(9, node)
        parts.append(nested(3, content))
    inside = nested(2, integer(1, 1) + nested(3, integer(1, 0)) + integer(5, 2))
    return nested(1, b"model") + inside + nested(2, integer(1, 0) + b"".join(parts) + integer(5, 1))


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)
