"""A model on a graphics card: loaded strictly, seen to run there node by node, and timed there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from devices import HostDevice
from devices.foundation import first_line
from latency_tables import Conditions, OpSpec
from profilers.errors import FellBackError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._host import energy_j_per_call, require_inputs
from profilers.runtimes._onnxruntime.breakdown import profiled_session, ran_by
from profilers.runtimes._onnxruntime.file import tensor_type
from profilers.runtimes._onnxruntime.providers.provider import Provider
from profilers.runtimes._onnxruntime.providers.timing import (
    cold_latency_s,
    launching,
    warm_latency_s,
)
from profilers.runtimes._onnxruntime.session import ORT_ERRORS, open_session, quiet_options
from profilers.runtimes._reference import Array, Values, as_float32, made_up_inputs
from profilers.runtimes._runtime import Timed

Mode = Literal["warm", "cold"]

#: What is written before each call in cold mode: 256 MiB, twice the largest cache of a card today, in tensors
#: that every card takes.
_FLUSHED_TENSORS, _FLUSHED_NUMBERS = 4, 1 << 24


class CardWork:
    """A session whose inputs and outputs lie on the hardware that runs it.

    Args:
        session: Of one provider.
        inputs: In its order.
        written: Its outputs, for their shapes and types.
        subject: What it computes, for messages.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: Sequence[Values],
        written: Sequence[Values],
        subject: object,
    ) -> None:
        self._session, self._subject = session, subject
        self._binding = session.io_binding()
        self._kept = list(inputs)  # the binding refers to their memory and does not keep it
        for node, memory, values in zip(
            session.get_inputs(), session.get_input_memory_infos(), inputs, strict=True
        ):
            self._bind_input(node.name, memory, values)
        for node, memory, values in zip(
            session.get_outputs(), session.get_output_memory_infos(), written, strict=True
        ):
            self._bind_output(node.name, memory, values)

    def launch(self) -> None:
        """Give a call to the card.

        Raises:
            ProfilingError: It fails.
        """
        try:
            self._session.run_with_iobinding(self._binding)
        except ORT_ERRORS as error:
            raise ProfilingError(f"ONNX Runtime failed on {self._subject}: {first_line(error)}") from error

    def wait(self) -> None:
        """Wait until the card has done all that it was given, by reading the outputs back."""
        self.outputs()

    def outputs(self) -> list[Values]:
        """Return the outputs of the last call.

        Raises:
            ProfilingError: It fails.
        """
        try:
            return [np.asarray(output) for output in self._binding.copy_outputs_to_cpu()]
        except ORT_ERRORS as error:
            raise ProfilingError(f"ONNX Runtime failed on {self._subject}: {first_line(error)}") from error

    def close(self) -> None:
        """Drop the session; nothing runs after that."""
        del self._binding, self._kept, self._session

    def _bind_input(self, name: str, memory: onnxruntime.OrtMemoryInfo, values: Values) -> None:
        if _is_of_processor(memory):
            self._binding.bind_cpu_input(name, values)
            return
        value = onnxruntime.OrtValue.ortvalue_from_numpy(values, *_place(memory))
        self._binding.bind_ortvalue_input(name, value)
        self._kept.append(value)

    def _bind_output(self, name: str, memory: onnxruntime.OrtMemoryInfo, written: Values) -> None:
        if _is_of_processor(memory):
            self._binding.bind_output(name)
            return
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            written.shape, written.dtype, *_place(memory)
        )
        self._binding.bind_ortvalue_output(name, value)
        self._kept.append(value)


class CardSampler:
    """A workload on a card: a ``Sampler``.

    Args:
        work: What is timed.
        provider: What executes it.
        device: Whose clock counts, and which reports what disturbs it.
        flush: What fills the card's cache before each call; ``None``: calls follow each other.
    """

    def __init__(
        self, work: CardWork, provider: Provider, device: HostDevice, flush: Callable[[], None] | None
    ) -> None:
        self._work, self._provider, self._device, self._flush = work, provider, device, flush
        self._facts = self._told()

    def __call__(self, n: int) -> Sequence[float]:
        """Run ``n`` calls as one block; return their mean.

        Raises:
            ProfilingError: A call fails.
            DeviceError: The card runs nothing any more.
        """
        clock_s = self._device.clock_s
        with self._provider.alone(), _lost_card_told(self._provider):
            if self._flush is None:
                latency_s = warm_latency_s(self._work, n, clock_s)
            else:
                latency_s = cold_latency_s(self._work, self._flush, n, clock_s)
        return Timed.of(latency_s, None, self._device.disturbance())

    def facts(self) -> Conditions:
        """Return how it is given to the card and what a call costs, where times are the card's."""
        return self._facts

    def outputs(self) -> list[Array]:
        """Run one call and return its outputs as float32, images as (n, c, h, w)."""
        with self._provider.alone():
            self._work.launch()
            return [as_float32(output) for output in self._work.outputs()]

    def close(self) -> None:
        """Drop the session; nothing runs after that."""
        with self._provider.alone():
            self._work.close()

    def _launched(self, n: int) -> None:
        for _ in range(n):
            self._work.launch()

    def _told(self) -> Conditions:
        device = self._device
        if device.why_untimed() is not None:
            return {}
        told = launching(self._work, device.clock_s)
        facts: dict[str, float | bool] = {"launch_s": told.launch_s}
        if self._flush is None:
            facts["launch_bound"] = told.launch_bound
        joules = energy_j_per_call(self._launched, self._work.wait, told.latency_s, device.energy_j)
        return facts if joules is None else {**facts, "energy_j_per_call": joules}


@dataclass(frozen=True)
class Loading:
    """How models are loaded on a card.

    Attributes:
        provider: What executes them.
        threads: Threads of one call.
        mode: How calls are timed.
    """

    provider: Provider
    threads: int
    mode: Mode

    @contextmanager
    def sampler(
        self, model: bytes, spec: OpSpec, device: HostDevice, *, is_optimised: bool
    ) -> Iterator[CardSampler]:
        """Load a model, and see that the provider runs every node of it.

        Args:
            model: An ONNX file.
            spec: What it computes, as it runs.
            device: On what.
            is_optimised: Whether it is executed as written.

        Raises:
            UnsupportedOperationError: ONNX Runtime does not load it, or cannot run it.
            FellBackError: The provider does not run some node.
            ProfilingError: Its inputs are not those of ``spec``.
            DeviceError: The card runs nothing any more.
        """
        inputs = made_up_inputs(spec)
        with self.provider.alone(), _lost_card_told(self.provider):
            written = self._seen_to_run(model, spec, inputs, is_optimised=is_optimised)
            session = open_session(
                model, threads=self.threads, is_optimised=is_optimised, subject=spec, provider=self.provider
            )
            work = CardWork(session, inputs, written, spec)
            flush = _flush(self.provider) if self.mode == "cold" else None
            sampler = CardSampler(work, self.provider, device, flush)
        del session, work  # the sampler has them, and drops them
        try:
            yield sampler
        finally:
            sampler.close()

    def _seen_to_run(
        self, model: bytes, spec: OpSpec, inputs: Sequence[Values], *, is_optimised: bool
    ) -> Sequence[Values]:
        """Return the outputs of a run in whose profile this provider ran every node."""
        with profiled_session(
            model, threads=self.threads, is_optimised=is_optimised, subject=spec, provider=self.provider
        ) as profiled:
            nodes = profiled.session.get_inputs()
            require_inputs(spec, [(tensor_type(node.type), node.shape) for node in nodes])
            given = {node.name: values for node, values in zip(nodes, inputs, strict=True)}
            try:
                written = [np.asarray(output) for output in profiled.session.run(None, given)]
            except ORT_ERRORS as error:
                raise UnsupportedOperationError(
                    f"ONNX Runtime loads {spec}, and cannot run it: {first_line(error)}"
                ) from error
            self._require_all(spec, profiled.content())
        return written

    def _require_all(self, spec: OpSpec, profile: bytes) -> None:
        """Raise ``FellBackError`` where a profile tells of a node that another provider ran."""
        for name, operators in ran_by(profile).items():
            if name != self.provider.full_name:
                raise FellBackError(
                    f"{spec}: {name}, not {self.provider.name}, ran {', '.join(sorted(operators))}"
                )


@contextmanager
def _lost_card_told(provider: Provider) -> Iterator[None]:
    """Where something fails, see that the card runs other work; else that is the reason, and ends all.

    Raises:
        DeviceError: The card runs nothing any more.
    """
    try:
        yield
    except ProfilingError:
        provider.require_running()
        raise


@lru_cache(maxsize=1)  # it takes memory of the card, once for all that is loaded there
def _flush(provider: Provider) -> Callable[[], None]:
    """Return what fills the card's cache with other data than any workload's, and waits for that."""
    session = provider.session(_flushing_model(), quiet_options(threads=1))
    binding = session.io_binding()
    value = np.ones(1, np.float32)
    binding.bind_cpu_input("x", value)
    binding.bind_output("end")  # in this process's memory: a run returns when it is there
    filled = []
    for node, memory in zip(session.get_outputs(), session.get_output_memory_infos(), strict=True):
        if node.name != "end":
            filled.append(
                onnxruntime.OrtValue.ortvalue_from_shape_and_type(node.shape, np.float32, *_place(memory))
            )
            binding.bind_ortvalue_output(node.name, filled[-1])

    def flush(kept: tuple[object, ...] = (value, *filled)) -> None:
        try:
            session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise ProfilingError(f"the cache of the card cannot be filled: {first_line(error)}") from error

    return flush


def _flushing_model() -> bytes:
    """Return a model that writes much, each time to the same place, and last a number that depends on all."""
    names = [f"y{i}" for i in range(_FLUSHED_TENSORS)]
    constants = {"size": [_FLUSHED_NUMBERS], "first": [0], "one": [1]}
    nodes = [helper.make_node("Expand", ["x", "size"], [name]) for name in names]
    nodes += [helper.make_node("Slice", [name, "first", "one"], [f"{name}.first"]) for name in names]
    nodes.append(helper.make_node("Concat", [f"{name}.first" for name in names], ["end"], axis=0))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_FLUSHED_NUMBERS]) for name in names]
    outputs.append(helper.make_tensor_value_info("end", TensorProto.FLOAT, [_FLUSHED_TENSORS]))
    initialisers = [numpy_helper.from_array(np.array(v, np.int64), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "flush", [value], outputs, initialisers)
    opsets = [helper.make_opsetid("", 17)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return content


def _is_of_processor(memory: onnxruntime.OrtMemoryInfo) -> bool:
    return str(memory.name) == "Cpu"


def _place(memory: onnxruntime.OrtMemoryInfo) -> tuple[str, int, int]:
    return "gpu", memory.device_id, memory.device_vendor_id
