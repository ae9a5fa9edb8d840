"""The documentation: its Python runs, its pages are complete, and nothing generated is stale."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs.scripts import api, cli_pages, notebook_pages, pictures
from docs.scripts import tables as table_pages

import spexlens as sx
from tests.endpoint_server import ChosenServer, word_model

DOCS = Path(__file__).parent.parent / "docs"
README = DOCS.parent / "README.md"
EXAMPLES = sorted((DOCS.parent / "examples").glob("*.py"))
SOURCE = Path(sx.__file__).parent
PYPROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))
# Blocks, by what stands in them, that need what a test has not; they are compiled all the same.
NOT_RUN = {
    "scale.md": ("sx.Ray(", "a Ray cluster with GPUs; tests/ablation/test_engines.py has workers"),
}
SERVER = "http://localhost:8080/v1"  # of endpoints.md
AFFORDED = {"budget": 34, "largest": 2}  # at most, on a page that runs a model
QUICK = {  # at most, on these pages without one
    "game.ipynb": {"budget": 150, "resamples": 4},
    "tables.md": {"budget": 34},
}
LAYERS = {"[10, 20]": "[1, 2]", "[0, 15]": "[0, 2]"}  # of pages, in a model of three
LOADED = 'sx.load_model("smollm2")'  # once a process; tests/test_readme.py runs it whole


def code_of(page):
    if page.suffix == ".py":
        return [page.read_text("utf-8")]
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def needs_model(code):
    return any("load_model" in block for block in code)


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


def small_server(_, body):
    """The word model, which reads completions only; of a chat every answer is yes."""
    if "messages" not in body:
        return word_model(body)
    choices = [{"message": {"content": "Yes."}} for _ in range(body.get("n", 1))]
    return 200, {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


@pytest.fixture
def url():
    with ChosenServer(small_server) as server:
        yield server.url


@pytest.mark.parametrize("page", cases(DOCS.rglob("*.md"), code_of))
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page, url, tables, tmp_path, monkeypatch, request
):
    monkeypatch.chdir(tmp_path)
    needed, _ = NOT_RUN.get(page.name, (None, ""))
    blocks = code_of(page)
    names, small = runnable("docs", page.name, blocks, request)
    for number, block in enumerate(map(small, blocks)):
        code = compile(block.replace(SERVER, url), f"{page.name}, block {number}", "exec")
        if needed is None or needed not in block:
            exec(code, names)


def runnable(module, page, blocks, request):
    """The names that blocks of code begin with, and what makes a block affordable."""
    if not needs_model(blocks):
        return {"__name__": module}, lambda code: cut(code, QUICK.get(page, {}))
    return {"__name__": module, "smollm2": request.getfixturevalue("shallow_smollm2")}, affordable


def affordable(code):
    """The code with a model that is loaded, and shallow; budgets cut to what a test can pay."""
    small = cut(code, AFFORDED)
    for layers, there in LAYERS.items():
        small = small.replace(layers, there)
    return small.replace(LOADED, "smollm2")


def cut(code, most):
    """The code with numbers of these names cut to what they are at most."""
    return re.sub(
        r"\b(\w+)=(\d+)\b",
        lambda found: f"{found[1]}={min(int(found[2]), most.get(found[1], int(found[2])))}",
        code,
    )


@pytest.mark.parametrize(
    "page", [README, *sorted(DOCS.rglob("*.md")), *EXAMPLES], ids=lambda page: page.name
)
def test_one_import_is_enough_and_every_name_of_a_page_is_there(page):
    text = page.read_text("utf-8")
    code = "\n".join(code_of(page))
    assert not re.search(r"^\s*(from|import) spexlens(?! as sx$)", code, re.MULTILINE)
    for name in sorted(set(re.findall(r"\bsx\.([A-Za-z_][\w.]*\w)", text))):
        found = sx
        for part in name.split("."):
            assert hasattr(found, part), f"{page.name}: sx.{name}"
            found = getattr(found, part)


def code_cells(path):
    cells = (cell for cell in notebook_pages.cells(path) if cell["cell_type"] == "code")
    return [notebook_pages.text_of(cell["source"]) for cell in cells]


@pytest.mark.parametrize("path", cases(notebook_pages.NOTEBOOKS.glob("*.ipynb"), code_cells))
def test_a_notebook_was_executed_in_order_and_runs_again(path, tmp_path, monkeypatch, request):
    cells = [cell for cell in notebook_pages.cells(path) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(o["output_type"] == "error" for cell in cells for o in cell["outputs"])
    monkeypatch.chdir(tmp_path)
    sources = code_cells(path)
    names, small = runnable("notebook", path.name, sources, request)
    for source in map(small, sources):
        assert "from spexlens" not in source
        exec(source, names)


def test_the_command_line_page_is_what_help_prints():
    assert cli_pages.PAGE.read_text("utf-8") == cli_pages.page(), (
        "docs/cli.md is stale: run python docs/scripts/cli_pages.py"
    )


def test_the_tables_of_rows_are_those_of_the_code():
    pages = table_pages.pages()
    text = "\n".join(pages.values())
    for name in table_pages.TABLES:
        assert text.count(f"<!-- rows of {name} -->") == 1
    for path, written in pages.items():
        assert path.read_text("utf-8") == written, (
            f"{path.name} is stale: run python docs/scripts/tables.py"
        )


def test_every_public_name_stands_on_an_api_page():
    pages = "\n".join(api.api_pages().values())
    for name, home in api.public_names().items():
        module = getattr(getattr(sx, name), "__module__", None)  # None of a table
        wanted = f"`spexlens.{name}`" if module is None else f"::: {module}\n"
        assert wanted in pages or f"::: {home}.{name}\n" in pages, name
    for folder in ("lenses", "models", "plots", "trainers"):
        assert all(f"::: {module}\n" in pages for module in api.modules(folder))


def figures(*pages):
    return {x for page in pages for x in re.findall(r"-?\d*\.\d+", page.read_text("utf-8"))}


def test_the_comparison_quotes_only_figures_of_the_benchmarks():
    measured = [DOCS / "benchmarks.md", *(DOCS / "benchmarks").glob("*.md")]
    quoted = figures(DOCS / "compare.md")
    assert len(measured) == 8
    assert len(quoted) > 40
    assert quoted - figures(*measured) == set()


DESIGN = (DOCS / "design.md").read_text("utf-8")


def test_the_design_names_every_folder_once():
    rows = re.findall(r"^\| (`[^|]*`) \|", DESIGN, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([\w/]+)/`", row)]
    held = {path.parent for kind in ("py", "js", "j2") for path in SOURCE.rglob(f"*.{kind}")}
    folders = {path.relative_to(SOURCE).as_posix() for path in held - {SOURCE}}
    assert set(named) == folders
    assert len(named) == len(set(named))


def test_the_design_follows_a_mask_through_files_that_exist():
    files = re.findall(r"`([\w/]+\.py)`", DESIGN)
    assert len(files) >= 15
    assert [file for file in files if not (SOURCE / file).is_file()] == []


def test_the_design_tells_the_layers_of_imports():
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    told = [re.sub(r"spexlens\.", "", row).replace(" : ", " · ") for row in layers]
    assert "\n".join(f"    {row}" for row in told) + "\n" in DESIGN


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
