"""A board that is this machine, over one connection for a whole file of tests that leave it as it is."""

from collections.abc import Iterator

import pytest

import devices
from devices.ssh import Ssh
from tests.fakes.played_board import KeptConnection
from tests.fakes.sshd import Sshd, sshd


@pytest.fixture(scope="package")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("shared-sshd")) as server:
        yield server


@pytest.fixture(scope="package")
def kept(shared_sshd: Sshd) -> Iterator[KeptConnection]:
    connection = KeptConnection("board")
    yield connection
    connection.end()


@pytest.fixture(scope="package")
def board(shared_sshd: Sshd) -> Iterator[Ssh]:
    with devices.connect("ssh:board?cores=all") as device:
        assert isinstance(device, Ssh)
        yield device
