"""A scripted runtime: computes nothing, and lets time pass on the fake device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from devices import Device, DeviceError, Fake
from latency_tables import Conditions, ExecutedGraph, ExecutedNode, OpSpec, Unit
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._runtime import LoweredModel, OperatorTime, Runtime, Sampler, UnitCounter, Workload
from profilers.units.counter import NetworkNode, live_nodes

if TYPE_CHECKING:
    from torch import nn


def _microsecond_and_elements(spec: OpSpec, _: float) -> float:
    """Return a microsecond for the call, and a nanosecond for each element of the input."""
    return 1e-6 + 1e-9 * math.prod(spec.input_shape)


class FakeRuntime(Runtime):
    """A scripted runtime for testing and showing the policy of measuring.

    Args:
        threads: Threads of one call.
        latency_s: Seconds of one call of a spec that starts at a time, of which noise and slow modes are
            functions; may raise ``ProfilingError``.
        errors: What ``prepare`` raises, by kind of operation.
        shows_units: Whether it tells what it executes of a network.
        settings: None: it takes no further ones.

    Attributes:
        calls: Every block that was run, in order: the spec and the number of calls.
    """

    def __init__(
        self,
        threads: int = 1,
        *,
        latency_s: Callable[[OpSpec, float], float] = _microsecond_and_elements,
        errors: Mapping[str, ProfilingError] | None = None,
        shows_units: bool = True,
        **settings: object,
    ) -> None:
        super().__init__(threads, **settings)
        self.calls: list[tuple[OpSpec, int]] = []
        self._latency_s = latency_s
        self._errors = dict(errors or {})
        self._shows_units = shows_units

    def version(self, device: Device) -> str:
        _fake(device)
        return "0"

    @contextmanager
    def prepare(self, workload: Workload, device: Device) -> Iterator[Sampler]:
        clock = _fake(device)
        if workload.spec.kind in self._errors:
            raise self._errors[workload.spec.kind]
        yield _FakeSampler(workload.spec, clock, self._latency_s, self.calls)

    def counter(self, build: Callable[[OpSpec], nn.Module]) -> UnitCounter:
        if not self._shows_units:
            raise self._shows_nothing()
        return _FakeCounter()

    def executed(self, workload: Workload, device: Device) -> ExecutedGraph:
        _fake(device)
        if not self._shows_units or isinstance(workload.source, (Path, LoweredModel)):
            raise self._shows_nothing()
        module = workload.source()
        if not isinstance(module, _OfNodes):
            raise UnsupportedOperationError(
                "the fake runtime tells what it executes of networks of nodes only"
            )
        return _FakeCounter().executed(module.graph.nodes)

    def breakdown(self, workload: Workload, device: Device) -> Sequence[OperatorTime]:
        units = [node.unit for node in self.executed(workload, device).nodes]
        start_s = _fake(device).clock_s()
        return [OperatorTime(Unit.of(unit).operator, self._latency_s(unit, start_s), unit) for unit in units]


class _Nodes(Protocol):
    @property
    def nodes(self) -> Sequence[NetworkNode]: ...


@runtime_checkable
class _OfNodes(Protocol):
    """A module that knows its nodes."""

    @property
    def graph(self) -> _Nodes: ...


class _FakeCounter:
    """Counts each live operation as a unit of its kind, with its shapes and parameters."""

    def executed(self, nodes: Sequence[NetworkNode]) -> ExecutedGraph:
        """Return the live nodes as they are."""
        return ExecutedGraph(tuple(ExecutedNode(_unit(node.spec), node.inputs) for node in live_nodes(nodes)))

    def workload(self, unit: OpSpec) -> Workload:
        """Return an empty model: the fake runtime reads none."""
        return Workload(unit, LoweredModel(b"", is_optimised=True))


def _unit(spec: OpSpec) -> OpSpec:
    """Return the unit that stands for an operation; the shape of its output is that of its input."""
    attributes = {name: value for name, value in spec.params if name != "inputs"}
    return Unit(spec.kind, spec.input_shapes, spec.input_shape, attributes=attributes).spec(spec.dtype)


@dataclass(frozen=True)
class _FakeSampler:
    spec: OpSpec
    clock: Fake
    latency_s: Callable[[OpSpec, float], float]
    calls: list[tuple[OpSpec, int]]

    def __call__(self, n: int) -> Sequence[float]:
        self.calls.append((self.spec, n))
        start_s = self.clock.clock_s()
        self.clock.advance(n * self.latency_s(self.spec, start_s))
        return ((self.clock.clock_s() - start_s) / n,)

    def facts(self) -> Conditions:
        return {}


def _fake(device: Device) -> Fake:
    if not isinstance(device, Fake):
        raise DeviceError(f"the fake runtime runs on the fake device, not on {device.info().kind}; use fake")
    return device
