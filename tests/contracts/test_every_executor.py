"""Every executor keeps its contract; the one on Ray in tests/cars_hw/executors/test_ray.py."""

from cars_hw import executors
from cars_hw.executors import Executor
from cars_hw.testing import ExecutorContract


class TestInProcess(ExecutorContract):
    name = "in_process"

    @classmethod
    def load(cls) -> Executor:
        return executors.load(cls.name)


class TestProcesses(ExecutorContract):
    name = "processes"
