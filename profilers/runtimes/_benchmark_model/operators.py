"""The operator table of ``benchmark_model --enable_op_profiling=true``, read by the names in its header."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from profilers.errors import GarbledOutputError
from profilers.runtimes._coverage import Coverage

#: What was profiled before it prepares memory; the runs are what counts.
_RUNS_HEADING = "Operator-wise Profiling Info for Regular Benchmark Runs"
_ORDER_HEADING = "= Run Order ="

#: Below it stands what delegates report of themselves, since TensorFlow 2.10.
_INSIDE_HEADING = "Delegate internal:"

#: Old builds have [start] between the first two: only names identify the columns.
_TYPE, _MEAN, _NAME = "[node type]", "[avg ms]", "[Name]"

#: A model of more nodes than this is not one of ours.
_MOST_ROWS = 100_000

#: An operator that takes longer in one call is no measurement.
_LONGEST_S = 3600.0


@dataclass(frozen=True)
class Operator:
    """A node that the interpreter ran, which may be a delegate with a piece of the graph.

    Attributes:
        node_type: ``"CONV_2D"``, or ``"TfLiteXNNPackDelegate"``.
        mean_s: Seconds of one call.
        name: The name of its output.
    """

    node_type: str
    mean_s: float
    name: str


def operators(text: str) -> tuple[Operator, ...]:
    """Return the nodes in the order in which they ran.

    Raises:
        GarbledOutputError: There is no table, or one that is cut off or has other columns.
    """
    return _first_table(text[text.find(_RUNS_HEADING) :] if _RUNS_HEADING in text else "")


def operators_inside(text: str) -> tuple[Operator, ...]:
    """Return the nodes in the order in which they ran, and those of delegates in place of the first delegate.

    A build whose delegates report nothing of themselves leaves them as nodes of their own.

    Raises:
        GarbledOutputError: As ``operators`` says.
    """
    found = operators(text)
    start = text.find(_INSIDE_HEADING, text.find(_RUNS_HEADING))
    if start < 0:
        return found
    position = next((i for i, node in enumerate(found) if _is_delegate(node)), len(found))
    others = (node for node in found[position:] if not _is_delegate(node))
    return (*found[:position], *_first_table(text[start:]), *others)


def operator_coverage(found: Sequence[Operator]) -> Coverage:
    """Return what of these nodes a delegate runs."""
    delegates = [node.node_type for node in found if _is_delegate(node)]
    return Coverage(tuple(sorted(set(delegates))), len(delegates), len(found) - len(delegates))


def _first_table(text: str) -> tuple[Operator, ...]:
    lines = iter(text.splitlines())
    for line in lines:
        if _ORDER_HEADING in line:
            header = _cells(next(lines, ""))
            return tuple(_rows(header, lines))
    raise GarbledOutputError("benchmark_model printed no operator table; run it again")


def _rows(header: Sequence[str], lines: Iterator[str]) -> Iterator[Operator]:
    if not {_TYPE, _MEAN, _NAME} <= set(header):
        raise GarbledOutputError(f"benchmark_model's operator table has the columns {header!r:.200}")
    for _, line in zip(range(_MOST_ROWS), lines, strict=False):
        if not line.strip():
            return
        row = dict(zip(header, _cells(line), strict=False))
        try:
            operator = Operator(row[_TYPE], float(row[_MEAN]) / 1e3, row[_NAME])
        except (KeyError, ValueError) as error:
            raise GarbledOutputError(f"a row of benchmark_model's operator table is {line!r:.80}") from error
        if not 0 <= operator.mean_s <= _LONGEST_S:
            raise GarbledOutputError(f"a row of benchmark_model's operator table is {line!r:.80}")
        yield operator
    raise GarbledOutputError("benchmark_model's operator table does not end; run it again")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("\r\n\t").split("\t")]


def _is_delegate(node: Operator) -> bool:
    return node.node_type.startswith("TfLite") and "Delegate" in node.node_type
