"""CudaRecorder: records work as CUDA graphs. It has never run on hardware."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Runs before a recording: libraries choose algorithms and take memory in the first ones.
_WARM_UPS = 3


@dataclass(frozen=True)
class CudaRecording:
    """A CUDA graph. Fulfils ``gradients.Recording``.

    Attributes:
        graph: What is replayed.
        outputs: What it writes.
    """

    graph: torch.cuda.CUDAGraph
    outputs: Sequence[Tensor]

    def replay(self) -> None:
        """Compute again; the host does not wait."""
        self.graph.replay()


class CudaRecorder:
    """Records CUDA graphs that share their memory. Fulfils ``gradients.Recorder``.

    They may share it because only one runs at a time, and what it writes is read before the next one runs.

    Args:
        device: The card, as torch names it; it need not be the one that torch takes by default.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # One stream for all: torch keeps what each stream has used for that stream alone.
        self._aside = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], Sequence[Tensor]]) -> None:
        """Run ``work`` aside, as CUDA graphs ask for."""
        present = torch.cuda.current_stream(self._device)
        self._aside.wait_stream(present)
        with torch.cuda.stream(self._aside):
            for _ in range(_WARM_UPS):
                work()
        present.wait_stream(self._aside)

    def record(self, work: Callable[[], Sequence[Tensor]]) -> CudaRecording:
        """Record ``work``; nothing is computed."""
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(graph, pool=self._pool, stream=self._aside),
        ):
            outputs = work()
        return CudaRecording(graph, outputs)

    def forget(self) -> None:
        """Take other memory from now on: torch refuses that of graphs which are all gone."""
        self._pool = torch.cuda.graph_pool_handle()
