"""The contract of software that executes a workload on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from devices import Device
from devices.foundation import ConfigError, Settings, plugin_name, settings_type
from latency_tables import Conditions, Extent, OpSpec, Setting

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Workload:
    """What to measure.

    Attributes:
        spec: Its key in a table; gives the shapes of the inputs.
        source: How to build its module (in evaluation mode), or a file in the runtime's own format.
    """

    spec: OpSpec
    source: Callable[[], nn.Module] | Path


class Sampler(Protocol):
    """A workload loaded on a device and ready to run."""

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls at once; return seconds per call: n latencies, or fewer if only means are known."""
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
        executes: What it executes of a network: "live" if it drops what the output does not depend on, else
            "whole"; part of a table's header.

    Raises:
        UnknownNameError: A name that is no setting.
        ConfigError: A value that a setting does not take, or less than one thread.
    """

    settings: Settings
    executes: ClassVar[Extent] = "live"

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

    @abstractmethod
    def version(self, device: Device) -> str:
        """Return the version that runs on ``device``."""

    @abstractmethod
    def prepare(self, workload: Workload, device: Device) -> AbstractContextManager[Sampler]:
        """Lower and load ``workload``, and compare its output with torch.

        Raises:
            UnsupportedOperationError: The runtime cannot execute it.
            WrongOutputError: Its output differs from torch's, or is not finite.
            DeviceError: ``device`` lacks the capability that this runtime needs.
        """
