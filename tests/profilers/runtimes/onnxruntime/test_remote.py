"""ONNX Runtime on a remote device: a stand-in for onnxruntime_perf_test that really runs the model here."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cars_hw.weights import modules
from devices._device import Completed
from devices._errors import DeviceError, DeviceTimeoutError
from devices.android import Android
from devices.cpu import Cpu
from devices.foundation.errors import ConfigError
from latency_tables.spec import OpSpec
from latency_tables.units.unit import Unit
from profilers.errors import FellBackError, GarbledOutputError, ProfilingError, UnsupportedOperationError
from profilers.runtimes._onnxruntime import remote_graphs
from profilers.runtimes._onnxruntime.remote import samples_s
from profilers.runtimes._runtime import LoweredModel, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from tests.fakes import programs
from tests.fakes.local_remote import LocalRemote
from tests.fakes.played_phone import PlayedPhone

GOLDEN = (Path(__file__).parents[3] / "golden" / "onnxruntime_perf_test" / "result.csv").read_bytes()
ROWS = GOLDEN.partition(b"\n\n")[0] + b"\n"

CONV = Workload(OpSpec.of("conv", (1, 8, 12, 12)), lambda: nn.Conv2d(8, 8, 3, padding=1).eval())


def onnxruntime(folder: Path, *, fault: str = "", provider: str = "cpu") -> OnnxRuntime:
    program = folder / "onnxruntime_perf_test"
    program.write_bytes(programs.perf_test(fault=fault))
    return OnnxRuntime(1, benchmark_binary=str(program), provider=provider)


@pytest.fixture
def device(tmp_path: Path) -> LocalRemote:
    return LocalRemote(tmp_path)


def test_each_block_is_a_process_of_so_many_calls(device: LocalRemote) -> None:
    runtime = onnxruntime(device.folder)
    with runtime.prepare(CONV, device) as sampler:
        (latency_s,) = sampler(9)
        assert latency_s > 0
        assert sampler.facts() == {"output_compared": False}
    sizes = [words[words.index("-r") + 1] for words in device.ran if "-r" in words]
    assert sizes == ["1", "9"]
    assert "SHA-256" in runtime.version(device)
    assert not any(path.is_dir() for path in device.folder.iterdir())


def test_a_phone_tells_what_it_executes(device: LocalRemote) -> None:
    there = onnxruntime(device.folder).executed(CONV, device)
    assert there == OnnxRuntime().executed(CONV, Cpu.connect(""))
    assert any(Unit.of(unit).operator == "Conv" for unit in there.counts)
    assert [words[words.index("-o") + 1] for words in device.ran if "-u" in words] == ["99"]
    assert not any(path.is_dir() for path in device.folder.iterdir())


def test_a_unit_is_run_on_a_phone_without_optimisation(device: LocalRemote) -> None:
    runtime = onnxruntime(device.folder)
    [unit, *_] = runtime.executed(CONV, device).counts
    with runtime.prepare(runtime.counter(modules.build).workload(unit), device) as sampler:
        assert sampler(2)[0] > 0
    levels = [words[words.index("-o") + 1] for words in device.ran if "-r" in words]
    assert levels == ["99", "0", "0"]


def test_a_phone_times_each_unit_that_it_executes(device: LocalRemote) -> None:
    runtime = onnxruntime(device.folder)
    found = runtime.breakdown(CONV, device)
    assert Counter(time.unit for time in found) == runtime.executed(CONV, device).counts
    assert all(0 < time.mean_s < 1 for time in found)
    assert [words[words.index("-r") + 1] for words in device.ran if "-p" in words] == ["50"]
    assert not any(path.is_dir() for path in device.folder.iterdir())


def test_fault_05_a_profile_damaged_on_its_way_is_made_once_more(device: LocalRemote) -> None:
    damaged = iter([True])
    device.on_pull = lambda content: (
        content[:-9] if content.startswith(b"[") and next(damaged, False) else content
    )
    assert onnxruntime(device.folder).breakdown(CONV, device)
    assert sum("-p" in words for words in device.ran) == 2


@pytest.mark.slow
def test_fault_05_a_tool_that_writes_no_profile_is_refused(device: LocalRemote) -> None:
    with pytest.raises(GarbledOutputError, match="wrote 0 profiles, not 1"):
        onnxruntime(device.folder, fault="unprofiled").breakdown(CONV, device)


def test_fault_05_a_graph_damaged_on_its_way_is_refused(device: LocalRemote) -> None:
    runtime = onnxruntime(device.folder)
    device.on_pull = lambda content: content[:-20] if content.startswith(b"\x08") else content
    with pytest.raises(ProfilingError, match="changed on its way"):
        runtime.executed(CONV, device)


def test_a_provider_that_compiles_shows_no_graph(device: LocalRemote) -> None:
    with pytest.raises(UnsupportedOperationError, match="does not show what provider xnnpack executes"):
        onnxruntime(device.folder, provider="xnnpack").executed(CONV, device)


def test_every_call_is_a_row_of_the_file() -> None:
    expected_s = [0.00118204, 0.00113792, 0.00114104, 0.00113508]
    assert samples_s(ROWS, 4) == samples_s(GOLDEN, 4) == expected_s
    assert samples_s(GOLDEN.replace(b"\n", b"\r\n"), 4) == expected_s


def test_fault_05_a_file_cut_at_any_byte_is_refused() -> None:
    for size in range(len(ROWS)):
        with pytest.raises(GarbledOutputError):
            samples_s(ROWS[:size], 4)


@given(st.binary(max_size=200))
def test_fault_05_random_bytes_are_no_rows(content: bytes) -> None:
    with pytest.raises(GarbledOutputError, match="not 4"):
        samples_s(content, 4)


@pytest.mark.parametrize(
    "damaged", [ROWS + ROWS, ROWS.replace(b",1\n", b",7\n"), ROWS.replace(b"0.0011", b"-0.001"), b"nan,nan"]
)
def test_fault_05_rows_of_other_runs_are_refused(damaged: bytes) -> None:
    with pytest.raises(GarbledOutputError):
        samples_s(damaged, 4)


def test_fault_05_a_result_damaged_on_its_way_is_measured_once_more(device: LocalRemote) -> None:
    with onnxruntime(device.folder).prepare(CONV, device) as sampler:
        before = sum("-r" in words for words in device.ran)
        damaged = iter([True])
        device.on_pull = lambda content: (
            content.replace(b",0\n", b",0 \n") if next(damaged, False) else content
        )
        assert sampler(3)[0] > 0
        assert sum("-r" in words for words in device.ran) == before + 2


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("crash", ProfilingError, "exit status 134"),
        ("truncated", GarbledOutputError, "0 rows of results, not 1"),
    ],
)
def test_each_fault_of_the_tool_is_an_error_and_never_a_number(
    device: LocalRemote, fault: str, error: type[Exception], message: str
) -> None:
    runtime = onnxruntime(device.folder, fault=fault)
    with pytest.raises(error, match=message), runtime.prepare(CONV, device):
        pass


def test_a_link_that_cannot_be_made_is_not_blamed_on_the_tool(device: LocalRemote) -> None:
    def fill(words: Sequence[str]) -> None:
        if words[0] == "ln":
            Path(words[-1]).write_bytes(b"in the way")

    device.on_run = fill
    runtime = onnxruntime(device.folder)
    with (
        pytest.raises(DeviceError, match=r"no link can be made .*File exists"),
        runtime.prepare(CONV, device),
    ):
        pass


def test_a_provider_must_execute_all_of_the_model(device: LocalRemote) -> None:
    runtime = onnxruntime(device.folder, provider="nnapi")
    with pytest.raises(FellBackError, match="explicitly disabled"), runtime.prepare(CONV, device):
        pass
    assert "session.disable_cpu_ep_fallback|1" in device.ran[-1]
    assert runtime.header_settings() == {"provider": "nnapi"}


def test_providers_are_named_and_those_of_phones_are_for_phones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="onnxruntime: provider is 'QNN!'; it should be a name such as cpu, webgpu"
    ):
        OnnxRuntime(1, provider="QNN!")
    with pytest.raises(DeviceError, match="for phones"), OnnxRuntime(1, provider="qnn").prepare(CONV, Cpu()):
        pass


def test_another_program_is_refused_with_the_remedy(device: LocalRemote) -> None:
    program = device.folder / "other"
    program.write_bytes(b"#!/bin/sh\necho hello\n")
    with pytest.raises(DeviceError, match=r"another program .*instruction set"):
        OnnxRuntime(1, benchmark_binary=str(program)).version(device)


def test_a_program_that_no_longer_starts_is_the_device_and_no_operation(device: LocalRemote) -> None:
    class Broken(LocalRemote):
        def run(self, argv, *, timeout_s, environment=None):  # type: ignore[no-untyped-def]
            if "-r" in argv:
                return Completed(b"", b"sh: can't execute: Permission denied", 126)
            return super().run(argv, timeout_s=timeout_s, environment=environment)

    runtime = onnxruntime(device.folder)
    with pytest.raises(DeviceError, match="Permission denied"), runtime.prepare(CONV, Broken(device.folder)):
        pass


def conv_of(channels: int) -> Workload:
    return Workload(OpSpec.of("conv", (1, 8, 12, 12), o=channels), lambda: nn.Conv2d(8, channels, 3).eval())


def loads(device: LocalRemote) -> int:
    """Return how many calls had models optimised there."""
    return sum("-u" in words for words in device.ran)


def test_many_networks_are_told_in_one_call_as_each_alone(device: LocalRemote) -> None:
    runtime, networks = onnxruntime(device.folder), [conv_of(n) for n in (3, 8, 16)]
    runtime.version(device)
    before = len(device.ran)
    there = list(runtime.executed_each(networks, device))
    assert loads(device) == 1
    assert len(device.ran) - before == 2  # the script, and the digest of what it wrote
    assert there == list(OnnxRuntime().executed_each(networks, Cpu.connect("")))
    assert len(set(there)) == 3
    left = {path.name for path in device.folder.iterdir()}
    assert left == {"onnxruntime_perf_test", Path(device.ran[0][0]).name}


def test_a_phone_is_asked_no_more_often_for_two_networks_than_for_one(
    phone: PlayedPhone, tmp_path: Path
) -> None:
    transport, runtime = phone.transport(), onnxruntime(tmp_path)
    with Android(transport, root=phone.root, sleep=phone.sleep) as device:
        runtime.version(device)
        before = len(transport.commands), transport.pushes
        alone = runtime.executed(conv_of(3), device)
        between = len(transport.commands), transport.pushes
        told = list(runtime.executed_each([conv_of(3), conv_of(8)], device))
        after = len(transport.commands), transport.pushes
    assert told[0] == alone
    assert [b - a for a, b in zip(before, between, strict=True)] == [
        b - a for a, b in zip(between, after, strict=True)
    ]
    assert len(phone.ours()) == 1  # the tool


def test_a_call_takes_so_many_networks(device: LocalRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_graphs, "BATCH", 2)
    networks = [conv_of(n) for n in (3, 8, 3)]
    assert len(list(onnxruntime(device.folder).executed_each(networks, device))) == 3
    assert loads(device) == 2


def broken() -> Workload:
    return Workload(CONV.spec, LoweredModel(b"no model"))


def test_networks_before_one_that_is_not_loaded_are_told(device: LocalRemote) -> None:
    told = onnxruntime(device.folder).executed_each([CONV, broken(), CONV], device)
    assert next(told) == OnnxRuntime().executed(CONV, Cpu.connect(""))
    with pytest.raises(ProfilingError, match="ended with exit status 1"):
        next(told)


def test_of_many_networks_the_one_that_hangs_is_found(device: LocalRemote) -> None:
    def hang(words: Sequence[str]) -> None:
        if "-u" in words and len(b"no model") in map(int, words[6].split()):
            raise DeviceTimeoutError("it took too long")

    device.on_run = hang
    told = onnxruntime(device.folder).executed_each([CONV, broken(), CONV], device)
    assert next(told).nodes
    with pytest.raises(DeviceTimeoutError):
        next(told)


def test_fault_05_graphs_of_other_sizes_than_were_told_are_refused() -> None:
    assert list(remote_graphs.taken_apart(b"abcde", [2, 3])) == [b"ab", b"cde"]
    with pytest.raises(GarbledOutputError, match="4 bytes of graphs came, not 5"):
        list(remote_graphs.taken_apart(b"abcd", [2, 3]))


_MODELS = [remote_graphs.Model(CONV.spec, b"one"), remote_graphs.Model(CONV.spec, b"other")]


def test_the_script_tells_of_each_network_how_long_its_graph_is() -> None:
    assert remote_graphs.read_answer(b"0 10\n0 20\n", _MODELS) == ([10, 20], None)
    assert remote_graphs.read_answer(b"0 10\r\n0 20\r\n", _MODELS) == ([10, 20], None)
    sizes, failed = remote_graphs.read_answer(b"0 10\n3 0\nError: \nbad\n", _MODELS)
    assert (sizes, failed) == ([10], remote_graphs.Failed(3, "Error: \nbad\n"))


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"0 10", b"0 10\n", b"0 10\n0 20\n0 5\n", b"0 10\n0 20\nmore", b"0 10\n0 0\n", b"0 -1\n0 2\n"),
        *(b"0 99999999\n0 20\n", b"0 10\n0 2e3\n", b"cuts\n0 20\n", b"0 10 \n0 20\n"),
    ],
)
def test_fault_05_an_answer_that_contradicts_itself_is_refused(answer: bytes) -> None:
    with pytest.raises(GarbledOutputError):
        remote_graphs.read_answer(answer, _MODELS)


@given(st.binary(max_size=100))
def test_fault_05_random_bytes_are_no_answer(answer: bytes) -> None:
    with pytest.raises((GarbledOutputError, DeviceError)):
        remote_graphs.read_answer(b"x" + answer, _MODELS)


@pytest.mark.parametrize("answer", [b"0 10\ncut\n", b"126 0\nsh: Permission denied\n"])
def test_a_device_without_space_or_tool_is_no_fact_about_a_network(answer: bytes) -> None:
    with pytest.raises(DeviceError, match=r"free space there|Permission denied"):
        remote_graphs.read_answer(answer, _MODELS)
