"""A card that works beside whoever gives it work: on a clock of its own, by figures that a test states."""

from dataclasses import dataclass


@dataclass
class LaunchedCard:
    """A card, and the process that gives it work, both by one clock.

    Attributes:
        launch_s: Seconds that it takes to give it a call.
        call_s: Seconds that it works on one.
        read_s: Seconds that it takes to read an output back.
        watts: What it draws while it works.
    """

    launch_s: float
    call_s: float
    read_s: float = 0.0
    watts: float = 0.0
    now_s: float = 0.0
    busy_until_s: float = 0.0
    joules: float = 0.0
    calls: int = 0

    def launch(self) -> None:
        """Give it a call, which it begins when those before have ended."""
        self.now_s += self.launch_s
        self.busy_until_s = max(self.now_s, self.busy_until_s) + self.call_s
        self.joules += self.watts * self.call_s
        self.calls += 1

    def wait(self) -> None:
        """Wait until it is idle, and read an output back."""
        self.now_s = max(self.now_s, self.busy_until_s) + self.read_s

    def clock_s(self) -> float:
        """Tell the time."""
        return self.now_s

    def energy_j(self) -> float:
        """Tell what it has used."""
        return self.joules
