"""The tables of a page as files: CSV, or Parquet where pyarrow is installed."""

import importlib.util
from pathlib import Path
from typing import Literal

from cars_hw.results.exporting.folders import make_folder
from cars_hw.results.reporting.model import Page
from devices.foundation import ConfigError, replace_file
from profilers import ExportError

#: How the files are written; it is their suffix too.
TableKind = Literal["csv", "parquet"]


def write_tables(page: Page, folder: str | Path, kind: TableKind = "csv") -> list[Path]:
    """Write each table of a page that has rows to a file of its own, ``front.csv``, and return the files.

    Args:
        page: As ``page_of`` returns it.
        folder: Where; made if it is not there. A file of that name is replaced.
        kind: CSV, or Parquet, which needs pyarrow.

    Raises:
        ConfigError: pyarrow is not installed.
        ExportError: The disk refuses.
    """
    if kind == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(
            "Parquet tables are written by pyarrow; install it: pip install 'cars-hw[parquet]', or write CSV"
        )
    folder, written = Path(folder), []
    make_folder(folder)
    for name in page.tables:
        frame, path = page.to_frame(name), folder / f"{name}.{kind}"
        if frame.empty:
            continue
        if kind == "csv":
            content = frame.to_csv(index=False).encode()
        else:
            content = frame.to_parquet(engine="pyarrow", index=False)
        try:
            replace_file(path, content)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror}; choose another folder") from error
        written.append(path)
    return written
