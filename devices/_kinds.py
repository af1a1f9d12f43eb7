"""The kinds of core of one machine, slowest first, from what a Linux kernel reports.

Neither clocks nor numbers are enough: four A53 and four A73 share a maximum clock, slow clusters have the
higher one, and makers number cores as they please. The kernel's own figure (``cpu_capacity``) comes first,
then what cores they are, then their clocks.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from devices import _proc

#: Linux itself stops there; larger numbers in a text are damage.
_MOST_PROCESSORS = 1024

_RELATED = re.compile(r"^cpu([0-9]{1,4})/cpufreq/related_cpus:([0-9 ,-]{1,4096})$", re.MULTILINE)
_CAPACITY = re.compile(r"^cpu([0-9]{1,4})/cpu_capacity:([0-9]{1,9})$", re.MULTILINE)
_MAX_KHZ = re.compile(r"^cpu([0-9]{1,4})/cpufreq/cpuinfo_max_freq:([0-9]{1,9})$", re.MULTILINE)
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")

#: Implementer and part of cores that were designed to save energy: Cortex-A5, A7, A34, A35, A53, A55, A510,
#: A520 and C1-Nano, and Qualcomm's Silver cores.
_SMALL = frozenset(
    {f"0x41/{part}" for part in ("0xc05", "0xc07", "0xd02", "0xd04", "0xd03", "0xd05", "0xd46", "0xd80")}
    | {"0x41/0xd8a", "0x51/0x201", "0x51/0x801", "0x51/0x803", "0x51/0x805"}
)

#: Those that were designed for speed at any price: Cortex-X1, X1C, X2, X3, X4, X925, C1-Ultra and C1-Premium,
#: and Samsung's Exynos M1 to M5.
_LARGEST = frozenset(
    {f"0x41/{part}" for part in ("0xd44", "0xd4c", "0xd48", "0xd4e", "0xd82", "0xd85", "0xd8c", "0xd90")}
    | {f"0x53/{part}" for part in ("0x001", "0x002", "0x003", "0x004")}
)


Value = TypeVar("Value")


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


def kinds(reports: str, cpuinfo: str = "", *, step: float = 1.0) -> tuple[tuple[int, ...], ...]:
    """Return the processors of each kind of core, slowest first; empty where nothing is reported of them.

    A figure counts where it is known of every processor: one that is asleep has those of its relatives.

    Args:
        reports: Lines ``cpuN/FILE:CONTENT`` of ``cpu_capacity``, ``cpufreq/cpuinfo_max_freq`` and
            ``cpufreq/related_cpus``.
        cpuinfo: ``/proc/cpuinfo``, for the parts of ARM cores.
        step: Capacities and clocks that are within this factor of the next lower one are of one kind.
    """
    parts = _with_relatives(_proc.cpu_parts(cpuinfo), reports)
    figures: list[Mapping[int, int]] = [
        _levels(_with_relatives(_numbers(_CAPACITY, reports), reports), step),
        {i: _rank(part) for i, part in parts.items()},
        _levels(_with_relatives(_numbers(_MAX_KHZ, reports), reports), step),
        {i: sorted(set(parts.values())).index(part) for i, part in parts.items()},
    ]
    known = set[int]().union(*figures)
    counting = [figure for figure in figures if figure.keys() == known] or [max(figures, key=len)]
    by_key: dict[tuple[int, ...], list[int]] = {}
    for i in sorted(counting[0]):
        by_key.setdefault(tuple(figure[i] for figure in counting), []).append(i)
    return tuple(tuple(by_key[key]) for key in sorted(by_key))


def _numbers(line: re.Pattern[str], reports: str) -> dict[int, int]:
    found = {int(match[1]): int(match[2]) for match in line.finditer(reports)}
    return {i: value for i, value in found.items() if value > 0 and i < _MOST_PROCESSORS}


def _with_relatives(found: Mapping[int, Value], reports: str) -> dict[int, Value]:
    """Return ``found``, and for processors that report nothing what a relative of theirs does."""
    whole = {i: value for i, value in found.items() if i < _MOST_PROCESSORS}
    clusters = [(processors(match[2]), int(match[1])) for match in _RELATED.finditer(reports)]
    for cluster, own in sorted(
        clusters, key=lambda one: len(one[0])
    ):  # where two overlap, the smaller one counts
        values = [found[i] for i in (own, *cluster) if i in found]
        for sibling in cluster if values else ():
            whole.setdefault(sibling, values[0])
    return whole


def _levels(values: Mapping[int, int], step: float) -> dict[int, int]:
    """Return the rank of each value, from 0; one that is within ``step`` of the next lower one shares its."""
    ascending: Sequence[int] = sorted(set(values.values()))
    ranks: dict[int, int] = {}
    for lower, value in zip([None, *ascending], ascending, strict=False):
        ranks[value] = 0 if lower is None else ranks[lower] + (value > lower * step)
    return {i: ranks[value] for i, value in values.items()}


def _rank(part: str) -> int:
    """Return 0 for a small core, 2 for one of the largest; one that is not known lies between."""
    return 0 if part in _SMALL else 2 if part in _LARGEST else 1
