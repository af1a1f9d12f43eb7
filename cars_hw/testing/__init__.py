"""What every plug-in of a kind has to do, as classes of tests for pytest: subclass one, name your plug-in.

    # tests/test_my_space.py
    from cars_hw.testing import SpaceContract

    class TestMySpace(SpaceContract):
        name = "my_lab.my_space"

``name`` is what the command line and a configuration take: here, a module from outside the project. Methods
without ``test_`` in front say how the plug-in is made, and may be overridden.

pytest is needed here alone: ``pip install 'cars-hw[testing]'``.
"""

from typing import TYPE_CHECKING

from devices.foundation import lazy

try:
    import pytest
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "cars_hw.testing needs pytest; install it: pip install 'cars-hw[testing]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from cars_hw.testing._data_set import DataSetContract
    from cars_hw.testing._device import DeviceContract
    from cars_hw.testing._executor import ExecutorContract
    from cars_hw.testing._format import FormatContract
    from cars_hw.testing._objective import ObjectiveContract
    from cars_hw.testing._runtime import RuntimeContract
    from cars_hw.testing._search import SearchContract
    from cars_hw.testing._space import SpaceContract
    from cars_hw.testing._space_in_tflite import SpaceInTfLiteContract
    from cars_hw.testing._strategy import StrategyContract

__all__ = [
    "DataSetContract",
    "DeviceContract",
    "ExecutorContract",
    "FormatContract",
    "ObjectiveContract",
    "RuntimeContract",
    "SearchContract",
    "SpaceContract",
    "SpaceInTfLiteContract",
    "StrategyContract",
]

_HOMES = {
    "DataSetContract": "cars_hw.testing._data_set",
    "DeviceContract": "cars_hw.testing._device",
    "ExecutorContract": "cars_hw.testing._executor",
    "FormatContract": "cars_hw.testing._format",
    "ObjectiveContract": "cars_hw.testing._objective",
    "RuntimeContract": "cars_hw.testing._runtime",
    "SearchContract": "cars_hw.testing._search",
    "SpaceContract": "cars_hw.testing._space",
    "SpaceInTfLiteContract": "cars_hw.testing._space_in_tflite",
    "StrategyContract": "cars_hw.testing._strategy",
}

# Before they are loaded: a failed assertion then shows its values, as in a file of tests.
pytest.register_assert_rewrite(*_HOMES.values())

__getattr__, __dir__ = lazy(__name__, _HOMES)
