"""Fault 5: files that are cut, changed, too long, or something else are never half believed."""

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices._errors import DeviceError
from devices.ssh import Ssh
from tests.fakes.sshd import Sshd, sshd


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def device(server: Sshd) -> Iterator[Ssh]:
    with devices.connect("ssh:board") as device:
        assert isinstance(device, Ssh)
        yield device


def test_a_file_that_changed_on_its_way_or_on_the_board_is_not_used(server: Sshd, device: Ssh) -> None:
    content = secrets.token_bytes(1000)
    path = Path(device.push(content))
    assert path.name == hashlib.sha256(content).hexdigest()
    path.write_bytes(content[:-1])
    assert device.push(content) == str(path)
    assert path.read_bytes() == content


def test_a_file_is_sent_once(device: Ssh) -> None:
    path = Path(device.push(b"model"))
    before = path.stat()
    assert device.push(b"model") == str(path)
    assert path.stat().st_ino == before.st_ino


def test_damage_on_the_way_is_found_and_leaves_nothing(server: Sshd, device: Ssh) -> None:
    damage = 'for path do :; done; tail -c +2 "$path" > "$path.cut"; mv "$path.cut" "$path"'
    hashing = server.folder / "bin" / "sha256sum"
    hashing.parent.mkdir()
    hashing.write_text(f'#!/bin/sh\ncase "$1" in *-new-*) {damage};; esac\nexec /usr/bin/sha256sum "$@"\n')
    hashing.chmod(0o755)
    before = server.ours()
    with pytest.raises(DeviceError, match=r"did not arrive whole \(its hash is wrong\).*check the network"):
        device.push(b"another model")
    assert server.ours() == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/zero", "there is no such file"),
        ("/no/such", "there is no such file"),
        ("/", "there is no such file"),
    ],
)
def test_what_is_no_file_is_not_pulled(device: Ssh, path: str, said: str) -> None:
    with pytest.raises(DeviceError, match=f"cannot be pulled from the board: {said}"):
        device.pull(path, max_bytes=100)


def test_a_file_is_pulled_up_to_a_size_and_no_more_of_it_is_sent(server: Sshd, device: Ssh) -> None:
    file = server.folder / "results"
    file.write_bytes(b"12345")
    assert device.pull(str(file), max_bytes=5) == b"12345"
    with pytest.raises(DeviceError, match="has more than 4 bytes"):
        device.pull(str(file), max_bytes=4)
    with file.open("wb") as sparse:
        sparse.truncate(1 << 34)
    with pytest.raises(DeviceError, match="has more than 100 bytes"):
        device.pull(str(file), max_bytes=100)
