"""Everything on a page as frames and files: the same values as its JSON."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from cars_hw.results.reporting.model import Page
from cars_hw.results.reporting.table_files import write_tables
from devices.foundation import ConfigError, UnknownNameError
from profilers import ExportError
from tests.fakes.pages import page_of_one, page_of_several


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of_several()


def test_there_is_a_frame_of_every_table_with_a_column_for_the_run(page: Page) -> None:
    for name in page.tables:
        frame = page.to_frame(name)
        assert not frame.empty, name
        assert not frame.columns.duplicated().any()
    of_runs = [name for name in page.tables if "run" in page.to_frame(name)]
    assert {"front", "members", "generations", "breakdowns", "accuracy", "curves", "settings"} <= {*of_runs}
    assert set(page.to_frame("generations")["run"]) == {run.name for run in page.runs}


def test_the_frame_of_the_front_has_the_values_of_the_json(page: Page) -> None:
    frame, names = page.to_frame(), [one.name for one in page.objectives]
    rows = [(run, one) for run in page.runs for one in run.front]
    assert len(frame) == len(rows)
    for (run, one), (_, row) in zip(rows, frame.iterrows(), strict=True):
        latency = one.latencies["latency_ms"]
        assert tuple(row[names]) == one.costs
        assert row["architecture"] == run.members.architecture[one.member]
        assert row["latency_ms predicted"] == latency.predicted
        if latency.measured_interval is None:
            assert pd.isna(row["latency_ms measured"])
        else:
            ends = row["latency_ms measured low"], row["latency_ms measured high"]
            assert ends == latency.measured_interval


def test_the_frame_of_the_members_has_the_error_of_each_generation() -> None:
    page = page_of_one(4, 6)
    [run] = page.runs
    frame = page.to_frame("members")
    for one in run.generations:
        own = frame[frame["generation"] == one.index]
        assert tuple(own["member"]) == one.population
        assert tuple(own["error"]) == one.errors
        assert own["in_front"].sum() == one.front
        assert set(own["member"][own["infeasible"]]) == set(one.infeasible)


def test_csv_files_read_back_are_the_frames(page: Page, tmp_path: Path) -> None:
    written = write_tables(page, tmp_path / "tables")
    assert {path.name for path in written} == {f"{name}.csv" for name in page.tables}
    for path in written:
        frame = page.to_frame(path.stem)
        found = pd.read_csv(path, keep_default_na=True)
        assert list(found.columns) == list(frame.columns)
        for column in frame.select_dtypes("number"):
            assert found[column].to_numpy() == pytest.approx(frame[column].to_numpy(), nan_ok=True)


def test_parquet_is_written_where_pyarrow_is_and_refused_elsewhere(page: Page, tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(ConfigError, match=r"install it: pip install 'cars-hw\[parquet\]', or write CSV"):
            write_tables(page, tmp_path / "tables", "parquet")
        assert not (tmp_path / "tables").exists()
        return
    for path in write_tables(page, tmp_path / "tables", "parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(path), page.to_frame(path.stem))


def test_a_table_that_is_not_there_and_a_place_that_refuses_are_one_line(page: Page, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="nothing"):
        page.to_frame("nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="choose another folder"):
        write_tables(page, tmp_path / "file" / "tables")
