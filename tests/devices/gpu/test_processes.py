"""Who else works on a card, on folders with what the kernel tells of processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices._gpu.processes import Clients, Family
from tests.fakes import drm

_PCI = "0000:03:00.0"


def fdinfo(client: int, *engines: str, pci: str = _PCI) -> str:
    lines = [f"drm-driver:\tamdgpu\ndrm-client-id:\t{client}\ndrm-pdev:\t{pci}", *engines]
    return "\n".join(lines) + "\n"


def gfx(ns: float) -> str:
    return f"drm-engine-gfx:\t{ns:.0f} ns\ndrm-engine-capacity-gfx:\t1"


def seconds() -> Iterator[float]:
    """Seconds that pass, one each time that somebody asks."""
    return (float(i) for i in range(1, 100))


@pytest.fixture(name="clients")
def _clients(tmp_path: Path) -> Clients:
    passing = seconds()
    return Clients(_PCI, Family(100, proc=tmp_path), now_s=lambda: next(passing))


def test_a_process_counts_while_it_uses_the_card(tmp_path: Path, clients: Clients) -> None:
    found = []
    for used_ns in (5e9, 5e9, 5.3e9, 5.3e9):
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(used_ns)))
        found.append(clients.busy())
    assert found == [None, 0, 1, 0]


def test_what_is_asked_too_soon_is_told_again(tmp_path: Path) -> None:
    """Within 0.1 s a driver may count one step, or none, of whatever it has to count."""
    now_s = [0.0]
    clients = Clients(_PCI, Family(100, proc=tmp_path), now_s=lambda: now_s[0])
    found = []
    for now_s[0], used_ns in ((1.0, 0), (2.0, 1e9), (2.05, 1e9), (2.09, 1.001e9), (3.0, 1.001e9)):
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(used_ns)))
        found.append(clients.busy())
    assert found == [None, 1, 1, 1, 0]


def test_a_desktop_that_draws_its_clock_does_not_count(tmp_path: Path, clients: Clients) -> None:
    for i in range(3):
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(1e9 + i * 0.015e9)))
        assert not clients.busy()
    drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(1.1e9)))
    assert clients.busy() == 1


def test_cycles_are_held_against_all_cycles(tmp_path: Path, clients: Clients) -> None:
    for used, total in ((1000, 100_000), (1100, 200_000), (50_000, 300_000)):
        cycles = f"drm-cycles-rcs:\t{used}\ndrm-total-cycles-rcs:\t{total}"
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, cycles))
        found = clients.busy()
        assert found == {1000: None, 1100: 0, 50_000: 1}[used]


def test_those_that_we_started_are_no_others(tmp_path: Path, clients: Clients) -> None:
    for i in range(2):
        drm.process(tmp_path, 100, fdinfo=fdinfo(1, gfx(i * 1e9)))
        drm.process(tmp_path, 101, parent=100, fdinfo=fdinfo(2, gfx(i * 1e9)))
        drm.process(tmp_path, 102, parent=101, fdinfo=fdinfo(3, gfx(i * 1e9)))
        drm.process(tmp_path, 103, parent=99, fdinfo=fdinfo(4, gfx(i * 1e9)))
        found = clients.busy()
    assert found == 1


def test_work_on_another_card_does_not_count(tmp_path: Path, clients: Clients) -> None:
    for i in range(2):
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(i * 1e9), pci="0000:0a:00.0"))
        found = clients.busy()
    assert found == 0


def test_one_that_comes_later_is_found_within_seconds(tmp_path: Path, clients: Clients) -> None:
    assert clients.busy() is None
    found = []
    for i in range(10):
        drm.process(tmp_path, 200, fdinfo=fdinfo(1, gfx(i * 1e9)))
        found.append(clients.busy())
    assert found == [0] * 6 + [1] * 4


@pytest.mark.parametrize(
    "text", ["", "drm-pdev:\t0000:03:00.0\n", "\x00" * 100, fdinfo(1, "drm-engine-gfx:\t-1 ns")]
)
def test_what_cannot_be_understood_counts_as_nothing(tmp_path: Path, clients: Clients, text: str) -> None:
    drm.process(tmp_path, 200, fdinfo=text)
    clients.busy()
    assert clients.busy() == 0


def test_a_loop_of_parents_ends(tmp_path: Path) -> None:
    drm.process(tmp_path, 200, parent=201)
    drm.process(tmp_path, 201, parent=200)
    assert not Family(100, proc=tmp_path).includes(200)
