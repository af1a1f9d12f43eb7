"""What costs are called, and their units."""

from cars_hw import objectives
from cars_hw.results.reporting.reading.quantities import quantities
from cars_hw.results.reporting.run_model import Quantity


def test_each_of_our_objectives_has_a_label_without_its_unit() -> None:
    found = quantities(objectives.names())
    assert {one.unit for one in found} <= {"share", "ms", "bytes", ""}
    assert not [one for one in found if "_" in one.label or one.label.endswith((" ms", " bytes"))]


def test_the_target_of_a_latency_is_in_its_label() -> None:
    [one] = quantities(["latency_ms.pixel_3"])
    assert one == Quantity("latency_ms.pixel_3", "latency on pixel_3", "ms")


def test_the_unit_of_an_objective_from_outside_is_the_end_of_its_name() -> None:
    energy, layers = quantities(["my_lab.energy_mj", "my_lab.layer_count"])
    assert (energy.label, energy.unit) == ("energy", "mj")
    assert (layers.label, layers.unit) == ("layer count", "")
