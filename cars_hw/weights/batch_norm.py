"""The statistics of batch normalisation: recomputed for one path, left alone, or repaired."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def recalibrate(network: nn.Module, images: Tensor, batch_size: int) -> None:
    """Recompute the running statistics of ``network`` as means over batches; leave evaluation mode on.

    Args:
        network: What to recalibrate.
        images: Normalised images (n, c, h, w), at least 2.
        batch_size: As ``recalibration_batches`` takes it.
    """
    recalibration = Recalibration(network)
    for number, batch in enumerate(recalibration_batches(images, batch_size)):
        recalibration.take(batch, number)
    recalibration.end()


class Recalibration:
    """Running statistics that become means over batches.

    ``nn.BatchNorm2d`` has that too, where its momentum is ``None``; but it counts its batches on the device,
    and waits for the count in each of them.

    Args:
        network: Whose statistics are forgotten; it is in training mode from now on.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network, self._modules = network, tuple(network.modules())
        self._norms = _norms(self._modules)
        for norm in self._norms:
            norm.reset_running_stats()
        _set(self._modules, training=True)

    def take(self, images: Tensor, number: int) -> None:
        """Take a batch (n, c, h, w) into the means, the first with the number 0."""
        _set(self._norms, momentum=1.0 / (number + 1))
        self._network(images)

    def end(self) -> None:
        """Leave the network in evaluation mode, and its statistics as means if it is ever trained on."""
        _set(self._norms, momentum=None)
        _set(self._modules, training=False)


def recalibration_batches(images: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Return batches of equal size, or that differ by one image, since each weighs the same in the means.

    Args:
        images: Normalised images (n, c, h, w), at least 2.
        batch_size: The most in one batch; 1 counts as 2 or 3, for one image alone may have no variance.
    """
    n = len(images)
    return images.tensor_split(max(1, min(math.ceil(n / batch_size), n // 2)))


def statistics(module: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics of each normalisation by their names: the tensors themselves."""
    return {
        f"{name}.{key}": buffer
        for name, norm in module.named_modules()
        if isinstance(norm, nn.BatchNorm2d)
        for key, buffer in norm.named_buffers()
    }


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Let training mode normalise by each batch's own statistics, without a trace in the running ones."""
    norms = _norms(module.modules())
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def reset_what_is_not_finite(module: nn.Module) -> None:
    """Reset the running statistics of each normalisation that has met a NaN or an infinity."""
    for norm in _norms(module.modules()):
        if not all(buffer.isfinite().all() for buffer in norm.buffers()):
            norm.reset_running_stats()


def _norms(modules: Iterable[nn.Module]) -> list[nn.BatchNorm2d]:
    return [norm for norm in modules if isinstance(norm, nn.BatchNorm2d)]


def _set(modules: Iterable[nn.Module], **values: object) -> None:
    """Set plain attributes; by ``nn.Module`` itself it would take as long as judging some images."""
    for module in modules:
        vars(module).update(values)
