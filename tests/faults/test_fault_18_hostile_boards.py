"""Fault 18: names that a shell would take apart: in addresses, as words, and as what a board calls itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices.foundation.errors import CarsHwError
from devices.ssh import Ssh
from tests.fakes.played_board import KeptConnection, PlayedBoard
from tests.fakes.sshd import Sshd, sshd

HOSTILE = [
    ";touch CANARY",
    "$(touch CANARY)",
    "`touch CANARY`",
    "a\ntouch CANARY",
    "-oProxyCommand=touch CANARY",
    "' ; touch CANARY; '",
    '"; touch CANARY; "',
    "&& touch CANARY",
    "%h%n\\",
    "é\u202e\u2028",
    "x" * 5000,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def board(server: Sshd) -> Iterator[PlayedBoard]:
    connection = KeptConnection("board")
    yield PlayedBoard(server, connection)
    connection.end()


@pytest.fixture
def canaries(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of this name appears here, at home on the board, or in our folder there."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not [path for folder in (tmp_path, server.folder) for path in folder.rglob("CANARY*")]


@pytest.mark.slow
@pytest.mark.usefixtures("canaries")
def test_a_word_reaches_a_program_as_it_is(board: PlayedBoard) -> None:
    with board.device() as device:
        for name in HOSTILE:
            done = device.run(["printf", "%s", name], timeout_s=10, environment={"MODEL": name})
            assert done.stdout.decode() == name


@pytest.mark.usefixtures("canaries")
def test_a_board_that_calls_itself_so_is_only_shown(board: PlayedBoard) -> None:
    for name in HOSTILE[-5:]:
        board.write("proc/device-tree/model", name)
        board.write("proc/device-tree/compatible", name)
        board.write("proc/device-tree/serial-number", name)
        board.write("etc/os-release", f'PRETTY_NAME="{name}"\n')
        board.write("proc/sys/kernel/random/boot_id", f"{name}\n")
        with board.device() as device, device.quiet(1):
            info = device.info()
            for text in (info.model, info.platform, info.os_build, info.serial_hash):
                assert text.isprintable()
                assert len(text) <= 200
            assert device.boot_id() == ""


@pytest.mark.usefixtures("canaries", "server")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["{}", "board@{}", "{}@board", "board?cores={}"])
def test_no_address_is_taken_that_is_no_address(form: str, name: str) -> None:
    with pytest.raises(CarsHwError) as caught:
        devices.connect(f"ssh:{form.format(name)}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.usefixtures("canaries", "server")
@pytest.mark.parametrize("name", ["-n $(touch CANARY) `touch CANARY` a b'c\"d"])
def test_a_home_of_any_name_is_worked_in(server: Sshd, tmp_path: Path, name: str) -> None:
    home = tmp_path / "homes" / name
    (home / ".cache").mkdir(parents=True)
    server.stop()
    server.start(home=home)
    try:
        with devices.connect("ssh:board") as device:
            assert isinstance(device, Ssh)
            assert Path(device.push(b"model")).read_bytes() == b"model"
            with device.scratch() as scratch:
                device.run(["cp", "/proc/self/stat", f"{scratch}/result"], timeout_s=10)
                assert device.pull(f"{scratch}/result", max_bytes=1000)
            assert device.run(["echo", "done"], timeout_s=10).stdout == b"done\n"
            assert [path.name for path in home.rglob("cars_hw_board/*")] == [Path(device.push(b"model")).name]
    finally:
        server.stop()
        server.start()


def test_names_on_the_board_are_ours_alone(board: PlayedBoard) -> None:
    with board.device() as device:
        path = device.push(b"; touch CANARY")
        with device.scratch() as folder:
            names = [Path(path).name, Path(folder).name.replace("-run-", "")]
    assert all(set(name) <= set("0123456789abcdef") for name in names)
