"""The code of docs/python.md and README.md runs."""

import re
import shutil

import pytest
from conftest import FOLDER, ROOT


@pytest.mark.parametrize("page", ["docs/python.md", "python/README.md"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    for name in ("net.onnx", "set.npz"):
        shutil.copy(FOLDER / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
