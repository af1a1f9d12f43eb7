"""torch on a card of NVIDIA's: run where there is one."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import devices
from cars_hw.testing import RuntimeContract
from devices import Device
from latency_tables.spec import OpSpec
from profilers.runtimes._runtime import Workload
from profilers.runtimes.torch import Torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no card here"),
]

SPEC = OpSpec.of("conv", (1, 128, 32, 32))


def conv() -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(128, 128, 3, padding=1) for _ in range(4)))


@pytest.fixture(name="card")
def _card() -> Iterator[Device]:
    with devices.connect("gpu") as card:
        yield card


class TestTorchOnACard(RuntimeContract):
    name = "torch"

    def device(self) -> Device:
        return devices.connect("gpu")


@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_every_kind_of_number_and_layout_is_right_on_a_card(card: Device, dtype: str, layout: str) -> None:
    runtime = Torch(dtype=dtype, layout=layout)
    with card.quiet(1), runtime.prepare(Workload(SPEC, conv), card) as sampler:
        assert sampler(2)[0] > 0


def test_a_batch_of_many_images_takes_the_card_longer_and_keeps_it_busy(card: Device) -> None:
    found = {}
    for batch in (1, 64):
        with card.quiet(1), Torch(batch=batch).prepare(Workload(SPEC, conv), card) as sampler:
            found[batch] = min(sampler(10)[0] for _ in range(3))
            facts = sampler.facts()
    assert found[64] > 8 * found[1]
    assert facts["launch_bound"] is False
    assert int(str(facts["launches"])) >= 4


def test_cold_calls_give_a_latency_each_and_take_no_less_than_warm_ones(card: Device) -> None:
    large = OpSpec.of("relu", (1, 64, 256, 256))
    medians = {}
    for mode in ("warm", "cold"):
        with card.quiet(1), Torch(mode=mode).prepare(Workload(large, nn.ReLU), card) as sampler:
            latencies_s = sampler(20)
            medians[mode] = sorted(latencies_s)[len(latencies_s) // 2]
    assert len(latencies_s) == 20
    assert medians["cold"] > 0.5 * medians["warm"]
