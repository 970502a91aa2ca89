"""Makes and continues runs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgewalk import _core
from edgewalk._run import Run

_logger = logging.getLogger("edgewalk")


def train(
    preset_or_config: str | os.PathLike[str] = "quickstart",
    settings: Mapping[str, Any] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    device: str | int | None = None,
) -> Run:
    """Trains, and returns the run.

    preset_or_config: a preset, or the path of a TOML file.
    settings: changes of its settings, such as {"optim.rho": 0.1}; docs/settings.md lists them.
    out: the run folder, new or empty; None is the next free runs/<preset>-<n>.
    device: as for `Hessian`.

    Texts go to the logger "edgewalk". Ctrl-C stops the run at its next step with a checkpoint, and raises
    KeyboardInterrupt; `resume` continues the run. Wrong settings raise ValueError; a run that diverges or cannot go on
    raises RuntimeError, and keeps what it has written.
    """
    folder = None if out is None else Path(out)
    name = None if device is None else str(device)
    path, interrupt = _core.train(os.fspath(preset_or_config), _sets(settings), folder, name, _note)
    _raise(interrupt, path)
    return Run(path)


def resume(
    path: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    device: str | int | None = None,
) -> Run:
    """Continues a run from its last checkpoint, and returns it.

    settings: changes of when it ends or is saved, such as {"run.steps": 800}.
    device: another device than that of the run.

    Exceptions are those of `train`.
    """
    run = Run(path)
    name = None if device is None else str(device)
    _raise(_core.resume(run.path, _sets(settings), name, _note), run.path)
    return run


def _raise(interrupt: BaseException | None, path: Path) -> None:
    """Raises what a signal handler raised during the run."""
    if type(interrupt) is KeyboardInterrupt:
        raise KeyboardInterrupt(f"the run is saved; edgewalk.resume({str(path)!r}) continues it") from None
    if interrupt is not None:
        raise interrupt


def _note(is_warning: bool, text: str) -> None:
    _logger.log(logging.WARNING if is_warning else logging.INFO, "%s", text)


def _sets(settings: Mapping[str, Any] | None) -> list[str]:
    """Settings as `key=value`, as on the command line."""
    return [f"{key}={_text(key, value)}" for key, value in dict(settings or {}).items()]


def _text(key: str, value: Any) -> str:
    """A value as in TOML; texts need no quotes."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple, range)):
        return f"[{', '.join(_text(key, item) for item in value)}]"
    raise TypeError(f"settings[{key!r}] is a {type(value).__name__}; give a number, a text, a bool or a list")
