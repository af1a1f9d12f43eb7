"""The processors of a phone or a board to measure on, chosen by their kind.

They have two or three kinds of core, numbered as the maker pleased, so that no mask is right on two phones.
"""

from collections.abc import Collection, Iterable, Sequence

from devices._errors import DeviceError
from devices._kinds import listed

#: What an address may ask for. ``mid`` is all that lies between the fastest and the slowest kind.
CHOICES = ("big", "mid", "little", "all")


def mask(numbers: Iterable[int]) -> str:
    """Return processors as the hexadecimal mask that ``taskset`` takes."""
    return f"{sum(1 << i for i in set(numbers)):x}"


def chosen(
    kinds: Sequence[Sequence[int]], choice: str, usable: Collection[int], *, what: str = "phone"
) -> tuple[int, ...]:
    """Return the processors to measure on.

    Args:
        kinds: The processors of each kind of core, slowest first; empty where they are not reported.
        choice: One of ``CHOICES``.
        usable: Processors that are awake and that a program may run on.
        what: The word for what has them.

    Raises:
        DeviceError: It has no such kind, or none of it can be used now.
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
        raise DeviceError(f"this {what} has no {choice} cores; ask for ?cores= {names}")
    members = {i for kind in wanted for i in kind}
    found = tuple(sorted(members & set(usable)))
    if not found:
        raise DeviceError(
            f"the {choice} cores of this {what} ({listed(members)}) are asleep, or its shell may not use "
            f"them (it may use {listed(usable) or 'none'}); wake the {what}, or ask for other ?cores="
        )
    return found
