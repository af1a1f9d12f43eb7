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
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], Sequence[Tensor]]) -> None:
        """Run ``work`` aside, as CUDA graphs ask for."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(aside)

    def record(self, work: Callable[[], Sequence[Tensor]]) -> CudaRecording:
        """Record ``work``; nothing is computed."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = work()
        return CudaRecording(graph, outputs)
