"""The README's Python runs as it is written."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.real_model
def test_the_readmes_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert {file.name for file in tmp_path.iterdir()} == {"run.json", "run.html"}
    assert names["ex"].interactions("FBII").top(2).to_dict().keys() == {(0,), (1, 2)}
