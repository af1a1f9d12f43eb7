"""Scripted hardware: no time passes on it unless somebody lets it pass."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from devices._device import DeviceInfo, DeviceState, HostDevice
from devices._errors import DeviceError


class Fake(HostDevice):
    """Scripted hardware, on which the policy of measuring can be tested and shown in milliseconds.

    Args:
        script: The conditions at a time in seconds.

    Attributes:
        quiet_threads: Threads that the device is held quiet for; ``None`` when it is not.
    """

    def __init__(self, script: Callable[[float], DeviceState] = lambda _: DeviceState()) -> None:
        self.quiet_threads: int | None = None
        self._script = script
        self._now_s = 0.0

    @classmethod
    def connect(cls, address: str) -> Self:
        if address:
            raise DeviceError(f"the fake device has no address {address[:64]!r}; write fake")
        return cls()

    @classmethod
    def addresses(cls) -> Sequence[str]:
        """List nothing: it is for tests and demonstrations."""
        return ()

    def info(self) -> DeviceInfo:
        return DeviceInfo(kind="fake", model="scripted clock", platform="none", os_build="none", cores=1)

    def state(self) -> DeviceState:
        return replace(self._script(self._now_s), threads=self.quiet_threads)

    @contextmanager
    def quiet(self, threads: int) -> Iterator[None]:
        if threads != 1:
            raise DeviceError(f"the fake device has 1 processor, not {threads}; ask for 1 thread")
        self.quiet_threads = threads
        try:
            yield
        finally:
            self.quiet_threads = None

    def clock_s(self) -> float:
        return self._now_s

    def synchronize(self) -> None:
        """Return at once: nothing runs on scripted hardware."""

    def pause(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; negative ones model a clock that was set back."""
        self._now_s += seconds
