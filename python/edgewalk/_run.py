"""Reads the folder of a run."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {"F32": "<f4", "F64": "<f8"}
# Columns that hold texts; all others are numbers.
_TEXTS = {"measured_on", "measured_at"}


class Run:
    """A run folder, as `train` or the program `edgewalk train` makes it. Files are read at each access, so a run may
    still be under way.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        """The folder."""
        if not (self.path / "manifest.json").is_file():
            raise FileNotFoundError(f"{self.path} is no run folder: it has no manifest.json")

    @property
    def manifest(self) -> dict[str, Any]:
        """The program, the machine, the data, and how the run ended."""
        path = self.path / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error})") from None
        if not isinstance(manifest, dict):
            raise ValueError(f"{path} is damaged (it is no object)")
        return manifest

    @property
    def config(self) -> dict[str, Any]:
        """All settings, by section and key."""
        settings = self.manifest.get("settings")
        if not isinstance(settings, dict):
            raise ValueError(f"{self.path / 'manifest.json'} has no settings; config.toml has them")
        return settings

    @property
    def metrics(self) -> Any:
        """One row for each logged step: a pandas.DataFrame, or without pandas an array for each column."""
        return self._table("metrics")

    @property
    def curvature(self) -> Any:
        """One row for each measurement of the Hessian, as in `metrics`."""
        return self._table("curvature")

    @property
    def oscillation(self) -> Any:
        """One row for each window after a measurement, as in `metrics`; only with the setting `measure.window`."""
        return self._table("oscillation")

    @property
    def checkpoints(self) -> list[int]:
        """The steps that have a complete checkpoint, rising."""
        found = (re.fullmatch(r"step_(\d+)", file.parent.name) for file in self.path.glob("checkpoints/step_*/DONE"))
        return sorted(int(match[1]) for match in found if match)

    def params(self, step: int | None = None) -> dict[str, NDArray[Any]]:
        """The parameters of a checkpoint by name; None is the last one."""
        steps = self.checkpoints
        if not steps:
            raise FileNotFoundError(f"{self.path} has no checkpoint")
        step = steps[-1] if step is None else step
        if step not in steps:
            raise ValueError(f"{self.path} has no checkpoint of step {step}; it has those of {steps}")
        return _safetensors(self.path / "checkpoints" / f"step_{step:08}" / "params.safetensors")

    def _table(self, name: str) -> Any:
        path = self.path / f"{name}.csv"
        if not path.is_file():
            advice = "; set measure.window to have it" if name == "oscillation" else ""
            raise FileNotFoundError(f"{self.path} has no table {path.name}{advice}")
        columns = _columns(path)
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def __repr__(self) -> str:
        return f"edgewalk.Run({str(self.path)!r})"


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a table: numbers, of which empty cells are NaN, or texts."""
    text = path.read_text(encoding="utf-8")
    # The last line of a run under way may be cut short.
    header, *rows = csv.reader(text[: text.rfind("\n") + 1].splitlines() or [""])
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path} is damaged: line {number} has {len(row)} cells, and the header has {len(header)}")
    columns = {}
    for name, *cells in zip(header, *rows, strict=True):
        try:
            if name == "step":
                columns[name] = np.array([int(cell) for cell in cells], dtype=np.int64)
            else:
                columns[name] = np.array([float(cell or "nan") for cell in cells], dtype=np.float64)
        except (ValueError, OverflowError) as error:
            if name not in _TEXTS:
                raise ValueError(f"{path} is damaged: {error}") from None
            columns[name] = np.array(cells, dtype=object)
    return columns


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file: the length of a header, the header as JSON, and the elements."""
    data = path.read_bytes()
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        arrays = {}
        for name, tensor in header.items():
            begin, end = tensor["data_offsets"]
            array = np.frombuffer(data[start + begin : start + end], dtype=_TYPES[tensor["dtype"]])
            arrays[name] = array.reshape(tensor["shape"]).copy()
        return arrays
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, or no file of parameters ({error})") from None
