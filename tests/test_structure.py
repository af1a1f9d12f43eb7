"""The structure's exact figures; and that the script that counts them finds what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import structure

_ROOT = Path(__file__).parents[1]

Modules = dict[str, structure.Module]


def figure(root: Path, name: str) -> structure.Figure:
    (found,) = (one for one in structure.figures(root) if one.name.startswith(name))
    return found


def checkout(folder: Path, **files: str) -> Path:
    """Write the modules of a made-up checkout, by dotted name with ``__`` for a dot, and their packages."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for parent in path.relative_to(folder).parents[:-1]:
            (folder / parent / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def modules() -> Modules:
    return structure.read_modules(_ROOT)


@pytest.fixture(scope="module")
def ours() -> dict[str, structure.Figure]:
    return {one.name: one for one in structure.figures(_ROOT)}


@pytest.mark.parametrize(
    "name",
    [
        "private modules imported across packages",
        "modules that are no facade, imported across packages",
        "circles of imports between modules",
        "circles of imports between siblings",
        "upward imports",
        "plug-ins that import one of their kind",
        "public functions and classes without docstring",
    ],
)
def test_of_what_must_not_be_there_is_none(ours: dict[str, structure.Figure], name: str) -> None:
    assert ours[name].found == ()


def test_no_folder_is_too_full_to_overlook(ours: dict[str, structure.Figure]) -> None:
    fullest = ours["files in the fullest folder"]
    assert fullest.value <= 14, fullest.found


def test_every_function_says_what_it_returns(ours: dict[str, structure.Figure]) -> None:
    typed = ours["functions with return types, %"]
    assert (typed.value, typed.found) == (100.0, ())


def test_the_folders_of_plug_ins_are_found_by_what_loads_from_them(modules: Modules) -> None:
    folders = structure.plugin_folders(modules)
    assert {"devices", "profilers.runtimes", "cars_hw.data", "cars_hw.spaces", "cars_hw.strategies"} <= set(
        folders
    )
    plugins = structure.plugins_of(modules, folders)
    assert {"devices.cpu", "cars_hw.strategies.cars", "profilers.runtimes.tflite"} <= set(plugins)
    assert "devices.foundation" not in plugins


def test_no_plug_in_of_the_search_knows_one_of_any_kind(modules: Modules) -> None:
    plugins = structure.plugins_of(modules, structure.plugin_folders(modules))
    ours = [name for name in plugins if name.startswith("cars_hw.")]
    assert structure.plugin_imports(structure.find_imports(modules), ours) == []


def test_files_of_a_folder_are_counted_apart_from_plug_ins(tmp_path: Path) -> None:
    plugins = {f"devices__plugin{i}": "" for i in range(20)}
    files = {f"cars_hw__file{i}": "" for i in range(14)}
    root = checkout(tmp_path, devices___device='plugin_names("devices")', **plugins, **files)
    fullest = figure(root, "files in the fullest folder")
    assert (fullest.value, fullest.found[0]) == (15, "15 in cars_hw")
    assert figure(root, "plug-ins or verbs in the fullest folder").found == ("20 in devices",)


@pytest.mark.parametrize(
    "statement",
    [
        "from devices._errors import DeviceError",
        "from devices import _errors",
        "import devices._errors",
        "def f() -> None:\n    from devices._errors import DeviceError",
        "if TYPE_CHECKING:\n    from devices import _errors as errors",
    ],
)
def test_a_private_module_of_another_package_is_found(tmp_path: Path, statement: str) -> None:
    root = checkout(tmp_path, devices___errors="class DeviceError: ...", profilers__plan=statement)
    assert figure(root, "private modules").found == ("devices._errors, by 1",)
    assert figure(root, "modules that are no facade").found == ("devices._errors, by 1",)


def test_a_public_module_of_another_package_is_no_facade(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        latency_tables__spec="class OpSpec: ...",
        profilers__plan="from latency_tables.spec import OpSpec",
    )
    assert figure(root, "private modules").found == ()
    assert figure(root, "modules that are no facade").found == ("latency_tables.spec, by 1",)


def test_facades_and_modules_of_the_own_package_may_be_imported(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        devices___errors="",
        devices__cpu="from devices import _errors",
        devices__foundation__errors="",
        profilers__plan="from devices import connect\nfrom devices.foundation import CarsHwError",
    )
    assert figure(root, "private modules").value == 0
    assert figure(root, "modules that are no facade").value == 0


def test_a_circle_between_modules_is_found_through_others_and_relative_imports(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        cars_hw__a="from . import b",
        cars_hw__b="from .c import x",
        cars_hw__c="def f() -> None:\n    import cars_hw.a",
        cars_hw__d="import cars_hw.a",
    )
    assert figure(root, "circles of imports between modules").found == ("cars_hw.a, cars_hw.b, cars_hw.c",)


def test_a_circle_between_folders_is_found_where_their_modules_have_none(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        cars_hw__left__a="from cars_hw.right import b",
        cars_hw__left__c="",
        cars_hw__right__b="",
        cars_hw__right__d="from cars_hw.left import c",
    )
    assert figure(root, "circles of imports between modules").value == 0
    assert figure(root, "circles of imports between siblings").found == ("cars_hw.left, cars_hw.right",)


def test_an_import_of_a_higher_package_is_found(tmp_path: Path) -> None:
    root = checkout(tmp_path, devices__cpu="import profilers", profilers__plan="import devices")
    assert figure(root, "upward imports").found == ("devices.cpu -> profilers",)


def test_imports_against_the_order_of_a_contract_are_found(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        cars_hw__search="from cars_hw.networks import graph\nfrom cars_hw import runs",
        cars_hw__runs="",
        cars_hw__networks__graph="from cars_hw import runs",
        cars_hw__networks__joins="from cars_hw.networks import graph",
    )
    (root / "pyproject.toml").write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\ncontainers = ["cars_hw"]\n'
        'layers = ["runs | search", "(networks)"]\n'
    )
    assert figure(root, "upward imports").found == (
        "cars_hw.networks.graph -> cars_hw.runs",
        "cars_hw.search -> cars_hw.runs",
    )


@pytest.mark.parametrize(
    "imported", ["from cars_hw.spaces import darts", "from cars_hw.spaces import _cells"]
)
def test_a_plug_in_that_reaches_one_of_its_kind_is_found(tmp_path: Path, imported: str) -> None:
    root = checkout(
        tmp_path,
        cars_hw__spaces___cells="import cars_hw.spaces.darts",
        cars_hw__spaces__darts="",
        cars_hw__spaces__mine=imported,
        cars_hw__strategies__cars="from cars_hw.spaces import darts",
        cars_hw__catalogue='FOLDER = "cars_hw.spaces"\nnames = foundation.plugin_names(FOLDER)',
    )
    assert figure(root, "plug-ins that import").found == ("cars_hw.spaces.mine -> cars_hw.spaces.darts",)


@pytest.mark.slow
def test_a_violation_put_into_a_copy_of_our_own_plug_ins_is_found(modules: Modules, tmp_path: Path) -> None:
    plugins = structure.plugins_of(modules, structure.plugin_folders(modules))
    for module in modules.values():
        copy = tmp_path / module.path.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(module.path.read_text())
    expected = []
    for folder in sorted({name.rpartition(".")[0] for name in plugins}):
        kin = [name for name in plugins if name.rpartition(".")[0] == folder]
        first, last = kin[0], kin[-1]
        with (tmp_path / modules[first].path.relative_to(_ROOT)).open("a") as file:
            file.write(f"\nimport {last}\n")
        expected.append(f"{first} -> {last}")
    assert len(expected) >= 5
    assert set(expected) <= set(figure(tmp_path, "plug-ins that import").found)


def test_functions_without_a_return_type_are_found_wherever_they_are_defined(tmp_path: Path) -> None:
    code = (
        "class A:\n    def f(self) -> int:\n        def g(): ...\n    async def h(self): ...\n"
        "def k() -> int: ...\n"
    )
    typed = figure(checkout(tmp_path, devices__cpu=code), "functions with return types")
    assert typed.value == 50.0
    assert typed.found == ("devices.cpu.h, line 4", "devices.cpu.g, line 3")


def test_one_untyped_function_in_thousands_is_not_rounded_away(tmp_path: Path) -> None:
    code = "def f() -> int: ...\n" * 4999 + "def g(): ...\n"
    assert figure(checkout(tmp_path, devices__cpu=code), "functions with return types").value == 99.9


def test_lines_comments_and_docstrings_are_counted(tmp_path: Path) -> None:
    code = '"""Head."""\n# Why.\nX = "# no comment"  # beside code\nclass A:\n    def f(self) -> None: ...\n'
    root = checkout(tmp_path, devices__cpu=code, tests__test_cpu="\n" * 9, cars_hw__testing___device="\n" * 6)
    assert figure(root, "lines of source").value == 5
    assert figure(root, "lines of shipped suites").value == 6
    assert figure(root, "lines of tests and suites for one").value == 3
    assert figure(root, "lines of devices that are comments").value == 20.0
    assert figure(root, "public functions and classes without").found == ("devices.cpu.A",)
    assert figure(root, "public methods without").found == ("devices.cpu.A.f",)


def test_it_prints_and_writes_its_figures(tmp_path: Path) -> None:
    root = checkout(tmp_path / "root", devices__cpu="import profilers", profilers__plan="")
    script, file = _ROOT / "scripts" / "structure.py", tmp_path / "figures.json"
    command = [sys.executable, str(script), "--root", str(root), "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "    devices.cpu -> profilers\n" in done.stdout
    written = {one["name"]: one for one in json.loads(file.read_text())}
    assert written["upward imports"] == {
        "name": "upward imports",
        "value": 1,
        "goal": "0",
        "found": ["devices.cpu -> profilers"],
    }
