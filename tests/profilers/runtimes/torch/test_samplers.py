"""Samplers of torch on a card whose times are known, and of the host on its processors."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devices import Adapter, Fake
from profilers.runtimes._runtime import Timed
from profilers.runtimes._torch.lane import Lane, LaneSampler
from profilers.runtimes._torch.samplers import CardSampler, HostSampler
from tests.fakes.cards import PlayedCard
from tests.fakes.queued_card import QueuedCard

CARD = Adapter("NVIDIA H200", 0x10DE, 0x2335)


class Counted:
    """Counts how often torch's state was set, and whether it is."""

    def __init__(self) -> None:
        self.n, self.is_set = 0, False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.n, self.is_set = self.n + 1, True
        yield
        self.is_set = False


def sampler(
    card: QueuedCard,
    device: PlayedCard | None = None,
    *,
    is_cold: bool = False,
    is_recordable: bool = True,
    launches: int = 60,
) -> CardSampler[float]:
    return CardSampler(
        card.run,
        card,
        device or PlayedCard(CARD),
        Counted(),
        launches=launches,
        is_cold=is_cold,
        recorded=lambda _, calls: card.recorded(calls) if is_recordable else None,
    )


def test_a_card_at_work_is_not_bound_by_launches() -> None:
    facts = sampler(QueuedCard(launch_s=1e-6, work_s=1e-4)).facts()
    assert facts == {"launches": 60, "busy_share": 1.0, "launch_bound": False}


def test_a_card_that_waits_for_launches_is_said_to() -> None:
    facts = sampler(QueuedCard(launch_s=2e-4, work_s=1e-4)).facts()
    assert facts["launch_bound"] is True
    assert facts["busy_share"] == pytest.approx(0.5, abs=0.05)


def test_a_call_of_one_short_kernel_waits_for_its_launch() -> None:
    facts = sampler(QueuedCard(launch_s=1e-5, replay_s=1e-5, work_s=2e-6), launches=1).facts()
    assert facts["busy_share"] == pytest.approx(0.2, abs=0.05)


def test_nothing_is_said_of_launches_where_calls_cannot_be_recorded() -> None:
    assert sampler(QueuedCard(), is_recordable=False).facts() == {"launches": 60}


def test_a_call_costs_its_share_of_what_the_card_used_where_that_is_told() -> None:
    device = PlayedCard(CARD)
    device.used_j = 100.0
    facts = sampler(QueuedCard(work_s=1e-3), device).facts()
    assert facts["energy_j_per_call"] == pytest.approx(1 / 500, rel=0.01)  # a joule in half a second


def test_a_warm_block_gives_one_mean_and_a_cold_one_each_latency() -> None:
    warm = sampler(QueuedCard(work_s=1e-4, miss_s=2e-4))(8)
    cold = sampler(QueuedCard(work_s=1e-4, miss_s=2e-4), is_cold=True)(8)
    assert warm == pytest.approx((1e-4,))
    assert cold == pytest.approx((3e-4,) * 8)


@pytest.mark.parametrize("is_cold", [False, True])
def test_what_the_hardware_reports_goes_with_the_block(is_cold: bool) -> None:
    device = PlayedCard(CARD)
    found = sampler(QueuedCard(), device, is_cold=is_cold)
    before = found(2)
    device.reported = "the clock is at 60 % of its base"
    after = found(2)
    assert isinstance(before, Timed)
    assert isinstance(after, Timed)
    assert [before.disturbance, after.disturbance] == [None, "the clock is at 60 % of its base"]


def test_torch_is_in_the_asked_state_while_a_block_runs_and_not_after() -> None:
    state, seen = Counted(), list[bool]()
    device = Fake.connect("")

    def run(n: int) -> None:
        seen.append(state.is_set)
        device.advance(n * 0.5)

    found = HostSampler(run, device, state)
    assert found(4) == (0.5,)
    assert found.facts() == {}
    assert (seen, state.n, state.is_set) == ([True, True], 1, False)


def test_what_fails_on_a_lane_fails_where_it_was_asked_for() -> None:
    def fail(n: int) -> None:
        raise KeyError(n)

    with Lane.opened() as lane, pytest.raises(KeyError):
        LaneSampler(HostSampler(fail, Fake.connect(""), Counted()), lane)(3)
