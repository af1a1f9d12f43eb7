"""Steps and evaluations on a card: run where there is one."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from cars_hw import data
from cars_hw.data import Data
from cars_hw.networks.architecture import Architecture
from cars_hw.weights.stepping.arithmetic import Arithmetic
from cars_hw.weights.stepping.cuda_graphs import CudaRecorder
from cars_hw.weights.stepping.gradients import EagerGradients, Gradients, Member, RecordedGradients
from cars_hw.weights.supernet import SuperNet
from cars_hw.weights.supernet_trainer import SuperNetTrainer
from cars_hw.weights.training_plan import TrainingPlan
from tests.fakes.small_spaces import small

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no card here"),
]

_SPACE = small("nasbench201")
_WAYS: list[dict[str, object]] = [
    {},
    {"precision": "tf32"},
    {"precision": "bfloat16"},
    {"precision": "float16"},
    {"deterministic": True},
    {"cuda_graphs": 2},
    {"precision": "float16", "cuda_graphs": 2, "layout": "contiguous"},
]


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", fitness_images=60)


def _trainer(digits: Data, device: str, **changes: object) -> SuperNetTrainer:
    values = {"batch_size": 32, "crop_padding": 1, "cutout": 2, "recalibration_images": 32, **changes}
    plan = TrainingPlan.checked("training", values)
    return SuperNetTrainer(_SPACE, digits, plan, total_steps=40, seed=1, device=device)


def _architectures(n: int) -> list[Architecture]:
    rng = np.random.default_rng(0)
    return [_SPACE.sample(rng) for _ in range(n)]


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let torch refuse whatever the host would wait for."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("changes", _WAYS, ids=str)
def test_steps_wait_for_nothing_and_their_losses_are_nearly_those_of_a_cpu(
    changes: dict[str, object], digits: Data
) -> None:
    here, there = _trainer(digits, "cpu"), _trainer(digits, "cuda", **changes)
    path = _architectures(2) * 4
    for trainer in (here, there):
        for architecture in path[:6]:  # the third time, members are recorded, for which torch waits
            trainer.step([architecture])
    with _no_waiting():
        late = [there.step([architecture]) for architecture in path[6:]]
    expected = [float(here.step([architecture])) for architecture in path[6:]]
    if changes.get("precision") != "float16":  # whose first steps are skipped
        assert [float(loss) for loss in late] == pytest.approx(expected, rel=0.1)
    for architecture in path[:2]:
        assert 0 <= there.accuracy(architecture) <= 1


def test_what_is_replayed_is_what_is_computed_also_after_all_was_forgotten() -> None:
    device = torch.device("cuda")
    supernet = SuperNet(_SPACE, place=lambda module: module.to(device)).train()
    eager = EagerGradients(supernet, Arithmetic(device, "float32"), None)
    replaying = RecordedGradients(eager, CudaRecorder(device), 2)
    members = [Member(architecture, False, 1) for architecture in _architectures(3)]
    for _ in range(3):
        for seed in range(6):
            for member in members:
                mine = _added(replaying, supernet, member, seed)
                its = _added(eager, supernet, member, seed)
                torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)
        assert len(replaying) == 2
        supernet.reset()
        replaying.forget()


def _added(gradients: Gradients, supernet: SuperNet, member: Member, seed: int) -> list[Tensor]:
    """Return a member's loss and gradients on a batch."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 1, 8, 8, generator=generator).cuda()
    labels = torch.randint(10, (8,), generator=generator).cuda()
    supernet.zero_grad(set_to_none=True)
    loss = gradients.add(member, images, labels)
    return [loss, *(one.grad.clone() for one in supernet.parameters() if one.grad is not None)]
