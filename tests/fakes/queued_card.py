"""A card that is a queue: it works beside a host that takes time to give it work; nothing is computed."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class QueuedCard:
    """A card and its host, each with a clock of its own.

    Attributes:
        launch_s: What the host takes to queue a call.
        replay_s: What the host takes to have a recording repeated.
        work_s: What the card takes for a call whose data are in its caches.
        miss_s: What it takes longer where they are not.
        mark_s: What the card takes for a mark.
        empty_s: What it takes to empty its caches.
        host_s: The host's clock.
        card_s: When the card will have done all that is queued.
        log: What was queued, in order.
    """

    launch_s: float = 1e-6
    replay_s: float = 1e-6
    work_s: float = 1e-4
    miss_s: float = 0.0
    mark_s: float = 1e-6
    empty_s: float = 1e-3
    host_s: float = 0.0
    card_s: float = 0.0
    log: list[str] = field(default_factory=list)
    _is_cold: bool = True

    def run(self, n: int) -> None:
        """Queue calls."""
        for _ in range(n):
            self.host_s += self.launch_s
            self._work("call", self.work_s + (self.miss_s if self._is_cold else 0.0))
            self._is_cold = False

    def recorded(self, calls: int) -> Callable[[int], None]:
        """Return what queues so many calls that the card has beforehand, as one launch."""

        def replay(n: int) -> None:
            for _ in range(n):
                self.host_s += self.replay_s
                self._work("replay", calls * self.work_s)

        return replay

    def mark(self) -> float:
        """Queue a mark, which is the time when the card is through with it."""
        self._work("mark", self.mark_s)
        return self.card_s

    def wait(self) -> None:
        """Let the host wait for the card."""
        self.log.append("wait")
        self.host_s = max(self.host_s, self.card_s)

    def between_s(self, first: float, last: float) -> float:
        """Return the seconds between two marks, which only a card that was waited for tells."""
        if max(first, last) > self.host_s:
            raise AssertionError("a mark was read before the card got there")
        return last - first

    def empty_caches(self) -> None:
        """Queue what empties the caches."""
        self._work("empty", self.empty_s)
        self._is_cold = True

    def clock_s(self) -> float:
        """Return the host's time."""
        return self.host_s

    def _work(self, name: str, seconds: float) -> None:
        self.log.append(name)
        self.card_s = max(self.card_s, self.host_s) + seconds
