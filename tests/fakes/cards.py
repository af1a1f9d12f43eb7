"""A card that is there in name only, with what it reports."""

from contextlib import AbstractContextManager, nullcontext
from typing import Self

from devices import Accelerator, Adapter, DeviceInfo, DeviceState


class PlayedCard(Accelerator):
    """A card that runs nothing.

    Args:
        adapter: Who it is.

    Attributes:
        reported: What disturbs blocks that end now.
        used_j: Joules that it has used, each time one more than the time before; ``None``: it does not tell.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self.reported: str | None = None
        self.used_j: float | None = None

    @classmethod
    def connect(cls, address: str) -> Self:
        raise NotImplementedError(address)

    @property
    def adapter(self) -> Adapter:
        return self._adapter

    def info(self) -> DeviceInfo:
        return DeviceInfo("gpu", self._adapter.name, "vulkan", "Linux 6.1", cores=4)

    def state(self) -> DeviceState:
        return DeviceState()

    def quiet(self, threads: int) -> AbstractContextManager[None]:
        return nullcontext()

    def clock_s(self) -> float:
        return 0.0

    def synchronize(self) -> None:
        """Nothing runs."""

    def disturbance(self) -> str | None:
        return self.reported

    def energy_j(self) -> float | None:
        if self.used_j is not None:
            self.used_j += 1
        return self.used_j
