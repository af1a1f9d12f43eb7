"""How torch computes: what is global state of its backends, set for a while and given back."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import backends

from profilers.runtimes._torch.settings import TorchSettings


@contextmanager
def computing(settings: TorchSettings) -> Iterator[None]:
    """Let torch compute as ``settings`` say; leaving gives every switch the value that it had.

    Where algorithms are not tried, the one that cuDNN's rules choose runs; deterministic ones are never asked
    for: that would measure others than run where nobody asks.
    """
    precision = "tf32" if settings.dtype == "tf32" else "ieee"
    with ExitStack() as restored:
        _set(restored, backends.cuda.matmul, "fp32_precision", precision)
        _set(restored, backends.cudnn.conv, "fp32_precision", precision)  # type: ignore[attr-defined]
        _set(restored, backends.cudnn, "enabled", True)
        _set(restored, backends.cudnn, "benchmark", settings.cudnn_benchmark == "on")
        _set(restored, backends.cudnn, "deterministic", False)
        yield


def _set(restored: ExitStack, owner: object, name: str, value: object) -> None:
    restored.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)
