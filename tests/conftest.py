"""Settings of all tests: hypothesis is reproducible, brief, and has no deadline on a shared machine."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes.adb_daemon import AdbServer, adb_server
from tests.fakes.played_phone import PlayedPhone
from tests.fakes.sshd import Sshd
from tests.fakes.sshd import sshd as serving

# Before torch is loaded: its threads must not wait in a busy loop on a machine that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every command they run.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The libraries that the tests load make millions of objects that are never garbage. To look through all these
# takes the collector half a second, many times a run: see ``pytest_collection_finish``.
gc.disable()

settings.register_profile("reproducible", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("reproducible")


def pytest_collection_finish() -> None:
    """Let the garbage collector look only at what the tests themselves make."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let it look no more at what outlives a file of tests: caches, and libraries that were loaded late."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of caches that is the test's alone, and lies in none of its other folders."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedPhone:
    """A phone that is played; its locks lie in the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return PlayedPhone(tmp_path / "phone")


@pytest.fixture
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An SSH server of our own on loopback, which ``ssh:board`` reaches."""
    with serving(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbServer]:
    """An adb server of our own, which everything in this process finds as the only one."""
    with adb_server(tmp_path) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
