"""The README's Python runs as it is written, on a model that is loaded once a process."""

import re
from pathlib import Path

import pytest

from tests.test_docs import LOADED

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.real_model
def test_the_readmes_python_runs_from_top_to_bottom(smollm2, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    assert LOADED in "".join(blocks)
    names: dict[str, object] = {"smollm2": smollm2}
    for block in blocks:
        exec(block.replace(LOADED, "smollm2"), names)
    assert {file.name for file in tmp_path.iterdir()} == {"run.json", "run.html"}
    assert names["ex"].interactions("FBII").top(2).to_dict().keys() == {(0,), (1, 2)}
