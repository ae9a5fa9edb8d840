"""What every segmenter of the table must do: cut any text cleanly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.segmenters import segment
from tests.tiny_models import tiny_tokenizer

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab,.:) \n\t-1Q", max_size=40),
    st.text(alphabet="天气。 ？ภา👍🏽\u200dمر؟a", max_size=20),
    st.lists(st.sampled_from(["good", "bad,", "--", ":)", "\n\n"]), max_size=12).map(" ".join),
)
TOKENIZER = tiny_tokenizer()


def cutter(row):
    return row.cut or row.of_tokenizer(TOKENIZER)


def spans_of(row, text):
    """The spans; none where the segmenter refuses what is not of its kind (JSON)."""
    try:
        return cutter(row)(text)
    except InvalidInputError:
        assert row.partial
        return []


@settings(deadline=None, max_examples=40)
@given(text=texts)
def check_spans_are_ordered_trimmed_and_leave_out_only_whitespace(row, text):
    outside, done = [], 0
    for start, end in spans_of(row, text):
        piece = text[start:end]
        assert done <= start < end <= len(text)
        assert piece == piece.strip() != ""
        outside.append(text[done:start])
        done = end
    if not row.partial:
        assert not "".join([*outside, text[done:]]).strip()


@settings(deadline=None, max_examples=20)
@given(text=texts)
def check_the_same_text_is_cut_alike(row, text):
    assert spans_of(row, text) == spans_of(row, text)


def check_a_lens_takes_it_by_name(row):
    assert row.description
    text = '{"a": "good, bad", "b": "film"}'
    if row.cut is None:
        with pytest.raises(InvalidInputError, match=rf"segmenter_of\({row.name!r}"):
            segment(text, row.name)
    elif spans := row.cut(text):
        assert PromptLens(text, segmenter=row.name).spans == tuple(spans)
    else:
        with pytest.raises(InvalidInputError, match=f"{row.name!r} finds no player"):
            PromptLens(text, segmenter=row.name)
