"""Leaving the clocks of a card alone, where the card is lent and its settings are not ours."""

from types import ModuleType

#: What sets the clock of NVIDIA's cards, by the names of the module ``pynvml``.
_SETTERS = ("nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks")


def leave_clocks(library: ModuleType) -> None:
    """Take what sets clocks out of ``library`` in this process, as if it were of a version without that."""
    for name in _SETTERS:
        setattr(library, name, None)
