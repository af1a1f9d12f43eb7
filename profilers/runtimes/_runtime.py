"""The contract of software that executes a workload on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from devices import Device, ThreadUse
from devices.foundation import ConfigError, Settings, plugin_name, settings_type
from latency_tables import Conditions, ExecutedGraph, Extent, OpSpec, Setting
from profilers.errors import UnsupportedOperationError
from profilers.units.counter import NetworkNode

if TYPE_CHECKING:
    from torch import nn

    from profilers.runtimes._on_board import Execution


@dataclass(frozen=True)
class LoweredModel:
    """A model that is in the runtime's own format already, made by this program.

    Attributes:
        content: The file.
        is_optimised: Whether the runtime is to execute it as written, without optimising it again.
        reference: What torch computes of it, in the shape of its first output; ``None``: outputs are only
            checked to be finite.
    """

    content: bytes = field(repr=False)
    is_optimised: bool = False
    reference: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Workload:
    """What to measure.

    Attributes:
        spec: Its key in a table; gives the shapes of the inputs.
        source: How to build its module (in evaluation mode), a file in the runtime's own format, or a model
            in that format, such as ``Runtime.lowered`` makes. Of a file, the output is not compared with
            torch's.
        recipe: What the module that ``source`` builds follows from, its weights among it, but for the code
            below ``profilers``: what is lowered of it is kept in the folder of caches, and built no more.
            Empty: it is lowered each time.
    """

    spec: OpSpec
    source: Callable[[], nn.Module] | Path | LoweredModel
    recipe: str = ""


class OperatorTime(NamedTuple):
    """What an operator takes in one call, as the runtime's own profiler says.

    Attributes:
        operator: Its name in the runtime; where that is on a device, what the device says.
        mean_s: Seconds, on average over the calls that were profiled.
        unit: The key of the unit that it is, as ``executed`` has it; ``None`` where the profiler does not
            tell.
    """

    operator: str
    mean_s: float
    unit: OpSpec | None = None


class Timed(tuple[float, ...]):
    """Seconds per call of a block, with what tells whether it counts, where that is known.

    Attributes:
        used: What its thread had of the processor.
        disturbance: What the hardware reports by which it does not count.
    """

    used: ThreadUse | None = None
    disturbance: str | None = None

    @classmethod
    def of(cls, latency_s: float, used: ThreadUse | None, disturbance: str | None = None) -> Self:
        """Return what is known of a block by its mean latency."""
        timed = cls((latency_s,))
        timed.used, timed.disturbance = used, disturbance
        return timed


class UnitCounter(Protocol):
    """Tells what a runtime executes of a network, without building it: see ``latency_tables.Unit``."""

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        """Return what the runtime makes of the network of ``nodes``, as on this machine.

        Each operation is lowered when it first occurs, and kept; a network of known ones needs no torch.

        Raises:
            UnsupportedOperationError: The runtime does not execute it, or a unit of it has no key.
        """
        ...

    def workload(self, unit: OpSpec) -> Workload:
        """Return a model of one node that is ``unit``, a key that an executed graph of this runtime has.

        Raises:
            UnsupportedOperationError: The runtime has no such node.
        """
        ...


@runtime_checkable
class LoweringCounter(Protocol):
    """A counter that also writes networks, for a device that is to tell what it executes of them."""

    def lowered(self, nodes: Sequence[NetworkNode]) -> LoweredModel:
        """Return the network of ``nodes`` with random weights; its executed units are those of a trained one.

        Raises:
            UnsupportedOperationError: The runtime does not execute it.
        """
        ...


@runtime_checkable
class IdentifiedCounter(Protocol):
    """A counter whose counts hold for later processes."""

    @property
    def identity(self) -> str:
        """What its counts follow from beside the networks, such as runtime and machine; empty if unknown."""
        ...


class Sampler(Protocol):
    """A workload loaded on a device and ready to run."""

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls at once; return seconds per call: n latencies, or fewer if only means are known.

        One whose work is done by the thread that calls it returns ``Timed``.
        """
        ...

    def facts(self) -> Conditions:
        """Return what is kept with the entry beside the latencies, such as a delegate's share."""
        ...


class Runtime(ABC):
    """Software that executes workloads with a fixed number of threads.

    A runtime with settings declares their type as ``settings: MySettings`` in its class body; one with a
    constructor of its own hands the settings on to this one.

    Args:
        threads: Threads of one call.
        settings: By name; not trusted.

    Attributes:
        threads: Threads of one call.
        settings: With a default for each that was not given.
        is_separable: Whether ``lowered`` gives what another process can run, where its plug-in loads without
            torch: then processes of their own measure on this machine.
        executes: What it executes of a network: "live" if it drops what the output does not depend on, else
            "whole"; part of a table's header.

    Raises:
        UnknownNameError: A name that is no setting.
        ConfigError: A value that a setting does not take, or less than one thread.
    """

    settings: Settings
    executes: ClassVar[Extent] = "live"
    is_separable: ClassVar[bool] = False

    def __init__(self, threads: int = 1, **settings: object) -> None:
        name = plugin_name(type(self))
        if threads < 1:
            raise ConfigError(f"{name}: threads is {threads}; a call takes at least 1")
        self.threads = threads
        self.settings = settings_type(type(self)).checked(name, settings)

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.values().items())
        return f"<runtime {plugin_name(type(self))}: threads={self.threads}{settings}>"

    def header_settings(self) -> Mapping[str, Setting]:
        """Return those settings that make latencies incomparable: they are part of a table's header."""
        return {}

    def caution(self, kind: str) -> str:
        """Return what whoever reads its latencies on a kind of device must know; empty, as here: nothing.

        Args:
            kind: The device's plug-in: ``"cpu"``.
        """
        return ""

    @abstractmethod
    def version(self, device: Device) -> str:
        """Return the version that runs on ``device``."""

    def lowered(self, workload: Workload) -> LoweredModel:
        """Return what ``prepare`` takes as the source of ``workload`` in another process.

        Raises:
            UnsupportedOperationError: The runtime cannot execute it, or is not separable.
        """
        raise UnsupportedOperationError(
            f"{workload.spec}: {plugin_name(type(self))} runs in this process only"
        )

    def on_board(self) -> Execution | None:
        """Return how the program on a board executes as this runtime does; ``None``: it cannot.

        Raises:
            DeviceError: It cannot by the settings of this one.
        """
        return None

    @abstractmethod
    def prepare(self, workload: Workload, device: Device) -> AbstractContextManager[Sampler]:
        """Lower and load ``workload``, and compare its output with torch.

        Raises:
            UnsupportedOperationError: The runtime cannot execute it.
            WrongOutputError: Its output differs from torch's, or is not finite.
            DeviceError: ``device`` lacks the capability that this runtime needs.
        """

    def counter(self, build: Callable[[OpSpec], nn.Module]) -> UnitCounter:
        """Return what tells which units this runtime executes of a network.

        Args:
            build: Makes the module of an operation.

        Raises:
            UnsupportedOperationError: This runtime does not show what it executes.
        """
        raise self._shows_nothing()

    def executed(self, workload: Workload, device: Device) -> ExecutedGraph:
        """Return what the runtime on ``device`` makes of a whole network, as it wrote it there.

        Raises:
            UnsupportedOperationError: This runtime does not show what it executes, or cannot execute it.
            DeviceError: ``device`` lacks the capability that this runtime needs.
        """
        raise self._shows_nothing()

    def executed_each(self, workloads: Iterable[Workload], device: Device) -> Iterator[ExecutedGraph]:
        """Yield the same of many networks, in their order: a device far away is asked for many at a time.

        No more workloads are taken than are asked for at a time.

        Raises:
            UnsupportedOperationError: As above, of the first such network; those before it were yielded.
            DeviceError: As above.
        """
        for workload in workloads:
            yield self.executed(workload, device)

    def breakdown(self, workload: Workload, device: Device) -> Sequence[OperatorTime]:
        """Return the time of each operator that a call executes, in order, as the runtime's profiler says.

        To profile costs time itself, which is part of what it says.

        Raises:
            UnsupportedOperationError: This runtime does not time its operators there.
            ProfilingError: It does not run ``workload``, or what it reports cannot be trusted.
            DeviceError: ``device`` lacks the capability that this runtime needs.
        """
        raise UnsupportedOperationError(f"{plugin_name(type(self))} does not time its operators")

    def _shows_nothing(self) -> UnsupportedOperationError:
        return UnsupportedOperationError(f"{plugin_name(type(self))} does not show what it executes")
