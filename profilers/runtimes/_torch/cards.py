"""Cards as torch's CUDA has them: which of them a device is, and their queue, marks and recorded calls."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch

from devices import Adapter, DeviceError
from devices.foundation import first_line
from profilers.errors import ProfilingError

#: Larger than the second-level cache of any card, or twice that where it is known.
_CACHES_BYTES = 256 << 20


class Identity(NamedTuple):
    """What torch knows of a card.

    Attributes:
        name: Of the product.
        uuid: Of the card; empty where torch does not tell.
        pci: ``domain:bus:device.function``, in hexadecimal digits; likewise.
    """

    name: str
    uuid: str = ""
    pci: str = ""


def identities() -> list[Identity]:
    """Return the cards that torch's CUDA lists, in its order; none where it has none."""
    if not torch.cuda.is_available():
        return []
    return [_identity(number) for number in range(torch.cuda.device_count())]


def number_of(adapter: Adapter, cards: Sequence[Identity]) -> int:
    """Return which of ``cards`` is ``adapter``, by its UUID, else by its place on the bus, else by its name.

    Raises:
        DeviceError: None of them is, or several may be.
    """
    if adapter.is_software:
        raise DeviceError(
            f"torch does not run on {adapter.name}, which a processor plays; run it on cpu, or "
            "onnxruntime there with its provider webgpu"
        )
    if not cards:
        raise DeviceError(
            f"this torch ({torch.__version__}) runs on no card; install one that is built for CUDA to run on "
            f"{adapter.name}"
        )
    found = [number for number, card in enumerate(cards) if _is(card, adapter)]
    if len(found) != 1:
        names = ", ".join(card.name for card in cards)
        raise DeviceError(
            f"torch does not see {adapter.name}: it sees {names}; look at CUDA_VISIBLE_DEVICES, and name the "
            "card among those that `cars-hw devices` lists"
        )
    return found[0]


class CudaCard:
    """A card's queue: one stream, on which everything is queued while it is ``queueing``.

    Args:
        number: Of the card, as torch counts.
    """

    def __init__(self, number: int) -> None:
        self.device = torch.device("cuda", number)
        self._stream = torch.cuda.Stream(self.device)
        cache_bytes = torch.cuda.get_device_properties(self.device).L2_cache_size
        self._flushed_bytes = max(_CACHES_BYTES, 2 * cache_bytes)
        self._flushed: torch.Tensor | None = None

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Queue what torch is given meanwhile here, after all that was given to the card before."""
        self._stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._stream):
            yield

    def probe(self) -> None:
        """Have the card compute something, and wait for that.

        Raises:
            RuntimeError: It does not: of a kernel that went wrong, CUDA tells at each later call.
        """
        torch.ones(1, device=self.device).add_(1.0)
        torch.cuda.synchronize(self.device)

    def mark(self) -> torch.cuda.Event:
        """Queue a mark."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event

    def wait(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()

    def between_s(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        """Return the seconds between two marks."""
        return float(first.elapsed_time(last)) / 1e3

    def empty_caches(self) -> None:
        """Queue a write of more than the caches hold."""
        if self._flushed is None:
            self._flushed = torch.empty(self._flushed_bytes, dtype=torch.int8, device=self.device)
        self._flushed.zero_()

    def recorded(self, run: Callable[[int], None], calls: int) -> Callable[[int], None] | None:
        """Return what has the card repeat ``calls`` calls of ``run`` without being given them anew.

        ``None``: they cannot be recorded, as a call that waits for a result.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                run(calls)
        except (RuntimeError, ProfilingError):  # CUDA's errors have no class of their own
            return None

        def replay(n: int) -> None:
            for _ in range(n):
                graph.replay()

        return replay


@contextmanager
def card_errors(probe: Callable[[], None]) -> Iterator[None]:
    """Tell an error of one workload from a card that runs nothing any more, of which none is unsupported.

    Args:
        probe: Raises a ``RuntimeError`` where the card runs nothing.

    Raises:
        ProfilingError: What was done meanwhile failed, and the card runs other work.
        DeviceError: It runs none.
    """
    try:
        yield
    except (RuntimeError, ProfilingError) as error:
        try:
            probe()
        except RuntimeError as lost:
            raise DeviceError(
                f"the card was lost to this process ({first_line(error)}): run the same command again"
            ) from lost
        if isinstance(error, ProfilingError):
            raise
        raise ProfilingError(f"torch failed on the card: {first_line(error)}") from error


def _identity(number: int) -> Identity:
    properties = torch.cuda.get_device_properties(number)
    bus = [getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")]
    domain, *numbers = [f"{number:02x}" for number in bus if number is not None] or [""]
    pci = f"{domain}:{':'.join(numbers)}.0" if len(numbers) == len(bus) - 1 else ""
    return Identity(properties.name, str(getattr(properties, "uuid", "")), pci)


def _is(card: Identity, adapter: Adapter) -> bool:
    """Tell whether they are one card, by the most telling of what both know."""
    if card.uuid and adapter.uuid:
        return _plain(card.uuid) == _plain(adapter.uuid)
    if card.pci and adapter.pci:
        return _plain(card.pci) == _plain(adapter.pci)
    return card.name == adapter.name


def _plain(text: str) -> str:
    """Return the text of an identity without what differs between those who write it."""
    return text.lower().removeprefix("gpu-").replace("-", "").lstrip("0")
