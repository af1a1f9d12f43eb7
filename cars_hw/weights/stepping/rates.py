"""Rates: the learning rate of the next step, on the device, where alone it is known how many were taken."""

from collections.abc import Callable

import torch
from torch import Tensor

from cars_hw.weights.placement import sent

#: Steps for which rates are sent to the device at once.
_AHEAD = 1024


class Rates:
    """Rates by the number of steps that were taken; a step that was skipped does not count.

    Args:
        device: Where they are needed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rate: Callable[[int], float] = float
        self._tried = self._taken = 0
        self._skipped = torch.zeros((), dtype=torch.int64, device=device)
        self._table = torch.zeros(0, device=device)

    def begin(self, rate: Callable[[int], float], taken: int) -> None:
        """Go on by the rates of ``rate``, from the step after the first ``taken`` on."""
        self._rate, self._taken, self._tried = rate, taken, 0
        self._skipped = torch.zeros_like(self._skipped)
        self._table = torch.zeros(0, device=self._device)

    def next(self) -> Tensor:
        """Return the rate of the next step, 32-bit, of no shape."""
        if self._tried >= len(self._table):
            # The host does not know how many were skipped: rates of all counts that are possible are sent.
            counts = range(self._taken, self._taken + self._tried + _AHEAD)
            table = torch.tensor([self._rate(n) for n in counts], dtype=torch.float32)
            self._table = sent(table, self._device)
        return self._table.index_select(0, (self._tried - self._skipped).view(1)).view(())

    def add(self, is_taken: Tensor) -> None:
        """Count the step; ``is_taken``, of no shape, says on the device whether it was skipped."""
        self._tried += 1
        self._skipped = self._skipped + is_taken.logical_not()
