"""The documentation: its Python runs, its pages are complete, and nothing generated is stale."""

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs.scripts import api, cli_pages, notebook_pages, pictures

import spexlens as sx

DOCS = Path(__file__).parent.parent / "docs"
# Pages whose code needs what a test has not; their code is compiled, and their imports are run.
NOT_RUN = {
    "endpoints.md": "a server; tests/lenses/endpoint/test_game.py has one",
    "scale.md": "a module of the reader's, and a Ray cluster; tests/ablation/test_engines.py",
    "joint.md": "274 players of a real model, and a training lens; tests/lenses/joint/test_game.py",
}

# What a page takes from its reader.
GIVEN = {
    "features.md": {
        "context": "The plot is thin.\n\nIt never fails to impress. The jokes are not stale.",
        "template": "Review: {text}\nSentiment:",
        "answers": ("positive", "negative"),
    },
}
MODEL_BUDGET = 64  # a page that runs a model is run with so many ablations at most


def code_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def needs_model(code):
    return any("load_model" in block or "smollm2" in block.lower() for block in code)


def cases(paths, code_in):
    """One test a file; those that load a model are marked."""
    return [
        pytest.param(
            path,
            id=path.relative_to(DOCS).as_posix(),
            marks=[pytest.mark.real_model] if needs_model(code_in(path)) else [],
        )
        for path in sorted(paths)
        if code_in(path)
    ]


@pytest.fixture(scope="module")
def saved_run():
    game = sx.FunctionGame(lambda x: 2.0 * (x[:, 0] & x[:, 1]) + x[:, 2], list("abcdefgh"))
    return sx.explain(game, 100, "kernelspex", rng=0)


@pytest.mark.parametrize("page", cases(DOCS.rglob("*.md"), code_of))
def test_the_python_of_a_page_runs_from_top_to_bottom(page, saved_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved_run.save("run.json")  # what a reader has who comes from another page
    names = {"__name__": "docs", **GIVEN.get(page.name, {})}
    blocks = code_of(page)
    small = affordable if needs_model(blocks) else str
    for number, block in enumerate(map(small, blocks)):
        code = ast.parse(block, f"{page.name}, block {number}")
        if page.name in NOT_RUN:
            code.body = [line for line in code.body if is_import_of_ours(line)]
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)


def affordable(code):
    """The code with its budgets cut to what a test can pay."""
    return re.sub(r"budget=(\d+)", lambda match: f"budget={min(int(match[1]), MODEL_BUDGET)}", code)


def is_import_of_ours(statement):
    if isinstance(statement, ast.ImportFrom):
        return (statement.module or "").startswith("spexlens")
    return isinstance(statement, ast.Import)


def code_cells(path):
    cells = (cell for cell in notebook_pages.cells(path) if cell["cell_type"] == "code")
    return [notebook_pages.text_of(cell["source"]) for cell in cells]


@pytest.mark.parametrize("path", cases(notebook_pages.NOTEBOOKS.glob("*.ipynb"), code_cells))
def test_a_notebook_was_executed_in_order_and_runs_again(path, tmp_path, monkeypatch):
    cells = [cell for cell in notebook_pages.cells(path) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(o["output_type"] == "error" for cell in cells for o in cell["outputs"])
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "notebook"}
    for source in code_cells(path):
        exec(source, names)


def test_the_command_line_page_is_what_help_prints():
    assert cli_pages.PAGE.read_text("utf-8") == cli_pages.page(), (
        "docs/cli.md is stale: run python docs/scripts/cli_pages.py"
    )


def test_every_public_name_stands_on_an_api_page():
    pages = "\n".join(api.api_pages().values())
    for name, home in api.public_names().items():
        module = getattr(getattr(sx, name), "__module__", None)  # None of a table
        wanted = f"`spexlens.{name}`" if module is None else f"::: {module}\n"
        assert wanted in pages or f"::: {home}.{name}\n" in pages, name
    for folder in ("lenses", "models", "plots", "trainers"):
        assert all(f"::: {module}\n" in pages for module in api.modules(folder))


def test_the_comparison_quotes_only_figures_of_the_benchmarks():
    quoted, *known = (
        set(re.findall(r"-?\d*\.\d+", (DOCS / name).read_text("utf-8")))
        for name in ("compare.md", "benchmarks.md", "features.md", "data.md")
    )
    assert len(quoted) > 40
    assert quoted - set().union(*known) == set()


def test_pages_fetch_nothing_from_elsewhere():
    for page in sorted(DOCS.rglob("*.md")):
        assert not re.search(r"(src=|!\[[^]]*\]\()[\"']?https?://", page.read_text("utf-8")), page


def words_of(picture):
    """The comments matplotlib writes beside each text drawn as paths."""
    return re.findall(r"<!-- (.*?) -->", picture.read_text("utf-8"))


def test_the_pictures_are_those_that_the_script_draws(tmp_path):
    pictures.draw(tmp_path, themes=("light",))
    drawn = {file.name for file in tmp_path.iterdir()}
    for theme in ("light", "dark"):
        kept = {file.name for file in (DOCS / "images").glob(f"*-{theme}.svg")}
        assert kept == {name.replace("-light", f"-{theme}") for name in drawn}
    for name in sorted(drawn):
        ElementTree.parse(tmp_path / name)
        assert words_of(tmp_path / name) == words_of(DOCS / "images" / name), name


def test_every_picture_of_a_page_exists():
    for page in sorted(DOCS.rglob("*.md")):
        for target in re.findall(r"!\[[^]]*\]\(([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
