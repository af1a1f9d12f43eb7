"""The files that benchmark_model writes, whole, cut and damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.proto import proto_coverage, proto_timings
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._coverage import Coverage
from tests.fakes import protos

RESULT = protos.result()
ACCOUNT = protos.account([2, 2, "TfLiteXNNPackDelegate", -1, 2])


def read_or_refused(content: bytes) -> Timings | None:
    try:
        return proto_timings(content)
    except GarbledOutputError:
        return None


def test_a_result_gives_its_latencies_in_seconds() -> None:
    timings = proto_timings(RESULT)
    assert timings.n == 50
    assert timings.mean_s == pytest.approx(22.6138e-3)
    assert (timings.min_s, timings.max_s) == pytest.approx((22.401e-3, 24.02e-3))
    assert (timings.p5_s, timings.median_s, timings.p95_s) == pytest.approx((22.44e-3, 22.547e-3, 23.14e-3))
    assert timings.init_s == pytest.approx(12.3e-3)


def test_fields_of_newer_tools_are_passed_over() -> None:
    assert proto_timings(RESULT + protos.nested(9, b"new") + protos.integer(10, 7)) == proto_timings(RESULT)


@pytest.mark.parametrize("missing", range(1, 11))
def test_a_result_without_one_of_its_numbers_is_refused(missing: int) -> None:
    latencies = {number: ms for number, ms in protos.LATENCIES_MS.items() if number != missing}
    with pytest.raises(GarbledOutputError, match=f"field {missing} stands 0 times"):
        proto_timings(protos.result(latencies))


def test_two_results_in_one_file_are_refused() -> None:
    with pytest.raises(GarbledOutputError, match="2 times"):
        proto_timings(RESULT + RESULT)


def test_a_result_cut_at_any_byte_is_refused() -> None:
    assert [size for size in range(len(RESULT)) if read_or_refused(RESULT[:size])] == []


def test_a_result_with_any_bit_flipped_is_refused_or_has_possible_numbers() -> None:
    for bit in range(8 * len(RESULT)):
        damaged = bytearray(RESULT)
        damaged[bit // 8] ^= 1 << bit % 8
        timings = read_or_refused(bytes(damaged))
        assert timings is None or 0 <= timings.min_s <= timings.latency_s <= timings.max_s * 1.0001


@given(st.binary(max_size=300))
def test_random_bytes_are_no_result(content: bytes) -> None:
    assert read_or_refused(content) is None


@given(st.binary(max_size=300), st.integers(0, len(ACCOUNT)))
def test_damage_to_an_account_never_ends_otherwise_than_in_an_error(content: bytes, at: int) -> None:
    try:
        found = proto_coverage(ACCOUNT[:at] + content)
    except GarbledOutputError:
        return
    assert found.nodes_outside is not None
    assert found.nodes_outside >= 0


@pytest.mark.parametrize(
    ("nodes", "coverage"),
    [
        ([1, "TfLiteGpuDelegateV2"], Coverage(("TfLiteGpuDelegateV2",), 1, 0)),
        ([2, 2, "TfLiteXNNPackDelegate", -1], Coverage(("TfLiteXNNPackDelegate",), 1, 1)),
        (
            [3, -1, 4, "TfLiteGpuDelegateV2", "TfLiteXNNPackDelegate"],
            Coverage(("TfLiteGpuDelegateV2", "TfLiteXNNPackDelegate"), 2, 1),
        ),
        ([-1, -1], Coverage((), 0, 2)),
    ],
)
def test_an_account_says_what_no_delegate_has_taken_over(nodes: list[str | int], coverage: Coverage) -> None:
    assert proto_coverage(protos.account(nodes)) == coverage


@pytest.mark.parametrize("nodes", [[], [3, -1], ["TfLiteGpuDelegateV2", -1]])
def test_an_account_that_does_not_add_up_is_refused(nodes: list[str | int]) -> None:
    with pytest.raises(GarbledOutputError, match="incomplete"):
        proto_coverage(protos.account(nodes))


def test_a_number_without_an_end_is_refused() -> None:
    with pytest.raises(GarbledOutputError, match="does not end"):
        proto_timings(b"\xff" * 30)


def test_an_account_without_a_graph_is_refused() -> None:
    with pytest.raises(GarbledOutputError, match="incomplete"):
        proto_coverage(protos.nested(1, b"model"))
