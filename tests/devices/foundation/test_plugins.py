"""Plug-ins are files: names, near misses, modules from outside, files that define too little or too much."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import devices
from devices._device import Device
from devices.fake import Fake
from devices.foundation.errors import CarsHwError, UnknownNameError
from devices.foundation.plugins import load_plugin, plugin_name, plugin_names

CLASS = "from devices.fake import Fake\nclass {}(Fake):\n    '''.'''\n"


@pytest.fixture
def my_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a package ``my_lab`` that can be imported during a test."""
    folder = tmp_path / "my_lab"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_lab"]:
        del sys.modules[name]


def test_every_file_without_underscore_is_a_plug_in() -> None:
    files = {path.stem for path in Path(devices.__file__).parent.glob("*.py")}
    assert set(plugin_names("devices")) == {name for name in files if not name.startswith("_")}
    assert devices.names() == plugin_names("devices")


def test_a_name_is_the_file_and_what_follows_the_colon_the_address() -> None:
    assert isinstance(devices.connect("fake"), Fake)
    with pytest.raises(CarsHwError, match="no address 'a:b'"):
        devices.connect("fake:a:b")


@pytest.mark.parametrize(
    "name", ["cpv", "_device", "", "os", "../cpu", "cpu\n", "my lab.cpu", "no_such_lab.cpu"]
)
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownNameError, match="known: android, cpu") as caught:
        devices.connect(name)
    assert caught.value.known == devices.names()


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fake'"):
        devices.connect("fakes")


def test_a_name_with_a_dot_is_a_module_from_outside(my_lab: Path) -> None:
    (my_lab / "board.py").write_text(CLASS.format("Board"))
    assert load_plugin("devices", "my_lab.board", Device, what="device").__name__ == "Board"


@pytest.mark.parametrize("name", ["fake", "my_lab.board"])
def test_a_plug_in_knows_the_name_by_which_it_is_loaded(my_lab: Path, name: str) -> None:
    (my_lab / "board.py").write_text(CLASS.format("Board"))
    assert plugin_name(load_plugin("devices", name, Device, what="device")) == name


@pytest.mark.parametrize(
    ("text", "count"),
    [("x = 1", 0), ("from devices.fake import Fake", 0), (CLASS.format("A") + CLASS.format("B"), 2)],
)
def test_a_file_defines_exactly_one_class(my_lab: Path, text: str, count: int) -> None:
    (my_lab / "board.py").write_text(text)
    with pytest.raises(CarsHwError, match=f"defines {count} Device classes"):
        load_plugin("devices", "my_lab.board", Device, what="device")


def test_what_a_plug_in_fails_to_import_is_not_taken_for_the_plug_in(my_lab: Path) -> None:
    (my_lab / "needy.py").write_text("import a_missing_dependency")
    with pytest.raises(ModuleNotFoundError, match="a_missing_dependency"):
        load_plugin("devices", "my_lab.needy", Device, what="device")
