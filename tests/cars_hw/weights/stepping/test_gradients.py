"""Gradients of members, recorded and replayed, by a recorder that replays by running again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from cars_hw import spaces
from cars_hw.networks.architecture import Architecture
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.gradients import EagerGradients, Gradients, Member, RecordedGradients, Recording
from cars_hw.weights.stepping.loss_scale import LossScale
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.training_plan import Precision
from devices.foundation import ConfigError
from tests.fakes.small_spaces import small

_SPACE = small("nasbench201")
_ARITHMETIC = Arithmetic(torch.device("cpu"), "float32")


_OTHERS = [(False, True), (True, False)]


@dataclass
class Replayed:
    """Work that runs again, and writes where it wrote first, as a graph of a GPU does."""

    work: Callable[[], Sequence[Tensor]]
    outputs: Sequence[Tensor]
    replays: int = 0

    def replay(self) -> None:
        self.replays += 1
        for own, computed in zip(self.outputs, self.work(), strict=True):
            own.copy_(computed)


@dataclass
class FakeRecorder:
    """Records nothing: it keeps the work. What is recorded has no values until it is replayed."""

    recorded: list[Replayed] = field(default_factory=list)
    warmed: int = 0
    forgotten: int = 0

    def warm_up(self, work: Callable[[], Sequence[Tensor]]) -> None:
        work()
        self.warmed += 1

    def record(self, work: Callable[[], Sequence[Tensor]]) -> Recording:
        outputs = [torch.full_like(tensor, torch.nan) for tensor in work()]
        self.recorded.append(Replayed(work, outputs))
        return self.recorded[-1]

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def supernet() -> SuperNet:
    return SuperNet(_SPACE, seed=0).train()


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


def _architectures(n: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [_SPACE.sample(rng) for _ in range(n)]


def _batch(seed: int, n: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 8, 8, generator=generator), torch.randint(10, (n,), generator=generator)


def _added(gradients: Gradients, supernet: SuperNet, members: Sequence[Member], seed: int) -> list[Tensor]:
    """Return the losses of the members, then the gradients that they add up to."""
    supernet.zero_grad(set_to_none=True)
    losses = [gradients.add(member, *_batch(seed)) for member in members]
    return losses + [one.grad.clone() for one in supernet.parameters() if one.grad is not None]


@pytest.mark.parametrize(
    ("soft_path", "is_scaled"),
    [(False, False), (True, True), *(pytest.param(*one, marks=pytest.mark.slow) for one in _OTHERS)],
)
def test_what_is_replayed_is_what_is_computed(
    soft_path: bool, is_scaled: bool, supernet: SuperNet, recorder: FakeRecorder
) -> None:
    scale = LossScale(torch.device("cpu")) if is_scaled else None
    eager = EagerGradients(supernet, _ARITHMETIC, scale)
    replaying = RecordedGradients(eager, recorder, 4)
    members = [Member(architecture, soft_path, 2) for architecture in _architectures(2)]
    for seed in range(5):
        replayed = _added(replaying, supernet, members, seed)
        expected = _added(eager, supernet, members, seed)
        assert len(replayed) == len(expected) > 2
        for mine, its in zip(replayed, expected, strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)
    assert [one.replays for one in recorder.recorded] == [3, 3], "from the third time on"


@pytest.mark.parametrize("soft_path", [False, True])
@pytest.mark.parametrize("name", spaces.names())
def test_the_weights_of_a_recording_are_those_that_a_step_trains(name: str, soft_path: bool) -> None:
    space = small(name)
    supernet = SuperNet(space, seed=0).train()
    member = Member(space.sample(np.random.default_rng(0)), soft_path, 1)
    images = torch.randn(2, *space.image_shape, generator=torch.Generator().manual_seed(0))
    EagerGradients(supernet, _ARITHMETIC, None).add(member, images, torch.tensor([0, 1]))
    trained = {parameter for parameter in supernet.parameters() if parameter.grad is not None}
    found = supernet.path(member.architecture, soft_path=soft_path).parameters
    assert len(found) == len(trained)
    assert set(found) == trained


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.3), ("float16", 0.15)])
def test_half_numbers_give_nearly_the_gradient(precision: Precision, most: float, supernet: SuperNet) -> None:
    arithmetic = Arithmetic(torch.device("cpu"), precision)
    scale = LossScale(torch.device("cpu")) if arithmetic.is_scaled else None
    factor = 1.0
    if scale is not None:
        factor = float(scale.factor.fill_(1024.0))
    members = [Member(_architectures(1)[0], False, 1)]
    _, *exact = _added(EagerGradients(supernet, _ARITHMETIC, None), supernet, members, 0)
    _, *half = _added(EagerGradients(supernet, arithmetic, scale), supernet, members, 0)
    expected, found = (torch.cat([one.flatten() for one in each]) for each in (exact, half))
    assert found.dtype == torch.float32
    assert 0 < float((found / factor - expected).norm() / expected.norm()) < most


def test_only_those_that_were_used_last_are_kept(supernet: SuperNet, recorder: FakeRecorder) -> None:
    replaying = RecordedGradients(EagerGradients(supernet, _ARITHMETIC, None), recorder, 2)
    first, second, third = (Member(architecture, False, 1) for architecture in _architectures(3))
    for member in (first, second, first, second, first, second, first, third, third, third):
        _added(replaying, supernet, [member], 0)
    assert len(replaying) == 2
    recorded = len(recorder.recorded)
    _added(replaying, supernet, [first, third], 0)
    assert len(recorder.recorded) == recorded == 3
    _added(replaying, supernet, [second, second], 0)  # it has to come three times again
    assert len(recorder.recorded) == 3
    _added(replaying, supernet, [second], 0)
    assert (len(recorder.recorded), len(replaying)) == (4, 2)


def test_a_recording_leaves_no_trace_in_statistics_of_normalisation(
    supernet: SuperNet, recorder: FakeRecorder
) -> None:
    eager = EagerGradients(supernet, _ARITHMETIC, None)
    [architecture] = _architectures(1)
    before = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    for _ in range(3):
        eager.add(Member(architecture, False, 1), *_batch(0))
    counts = {name: int(one - before[name]) for name, one in supernet.named_buffers() if "tracked" in name}
    assert set(counts.values()) == {0, 3}
    warmed = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    replaying = RecordedGradients(eager, _WarmsUpAlone(), 1)
    for _ in range(2):
        replaying.add(Member(architecture, False, 1), *_batch(0))
    moved = {name: int(one - warmed[name]) for name, one in supernet.named_buffers() if "tracked" in name}
    assert set(moved.values()) == {0, 2}
    with pytest.raises(_StopError):
        replaying.add(Member(architecture, False, 1), *_batch(0))
    again = {name: int(one - warmed[name]) for name, one in supernet.named_buffers() if "tracked" in name}
    assert again == moved


class _StopError(Exception):
    """Ends a recording after its warm-up."""


class _WarmsUpAlone(FakeRecorder):
    def record(self, work: Callable[[], Sequence[Tensor]]) -> Recording:
        raise _StopError


class _Refusing(FakeRecorder):
    def record(self, work: Callable[[], Sequence[Tensor]]) -> Recording:
        raise RuntimeError("CUDA out of memory.\nTried to allocate")


def test_a_recording_that_fails_is_one_line_with_the_remedy(supernet: SuperNet) -> None:
    replaying = RecordedGradients(EagerGradients(supernet, _ARITHMETIC, None), _Refusing(), 1)
    member = Member(_architectures(1)[0], False, 1)
    for _ in range(2):
        replaying.add(member, *_batch(0))
    text = r"as a CUDA graph: CUDA out of memory\.; make training\.cuda_graphs smaller, or leave it out"
    with pytest.raises(ConfigError, match=text):
        replaying.add(member, *_batch(0))


def test_weights_that_are_gone_take_their_recordings_along(
    supernet: SuperNet, recorder: FakeRecorder
) -> None:
    eager = EagerGradients(supernet, _ARITHMETIC, None)
    replaying = RecordedGradients(eager, recorder, 2)
    members = [Member(architecture, False, 1) for architecture in _architectures(1)]
    for _ in range(4):
        _added(replaying, supernet, members, 0)
    assert len(replaying) == 1
    supernet.reset()
    replaying.forget()
    assert (len(replaying), recorder.forgotten) == (0, 1)
    for mine, its in zip(
        _added(replaying, supernet, members, 1), _added(eager, supernet, members, 1), strict=True
    ):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)


def test_a_batch_of_another_size_is_computed(supernet: SuperNet, recorder: FakeRecorder) -> None:
    eager = EagerGradients(supernet, _ARITHMETIC, None)
    replaying = RecordedGradients(eager, recorder, 2)
    [architecture] = _architectures(1)
    member = Member(architecture, False, 1)
    for _ in range(3):
        replaying.add(member, *_batch(0))
    replays = recorder.recorded[0].replays
    loss = replaying.add(member, *_batch(1, n=4))
    assert recorder.recorded[0].replays == replays
    assert float(loss) == pytest.approx(float(eager.add(member, *_batch(1, n=4))))
