"""Who a board is, by texts in the forms of their systems; see tests/fakes/boards."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._linux import identity

TEXTS = Path(__file__).parents[2] / "fakes" / "boards"

_ELF = "7f 45 4c 46 {} 01 01 00 00 00 00 00 00 00 00 00 03 00 {} 00"


def test_the_device_tree_names_the_board_before_its_processor_does() -> None:
    cpuinfo = (TEXTS / "cpuinfo-pi-5.txt").read_text()
    assert identity.model("Raspberry Pi 5 Model B Rev 1.0\0", cpuinfo) == "Raspberry Pi 5 Model B Rev 1.0"
    assert identity.model("", cpuinfo) == "Raspberry Pi 5 Model B Rev 1.0"
    assert identity.model("", "model name\t: Intel(R) N100\n") == "Intel(R) N100"
    assert identity.model("", "") == "unknown board"


def test_the_chip_is_the_most_general_name_of_the_device_tree() -> None:
    assert identity.chip("raspberrypi,5-model-b brcm,bcm2712 ", "aarch64") == "brcm,bcm2712"
    assert identity.chip("", "x86_64") == "x86_64"
    assert identity.chip("", "") == "unknown chip"


def test_the_system_is_named_as_it_names_itself() -> None:
    text = (TEXTS / "os-release-raspberry-pi-os.txt").read_text()
    assert identity.build(text) == "Debian GNU/Linux 12 (bookworm)"
    assert identity.build("ID=buildroot\n") == ""


@pytest.mark.parametrize(
    ("head", "abi"),
    [
        (_ELF.format("02", "b7"), "aarch64"),
        (_ELF.format("01", "28"), "arm"),
        (_ELF.format("02", "3e"), "x86_64"),
        (_ELF.format("02", "f3"), "riscv64"),
        (_ELF.format("02", "99"), ""),
        ("23 21 2f 62", ""),
        ("", ""),
    ],
)
def test_a_system_of_32_bits_under_a_kernel_of_64_is_told_by_a_program_of_its(head: str, abi: str) -> None:
    assert identity.abi(head) == abi


def test_a_copied_card_leaves_two_boards_two_identities() -> None:
    first, second = (identity.serial_hash(f"{number}\0", "copied\n") for number in ("1000", "1001"))
    assert first != second
    assert identity.serial_hash("1000\0", "another\n") == first
    assert identity.serial_hash("", "copied\n") == identity.serial_hash("", "copied")
    assert identity.serial_hash("", "") == ""
    assert "1000" not in first


@given(st.text(max_size=100))
def test_no_text_makes_reading_fail_or_takes_over_a_line(text: str) -> None:
    for found in (
        identity.model(text, text),
        identity.chip(text, text),
        identity.build(f'PRETTY_NAME="{text}"'),
    ):
        assert found.isprintable()
        assert len(found) <= 120
    identity.abi(text)
