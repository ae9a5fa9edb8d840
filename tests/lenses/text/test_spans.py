"""Spans are checked against the text they lie in; what is no text is refused."""

import pytest

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import as_spans, as_text, between, trimmed


@pytest.mark.parametrize(
    ("given", "message"),
    [(b"bytes", "Decode it first"), (3, "type int"), ("caf\udce9", "character 3")],
)
def test_what_is_no_text_is_an_error(given, message):
    with pytest.raises(InvalidInputError, match=message):
        as_text(given)


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 0)], r"\(0, 0\)"),
        ([(2, 9)], "7 characters"),
        ([(3, 4)], "other than whitespace"),
        ([(-1, 3)], r"\(-1, 3\)"),
        ([(0, 3), (2, 6)], "overlaps the one before it, which ends at 3"),
    ],
)
def test_spans_that_do_not_fit_are_errors(spans, message):
    with pytest.raises(InvalidInputError, match=message):
        as_spans(spans, "not bad")


def test_pieces_have_no_whitespace_at_their_ends():
    assert trimmed("  a b ", 0, 6) == (2, 5)
    assert trimmed("a   b", 1, 4) is None
    assert between(" a\n\n b ", [2, 3]) == [(1, 2), (5, 6)]
