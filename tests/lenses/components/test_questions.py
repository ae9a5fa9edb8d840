"""Questions and their file."""

import pytest

from spexlens.errors import InvalidInputError
from spexlens.lenses.components.questions import Question, as_questions, read_questions


def test_a_file_is_read(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(
        '{"prompt": "a", "answer": "b", "wrong": ["c", "d"], "reference": "e"}\n\n'
        '{"prompt": "é", "wrong": "x"}\n',
        encoding="utf-8",
    )
    assert read_questions(path) == (
        Question("a", "b", ("c", "d"), "e"),
        Question("é", "", ("x",)),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no lines"),
        ('{"prompt": "a"}\nnonsense', "line 2"),
        ('{"answer": "a"}', "line 1.*key prompt"),
        ('{"prompt": "a", "answers": []}', "no others than answer, prompt"),
        ('{"prompt": 3}', "must be text"),
        ('{"prompt": "a", "wrong": [1]}', "must be text"),
        ('{"prompt": "a", "wrong": 3}', "line 1"),
        ('{"prompt": null}', "must be text"),
        ('{"prompt": "a", "reference": 3}', "must be text"),
        ('{"prompt": " "}', "is empty"),
        ("[1]", "needed an object"),
    ],
)
def test_lines_that_cannot_be_read_are_told(tmp_path, text, told):
    path = tmp_path / "questions.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=told):
        read_questions(path)


def test_nulls_a_byte_order_mark_and_line_separators_inside_a_string_are_read(tmp_path):
    path = tmp_path / "questions.jsonl"
    line = '{"prompt": "a\u2028b\u0085c", "answer": null, "wrong": null, "reference": null}'
    path.write_text(f"{line}\r\n{line}\n", encoding="utf-8-sig")
    assert read_questions(path) == (Question("a\u2028b\u0085c"),) * 2


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")


def test_bare_prompts_are_questions():
    assert as_questions(["a", Question("b", "c")]) == (Question("a"), Question("b", "c"))
    assert Question("a", "b", "c").wrong == ("c",)
    for given in ("a", []):
        with pytest.raises(InvalidInputError, match="list of at least one"):
            as_questions(given)
