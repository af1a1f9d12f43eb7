"""The shipped suites, used as somebody uses them who writes plug-ins of their own: by subclasses."""

import os
import re
import subprocess
import sys

import pytest

import cars_hw.testing

_SPACE = """
from cars_hw.networks.architecture import checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.spaces import SearchSpace
from latency_tables import OpSpec


class Kernels(SearchSpace):
    choices = (2, 3)
    groups = ((0,), (1,))
    image_shape = (2, 4, 4)
    classes = 3
    deploys_search_graph = True

    def graph(self, architecture, scale="search"):
        options = checked(architecture, self.choices)
        return Graph((*(conv(d, option) for d, option in enumerate(options)), classifier()))

    def all_nodes(self, scale="search"):
        for decision, options in enumerate(self.allowed):
            yield from (conv(decision, option) for option in options)
        yield classifier()


def conv(decision, option):
    spec = OpSpec.of("conv_bn", (1, 2, 4, 4), out=2, kernel=2 * option + 1, stride=1, affine=1)
    return Node(f"layer{decision}", spec, (f"layer{decision - 1}" if decision else IMAGE,))


def classifier():
    return Node("classifier", OpSpec.of("classifier", (1, 2, 4, 4), out=3), ("layer1",))
"""

_STRATEGY = """
from cars_hw.evolution import domination
from cars_hw.strategies import Strategy


class Nearest(Strategy):
    def to_train(self):
        return [self.space.sample(self.rng)]

    def ask(self):
        kept = [member.architecture for member in self.population]
        return list(dict.fromkeys([*kept, *(self.space.sample(self.rng) for _ in range(4))]))

    def tell(self, evaluated):
        best = domination.fronts(*self.ranking(evaluated))[0]
        self.population = tuple(evaluated[i] for i in best)
"""

#: By name: whose suite, in what, what is right and what takes its place, and one of the tests that find it.
_BROKEN = {
    "Unlisted": (
        "Space",
        _SPACE,
        "for option in options)\n        yield",
        "for option in options[:2])\n        yield",
        "test_every_tuple_of_options_is_a_well_formed_network",
    ),
    "Repeating": (
        "Strategy",
        _STRATEGY,
        "dict.fromkeys(",
        "list(",
        "test_it_asks_for_distinct_members_of_its_space",
    ),
    "Unseeded": (
        "Strategy",
        _STRATEGY,
        "self.rng)",
        "__import__('numpy').random.default_rng())",
        "test_the_same_seed_makes_the_same_run",
    ),
    "Credulous": (
        "Strategy",
        _STRATEGY,
        "*self.ranking(evaluated)",
        "[[0.0] for _ in evaluated] or [[0.0]]",
        "test_a_cost_that_is_no_number_is_refused",
    ),
}

_TEST = """

class Test{name}({kind}Contract):
    name = "my_lab.{name}"
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest prints in a folder with plug-ins of which nothing here knows, right and wrong ones."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_lab").mkdir()
    tests = "from cars_hw.testing import SpaceContract, StrategyContract\n"
    plugins = {"Kernels": ("Space", _SPACE), "Nearest": ("Strategy", _STRATEGY)}
    for name, (kind, source, right, wrong, _) in _BROKEN.items():
        assert right in source
        plugins[name] = kind, source.replace(right, wrong)
    for name, (kind, source) in plugins.items():
        (folder / "my_lab" / f"{name}.py").write_text(source)
        tests += _TEST.format(name=name, kind=kind)
    (folder / "test_mine.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-W", "error"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def with_outcome(outcome: str, name: str, output: str) -> set[str]:
    return set(re.findall(rf"^{outcome} test_mine\.py::Test{name}::(\w+)", output, re.MULTILINE))


@pytest.mark.parametrize(("name", "suite"), [("Kernels", "SpaceContract"), ("Nearest", "StrategyContract")])
def test_a_plug_in_that_keeps_its_contract_passes_every_test(name: str, suite: str, output: str) -> None:
    assert with_outcome("FAILED", name, output) == set()
    every = {test for test in dir(getattr(cars_hw.testing, suite)) if test.startswith("test_")}
    assert with_outcome("PASSED", name, output) == every


@pytest.mark.parametrize("name", _BROKEN)
def test_a_plug_in_that_breaks_its_contract_is_found(name: str, output: str) -> None:
    assert _BROKEN[name][-1] in with_outcome("FAILED", name, output), output


def test_what_failed_is_explained(output: str) -> None:
    assert "assert seen <= _weights(" in output
    assert "Extra items in the left set" in output


def test_every_suite_is_there_and_says_how_it_is_used() -> None:
    for name in cars_hw.testing.__all__:
        suite = getattr(cars_hw.testing, name)
        assert suite.__name__ == name
        assert "class Test" in suite.__doc__
        assert not re.match("Test", name), "pytest would run it where it is imported"
    assert dir(cars_hw.testing) == sorted(cars_hw.testing.__all__)


def test_without_pytest_the_message_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "try:\n    import cars_hw.testing\n"
        "except ImportError as error:\n    print(error)\n"
        "import cars_hw"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cars_hw.testing needs pytest; install it: pip install 'cars-hw[testing]'\n"
