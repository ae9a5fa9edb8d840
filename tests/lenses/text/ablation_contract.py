"""What every way of being absent must do; the one that edits no text is tested with its lens."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.ablations import find_edit
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.segmenters import words
from tests.lenses.text.segmenter_contract import texts

MARK = "§"


@settings(deadline=None, max_examples=40)
@given(text=texts.filter(lambda text: MARK not in text), data=st.data())
def check_kept_pieces_stay_in_order_and_a_full_mask_changes_nothing(row, text, data):
    if row.edit is None:
        return
    spans = words(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    fillers = [MARK] * len(spans)
    left = row.edit(text, spans, keep, fillers)
    kept = "".join(text[start:end] for (start, end), k in zip(spans, keep, strict=True) if k)
    assert left.count(MARK) <= keep.count(False)
    if "," not in text:
        assert re.sub(rf"[\s{MARK}]", "", left) == re.sub(r"\s", "", kept)
    assert row.edit(text, spans, [True] * len(spans), fillers) == text


def check_a_lens_takes_it_by_name(row):
    assert row.description
    if row.edit is None:
        with pytest.raises(InvalidInputError, match=r"no text is edited\. Needed one of remove"):
            PromptLens("not bad", absent=row.name)
        return
    assert find_edit(row.name) is row.edit
    lens = PromptLens("not bad", absent=row.name, fillers="_" if row.fillers is None else None)
    assert lens.texts(np.array([[True, True]])) == ("not bad",)
    (left,) = lens.texts(np.array([[True, False]]))
    assert left.startswith("not")
    assert "bad" not in left


def check_it_makes_an_identity_of_its_own(row):
    if row.edit is None or row.name == "remove":
        return
    lens = PromptLens("not bad", absent=row.name, fillers="_")
    assert lens.identity()["ablation"] == row.name
    assert lens.identity() != PromptLens("not bad").identity()
