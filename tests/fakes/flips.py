"""Single bits of a file that flip, and what a reader makes of each."""

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import numpy as np

from devices.foundation import CarsHwError


class Outcome(StrEnum):
    """What a reader made of a damaged file."""

    REFUSED = "refused"
    WARNED = "warned"
    WITHOUT_MEANING = "without meaning"
    SILENT = "silent"


def flips(path: Path, n: int, *, seed: int = 0) -> Iterator[int]:
    """Yield ``n`` distinct bits of ``path``, or all; while one is with the caller, it is flipped."""
    sound = path.read_bytes()
    bits = np.random.default_rng(seed).choice(len(sound) * 8, size=min(n, len(sound) * 8), replace=False)
    try:
        for bit in map(int, bits):
            damaged = bytearray(sound)
            damaged[bit // 8] ^= 1 << (bit % 8)
            path.write_bytes(damaged)
            yield bit
    finally:
        path.write_bytes(sound)


def outcome(read: Callable[[], str], sound: str, older: Collection[str] = ()) -> Outcome:
    """Return what ``read`` makes of a damaged file.

    Args:
        read: Reads it; what it returns is equal where what was read is.
        sound: What it returns where nothing is damaged.
        older: What it may return beside that if it warns: earlier states.
    """
    with _warnings() as warnings:
        try:
            found = read()
        except CarsHwError as error:
            return Outcome.REFUSED if str(error).strip() else Outcome.SILENT
    if warnings and found in {sound, *older}:
        return Outcome.WARNED
    return Outcome.WITHOUT_MEANING if found == sound else Outcome.SILENT


def silent_flips(path: Path, n: int, read: Callable[[], str]) -> list[int]:
    """Return those of ``n`` bits that flip, and ``read`` returns something else without a word."""
    sound = read()
    return [bit for bit in flips(path, n) if outcome(read, sound) is Outcome.SILENT]


class _Listener(logging.Handler):
    """Keeps the texts of all warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[str]]:
    listener, root = _Listener(), logging.getLogger()
    root.addHandler(listener)
    try:
        yield listener.texts
    finally:
        root.removeHandler(listener)
