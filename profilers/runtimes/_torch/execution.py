"""Modules on processors and on cards, ready to be timed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import nn

from devices import Accelerator, HostDevice
from latency_tables import OpSpec
from profilers.runtimes._reference import torch_threads
from profilers.runtimes._runtime import Sampler
from profilers.runtimes._torch.backends import computing
from profilers.runtimes._torch.cards import CudaCard, card_errors
from profilers.runtimes._torch.lane import Lane, LaneSampler
from profilers.runtimes._torch.model import Model
from profilers.runtimes._torch.samplers import CardSampler, HostSampler
from profilers.runtimes._torch.settings import TorchSettings

#: How a workload's module is made.
Build = Callable[[], nn.Module]


@contextmanager
def on_processors(
    spec: OpSpec, build: Build, settings: TorchSettings, device: HostDevice, threads: int
) -> Iterator[Sampler]:
    """Prepare a module on the processors of ``device``, computed by ``threads`` threads.

    Raises:
        ProfilingError: As ``Model`` says.
    """
    with Lane.opened() as lane:
        state = partial(_state, settings, threads)
        model = lane.run(partial(_made, spec, build, settings, torch.device("cpu"), state))
        yield LaneSampler(HostSampler(model.run, device, state), lane)


@contextmanager
def on_card(
    spec: OpSpec, build: Build, settings: TorchSettings, device: Accelerator, card: CudaCard
) -> Iterator[Sampler]:
    """Prepare a module on ``card``, which is ``device``; one thread queues its calls.

    Raises:
        ProfilingError: As ``Model`` says, or it seems to take no time.
        DeviceError: The card runs nothing any more.
    """
    state = partial(_queueing, card, settings)
    model = _made(spec, build, settings, card.device, state)
    yield CardSampler(
        model.run,
        card,
        device,
        state,
        launches=model.launches,
        is_cold=settings.mode == "cold",
        recorded=card.recorded,
    )


def _made(
    spec: OpSpec,
    build: Build,
    settings: TorchSettings,
    device: torch.device,
    state: Callable[[], AbstractContextManager[None]],
) -> Model:
    with state():
        return Model(spec, build, settings, device)


@contextmanager
def _state(settings: TorchSettings, threads: int) -> Iterator[None]:
    with torch_threads(threads), computing(settings):
        yield


@contextmanager
def _queueing(card: CudaCard, settings: TorchSettings) -> Iterator[None]:
    """Queue calls on ``card``; what processors compute for comparison, all threads of torch do."""
    with card_errors(card.probe), _state(settings, torch.get_num_threads()), card.queueing():
        yield
