"""The adb server is looked for where the adb client looks for it."""

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices import _adb
from devices._adb.server_address import server_address
from devices._errors import DeviceError
from tests.fakes.adb_server import FakeAdbServer

VARIABLES = ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT")


@pytest.mark.parametrize(
    ("environment", "host", "port"),
    [
        ({}, "", 5037),
        ({"ANDROID_ADB_SERVER_PORT": "5999"}, "", 5999),
        ({"ANDROID_ADB_SERVER_PORT": ""}, "", 5037),
        ({"ANDROID_ADB_SERVER_ADDRESS": "lab"}, "lab", 5037),
        ({"ANDROID_ADB_SERVER_ADDRESS": "10.0.0.2", "ANDROID_ADB_SERVER_PORT": "1"}, "10.0.0.2", 1),
        ({"ANDROID_ADB_SERVER_ADDRESS": "[fe80::1%eth0]"}, "fe80::1%eth0", 5037),
        ({"ADB_SERVER_SOCKET": "tcp:5040"}, "", 5040),
        ({"ADB_SERVER_SOCKET": "tcp:localhost:5040"}, "localhost", 5040),
        ({"ADB_SERVER_SOCKET": "tcp:[::1]:65535"}, "::1", 65535),
        (
            {
                "ADB_SERVER_SOCKET": "tcp:host.docker.internal:5037",
                "ANDROID_ADB_SERVER_ADDRESS": "lab",
                "ANDROID_ADB_SERVER_PORT": "none",
            },
            "host.docker.internal",
            5037,
        ),
    ],
)
def test_the_server_is_where_the_environment_says(
    environment: Mapping[str, str], host: str, port: int
) -> None:
    found = server_address(environment)
    assert (found.host, found.port, found.path) == (host, port, "")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("localfilesystem:/run/adb 1", "/run/adb 1"),
        ("local:/run/adb", "/run/adb"),
        ("localabstract:adb", "\0adb"),
    ],
)
def test_a_unix_socket_is_a_place_too(spec: str, path: str) -> None:
    found = server_address({"ADB_SERVER_SOCKET": spec})
    assert (found.path, found.port, found.is_here) == (path, 0, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("ADB_SERVER_SOCKET", value)
            for value in (
                "",
                "tcp:",
                "tcp:lab",
                "tcp:0",
                "tcp:lab:65536",
                "tcp:::1:5037",
                "5037",
                "vsock:2:5037",
                "localfilesystem:",
                f"localfilesystem:/{'x' * 107}",
                "tcp:a\nb:5037",
            )
        ),
        *(("ANDROID_ADB_SERVER_ADDRESS", value) for value in ("", "::1", "lab:5037", "two words")),
        *(("ANDROID_ADB_SERVER_PORT", value) for value in ("0", "65536", "none", "-1", "5037 ")),
    ],
)
def test_what_is_no_address_is_refused_with_its_variable_and_value(name: str, value: str) -> None:
    with pytest.raises(DeviceError, match=f"^{name} is .*; correct or unset it$") as caught:
        server_address({name: value})
    assert value.partition("\n")[0].strip()[:64] in str(caught.value)


@contextmanager
def _found_at(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def test_every_form_leads_to_the_server_that_adb_itself_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    near = FakeAdbServer({"host:version": "0029", "host:devices": "", "host:devices-l": ""})
    far = FakeAdbServer({"host:version": "0029", "host:devices": "R58AAAA1111\tdevice\n"})
    with near, far:
        for environment, serials in (
            ({"ANDROID_ADB_SERVER_PORT": str(near.port)}, []),
            ({"ADB_SERVER_SOCKET": f"tcp:{near.port}"}, []),
            ({"ADB_SERVER_SOCKET": f"tcp:127.0.0.1:{far.port}"}, ["R58AAAA1111"]),
            ({"ADB_SERVER_SOCKET": f"tcp:localhost:{far.port}"}, ["R58AAAA1111"]),
            (
                {
                    "ADB_SERVER_SOCKET": f"tcp:127.0.0.1:{far.port}",
                    "ANDROID_ADB_SERVER_PORT": str(near.port),
                    "ANDROID_ADB_SERVER_ADDRESS": "no.such.host.invalid",
                },
                ["R58AAAA1111"],
            ),
            (
                {"ANDROID_ADB_SERVER_ADDRESS": "127.0.0.1", "ANDROID_ADB_SERVER_PORT": str(far.port)},
                ["R58AAAA1111"],
            ),
        ):
            with _found_at(environment, monkeypatch):
                done = subprocess.run(
                    ["adb", "devices"], capture_output=True, text=True, timeout=30, check=True
                )
                assert [line.split("\t")[0] for line in done.stdout.splitlines()[1:] if line] == serials
                assert [phone.serial for phone in _adb.list_devices()] == serials


def test_a_server_behind_a_unix_socket_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "adb.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        answering = threading.Thread(target=_answer_once, args=(listener, b"OKAY000bR58N\tdevice"))
        answering.start()
        with _found_at({"ADB_SERVER_SOCKET": f"localfilesystem:{path}"}, monkeypatch):
            monkeypatch.setenv("PATH", "")  # an installed adb would want a server of its own version
            assert [phone.serial for phone in _adb.list_devices()] == ["R58N"]
        answering.join(timeout=5)


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(answer)


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_no_server_is_started_for_another_host_and_the_message_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("PATH", str(tmp_path))
    spec = f"tcp:{host}:{port}"
    with (
        _found_at({"ADB_SERVER_SOCKET": spec}, monkeypatch),
        pytest.raises(
            DeviceError, match=r"no adb server answers at .*; start it there, or unset ADB_SERVER"
        ) as e,
    ):
        _adb.list_devices()
    assert spec in str(e.value)
