"""The processors of a phone to measure on, chosen by their kind.

Phones have two or three kinds of core, numbered as the maker pleased, so that no mask is right on two phones.
"""

from collections.abc import Collection, Iterable, Sequence

from devices._errors import DeviceError
from devices._kinds import listed

#: What an address may ask for. ``mid`` is all that lies between the fastest and the slowest kind.
CHOICES = ("big", "mid", "little", "all")


def mask(numbers: Iterable[int]) -> str:
    """Return processors as the hexadecimal mask that ``taskset`` takes."""
    return f"{sum(1 << i for i in set(numbers)):x}"


def chosen(kinds: Sequence[Sequence[int]], choice: str, usable: Collection[int]) -> tuple[int, ...]:
    """Return the processors to measure on.

    Args:
        kinds: The processors of each kind of core, slowest first; empty where the phone does not report them.
        choice: One of ``CHOICES``.
        usable: Processors that are awake and that a program may run on.

    Raises:
        DeviceError: The phone has no such kind, or none of it can be used now.
    """
    kinds = list(kinds) or [sorted(usable)]
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
