"""Which of torch's cards a device is."""

import pytest

from devices import Adapter, DeviceError
from profilers.errors import ProfilingError, UnsupportedOperationError
from profilers.runtimes._torch.cards import Identity, card_errors, number_of

H200, UUID = "NVIDIA H200", "b6a1f0e2-1111-2222-3333-444455556666"


def adapter(name: str = H200, uuid: str = "", pci: str = "", *, is_software: bool = False) -> Adapter:
    return Adapter(name, 0x10DE, 0x2335, uuid=uuid, pci=pci, is_software=is_software)


TWO = [
    Identity(H200, "00000000-0000-0000-0000-000000000001", "00:65:00.0"),
    Identity(H200, UUID, "00:ca:00.0"),
]


@pytest.mark.parametrize(
    "wanted",
    [
        adapter(uuid=f"GPU-{UUID}"),
        adapter(uuid=UUID.upper().replace("-", "")),
        adapter(pci="00000000:CA:00.0"),
        adapter(pci="0000:ca:00.0", uuid=f"GPU-{UUID}"),
        adapter(name="another name of it", uuid=UUID),
    ],
)
def test_a_card_is_found_by_what_tells_it_from_its_twins(wanted: Adapter) -> None:
    assert number_of(wanted, TWO) == 1


def test_a_card_without_an_identity_is_found_by_its_name_if_there_is_one_such() -> None:
    assert number_of(adapter("A40"), [Identity(H200), Identity("A40")]) == 1
    with pytest.raises(DeviceError, match="does not see NVIDIA H200: it sees NVIDIA H200, NVIDIA H200"):
        number_of(adapter(), TWO)


def test_a_card_that_torch_may_not_use_is_named_beside_those_that_it_may() -> None:
    with pytest.raises(DeviceError, match=r"it sees NVIDIA H200, .*look at CUDA_VISIBLE_DEVICES"):
        number_of(adapter(uuid="GPU-feedfeed-1111-2222-3333-444455556666"), TWO)


def test_a_torch_without_cuda_says_what_to_install() -> None:
    with pytest.raises(DeviceError, match=r"this torch \(.*\) runs on no card; install one .* CUDA"):
        number_of(adapter(), [])


def test_a_card_that_a_processor_plays_is_refused_with_what_runs_there() -> None:
    with pytest.raises(DeviceError, match=r"run it on cpu, or onnxruntime there with its provider webgpu"):
        number_of(adapter("SwiftShader", is_software=True), TWO)


def works() -> None:
    """Probe a card that runs what it is given."""


def is_lost() -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")


@pytest.mark.parametrize("error", [UnsupportedOperationError("no kernel"), RuntimeError("no kernel")])
def test_an_error_of_a_card_that_runs_other_work_is_that_workload_s(error: Exception) -> None:
    with pytest.raises(ProfilingError, match="no kernel"), card_errors(works):
        raise error


@pytest.mark.parametrize(
    "error", [UnsupportedOperationError("illegal access"), RuntimeError("illegal access")]
)
def test_a_card_that_runs_nothing_any_more_makes_no_operation_unsupported(error: Exception) -> None:
    with pytest.raises(DeviceError, match=r"card was lost .*\(illegal access\)"), card_errors(is_lost):
        raise error
