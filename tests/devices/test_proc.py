"""/proc and /sys, read from recorded texts."""

from hypothesis import given
from hypothesis import strategies as st

from devices import _proc

EPYC = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model\t\t: 1
model name\t: AMD EPYC
cpu MHz\t\t: 1996.248

processor\t: 1
vendor_id\t: AuthenticAMD
model\t\t: 1
model name\t: AMD EPYC
cpu MHz\t\t: 2650.000
"""

RASPBERRY_PI_3 = """\
processor\t: 0
model name\t: ARMv7 Processor rev 4 (v7l)
CPU implementer\t: 0x41
CPU part\t: 0xd03

Hardware\t: BCM2835
Revision\t: a02082
Serial\t\t: 0000000000000000
Model\t\t: Raspberry Pi 3 Model B Rev 1.2
"""

#: A 64-bit ARM kernel names no model; four small cores come before four large ones.
BIG_LITTLE = "\n".join(
    f"processor\t: {i}\nBogoMIPS\t: 38.40\nCPU implementer\t: 0x41\nCPU part\t: {part}\nCPU revision\t: 0\n"
    for i, part in enumerate(["0xd05"] * 4 + ["0xd0a"] * 4)
)

STAT = """\
cpu  13972 0 1753 108678 514 0 191 11 0 0
cpu0 655 0 381 61295 89 0 149 5 0 0
ctxt 1234
"""


def test_an_x86_model_is_its_name() -> None:
    assert _proc.cpu_model(EPYC) == "AMD EPYC"


def test_a_board_names_itself_where_the_processor_gives_only_its_instruction_set() -> None:
    assert _proc.cpu_model(RASPBERRY_PI_3) == "Raspberry Pi 3 Model B Rev 1.2"


def test_arm_cores_without_a_name_are_told_by_their_part_numbers() -> None:
    assert _proc.cpu_model(BIG_LITTLE) == "ARM 0x41/0xd05 + 0x41/0xd0a"


def test_parts_are_those_of_each_processor() -> None:
    assert _proc.cpu_parts(RASPBERRY_PI_3) == {0: "0x41/0xd03"}
    assert _proc.cpu_parts(BIG_LITTLE) == {i: "0x41/0xd05" if i < 4 else "0x41/0xd0a" for i in range(8)}
    assert _proc.cpu_parts(EPYC) == {}


def test_one_part_for_all_processors_tells_none_of_theirs() -> None:
    old = "Processor : AArch64\nprocessor : 0\nprocessor : 1\nCPU implementer : 0x41\nCPU part : 0xd03\n"
    assert _proc.cpu_parts(old) == {}


def test_a_clock_is_that_of_the_processor_asked_for() -> None:
    assert _proc.cpu_clock_mhz(EPYC, 1) == 2650.0
    assert _proc.cpu_clock_mhz(EPYC, 2) is None
    assert _proc.cpu_clock_mhz(BIG_LITTLE, 0) is None


def test_steal_is_the_eighth_counter() -> None:
    assert _proc.steal_ticks(STAT) == 11
    assert _proc.steal_ticks("cpu  13972 0 1753 108678") is None


def test_the_clock_of_cpufreq_is_in_khz() -> None:
    assert _proc.scaling_mhz("2650000\n") == 2650.0
    assert _proc.scaling_mhz("<unknown>\n") is None


def test_sensors_that_are_absent_do_not_count_as_cold() -> None:
    assert _proc.hottest_c(["41000\n", "48500\n", "-274000\n", "0\n", ""]) == 48.5
    assert _proc.hottest_c(["-274000\n"]) is None
    assert _proc.hottest_c([]) is None


@given(st.text())
def test_no_text_makes_reading_fail(text: str) -> None:
    _proc.cpu_model(text)
    _proc.cpu_parts(text)
    _proc.cpu_clock_mhz(f"processor: 0\ncpu MHz: {text}", 0)
    _proc.steal_ticks(text)
    _proc.scaling_mhz(text)
    _proc.hottest_c([text])
