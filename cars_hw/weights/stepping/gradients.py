"""Gradients of the members of a step: computed one operation at a time, or replayed as they were recorded.

A SuperNet's step is thousands of small operations, and a GPU may compute each faster than the host can ask
for it. A recording asks for all of them at once. It holds for one member, at the addresses at which it was
made; as many are kept as were asked for, those that were used last.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, autograd
from torch.nn import Parameter, functional

from cars_hw.networks.architecture import Architecture
from cars_hw.weights.batch_norm import frozen
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.loss_scale import LossScale
from cars_hw.weights.supernet import SuperNet

#: A member is recorded when it comes for this time: recording takes as long as some steps.
_RECORDED_AT = 3


@dataclass(frozen=True)
class Member:
    """A network in a step.

    Attributes:
        architecture: Which one.
        soft_path: Whether its soft graph is trained.
        of: How many members the step has, whose mean gradient it follows.
    """

    architecture: Architecture
    soft_path: bool
    of: int


class Gradients(Protocol):
    """Computes the gradients of a step, member after member."""

    def add(self, member: Member, images: Tensor, labels: Tensor) -> Tensor:
        """Add a member's share of the mean gradient, times the loss's scale, to ``grad`` of the weights.

        Args:
            member: The network.
            images: Normalised and augmented, (b, c, h, w).
            labels: (b,).

        Returns:
            Its share of the mean loss, of no shape, without a gradient.
        """
        ...

    def forget(self) -> None:
        """Let go of all that hangs on the present weights: others take their place."""
        ...


class EagerGradients:
    """Computes one operation at a time. Fulfils ``Gradients``.

    Args:
        supernet: The weights.
        arithmetic: In which numbers.
        scale: Of the loss, where it is scaled.
    """

    def __init__(self, supernet: SuperNet, arithmetic: Arithmetic, scale: LossScale | None) -> None:
        self.supernet = supernet
        self._arithmetic, self._scale = arithmetic, scale

    def add(self, member: Member, images: Tensor, labels: Tensor) -> Tensor:
        """Run the member forwards and backwards."""
        loss = self.loss(member, images, labels)
        self.scaled(loss).backward()
        return loss.detach()

    def loss(self, member: Member, images: Tensor, labels: Tensor) -> Tensor:
        """Return the member's share of the mean loss, of no shape."""
        forward = self.supernet.forward_soft if member.soft_path else self.supernet.forward
        with self._arithmetic.numbers():
            logits = forward(images, member.architecture)
        return functional.cross_entropy(logits.float(), labels) / member.of

    def scaled(self, loss: Tensor) -> Tensor:
        """Return ``loss`` as gradients are taken of it."""
        return loss if self._scale is None else loss * self._scale.factor

    def forget(self) -> None:
        """Do nothing: nothing is kept from step to step."""


class Recording(Protocol):
    """Work that was recorded."""

    @property
    def outputs(self) -> Sequence[Tensor]:
        """What it computed; each replay puts new values into these very tensors."""
        ...

    def replay(self) -> None:
        """Compute again, from what the inputs hold now."""
        ...


class Recorder(Protocol):
    """Records work on a device."""

    def warm_up(self, work: Callable[[], Sequence[Tensor]]) -> None:
        """Run ``work`` as often as it takes until nothing in it is done for the first time."""
        ...

    def record(self, work: Callable[[], Sequence[Tensor]]) -> Recording:
        """Record ``work``, which reads and writes the same tensors whenever it runs, and runs nothing."""
        ...


@dataclass(frozen=True)
class _Kept:
    """A member's recording.

    Attributes:
        recording: Its outputs are the loss, then the gradient of each parameter.
        parameters: Those that it trains.
    """

    recording: Recording
    parameters: tuple[Parameter, ...]


class RecordedGradients:
    """Replays the members that come again and again. Fulfils ``Gradients``.

    Args:
        eager: Computes all others, and what is recorded.
        recorder: Records it.
        most: The most recordings that are kept.
    """

    def __init__(self, eager: EagerGradients, recorder: Recorder, most: int) -> None:
        self._eager, self._recorder, self._most = eager, recorder, most
        self._kept: OrderedDict[Member, _Kept] = OrderedDict()
        self._seen: Counter[Member] = Counter()
        self._inputs: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, member: Member, images: Tensor, labels: Tensor) -> Tensor:
        """Replay the member, where it was recorded; record it, where it is time."""
        inputs = self._inputs = self._inputs or (images.clone(), labels.clone())
        self._seen[member] += 1
        kept = self._kept.get(member)
        if images.shape != inputs[0].shape or (kept is None and self._seen[member] < _RECORDED_AT):
            return self._eager.add(member, images, labels)
        for own, given in zip(inputs, (images, labels), strict=True):
            own.copy_(given)
        kept = kept or self._recorded(member, inputs)
        self._keep(member, kept)
        kept.recording.replay()
        loss, *gradients = kept.recording.outputs
        for parameter, gradient in zip(kept.parameters, gradients, strict=True):
            # The recording's own tensors are written over by the next replay, of any member.
            parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad.add_(gradient)
        return loss.clone()

    def forget(self) -> None:
        """Let go of all recordings, and of how often members came."""
        self._kept.clear()
        self._seen.clear()

    def _recorded(self, member: Member, inputs: tuple[Tensor, Tensor]) -> _Kept:
        path = self._eager.supernet.path(member.architecture, soft_path=member.soft_path)
        parameters = path.parameters

        def work() -> Sequence[Tensor]:
            loss = self._eager.loss(member, *inputs)
            return loss.detach(), *autograd.grad(self._eager.scaled(loss), parameters)

        with frozen(self._eager.supernet):
            self._recorder.warm_up(work)
        return _Kept(self._recorder.record(work), parameters)

    def _keep(self, member: Member, kept: _Kept) -> None:
        """Keep a recording as the one that was used last."""
        self._kept[member] = kept
        self._kept.move_to_end(member)
        if len(self._kept) > self._most:
            gone, _ = self._kept.popitem(last=False)
            del self._seen[gone]  # it has to come as often again before it is recorded anew
