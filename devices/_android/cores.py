"""The core clusters of a phone, distinguished by their highest clock, and the processors to measure on.

Phones have two or three kinds of core, numbered as the maker pleased, so that no mask is right on two phones.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from devices._errors import DeviceError

#: What an address may ask for. ``mid`` is all that lies between the fastest and the slowest kind.
CHOICES = ("big", "mid", "little", "all")

#: Linux itself stops there on every phone; larger numbers in a text are damage.
_MOST_PROCESSORS = 1024

_MAX_KHZ = re.compile(r"cpu([0-9]{1,4})/cpufreq/cpuinfo_max_freq:([0-9]{1,9})")
_RELATED = re.compile(r"cpu([0-9]{1,4})/cpufreq/related_cpus:([0-9 ,-]{1,4096})")
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def processors(text: str) -> tuple[int, ...]:
    """Return the numbers in a list of the kernel's (``0-3,6`` or ``0 1 2 3``); empty where it is none."""
    found: set[int] = set()
    for word in re.split(r"[,\s]+", text.strip()):
        match = _RANGE.fullmatch(word)
        if not match:
            return ()
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < _MOST_PROCESSORS:
            return ()
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def listed(numbers: Iterable[int]) -> str:
    """Return processors as the kernel lists them in ``Cpus_allowed_list``: ``0-3,6``."""
    runs: list[tuple[int, int]] = []
    for i in sorted(set(numbers)):
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def mask(numbers: Iterable[int]) -> str:
    """Return processors as the hexadecimal mask that ``taskset`` takes."""
    return f"{sum(1 << i for i in set(numbers)):x}"


def clusters(frequencies: str) -> dict[int, tuple[int, ...]]:
    """Return the processors of each highest clock in kHz, slowest first.

    Args:
        frequencies: Lines ``cpuN/cpufreq/FILE:CONTENT`` of ``cpuinfo_max_freq`` and ``related_cpus``; the
            latter fill in processors that are asleep and tell nothing of their own.
    """
    max_khz = {int(match[1]): int(match[2]) for match in _MAX_KHZ.finditer(frequencies)}
    for match in _RELATED.finditer(frequencies):
        khz = max_khz.get(int(match[1]), 0)
        for sibling in processors(match[2]):
            max_khz.setdefault(sibling, khz)
    known = {i: khz for i, khz in max_khz.items() if khz > 0 and i < _MOST_PROCESSORS}
    return {
        khz: tuple(sorted(i for i, own_khz in known.items() if own_khz == khz))
        for khz in sorted(set(known.values()))
    }


def chosen(by_khz: Mapping[int, Sequence[int]], choice: str, usable: Collection[int]) -> tuple[int, ...]:
    """Return the processors to measure on.

    Args:
        by_khz: The clusters, slowest first; empty where the phone does not report it.
        choice: One of ``CHOICES``.
        usable: Processors that are awake and that a program may run on.

    Raises:
        DeviceError: The phone has no such cluster, or none of it can be used now.
    """
    kinds = list(by_khz.values()) or [sorted(usable)]
    wanted = {
        "big": kinds[-1:],
        "mid": kinds[1:-1],
        "little": kinds[:1] if len(kinds) > 1 else [],
        "all": kinds,
    }[choice]
    if not wanted:
        names = "big or all" if len(kinds) == 1 else "big, little or all"
        raise DeviceError(f"this phone has no {choice} cores; ask for ?cores= {names}")
    members = {i for kind in wanted for i in kind}
    found = tuple(sorted(members & set(usable)))
    if not found:
        raise DeviceError(
            f"the {choice} cores of this phone ({listed(members)}) are asleep, or its shell may not use them "
            f"(it may use {listed(usable) or 'none'}); wake the phone, or ask for other ?cores="
        )
    return found
