"""What models can be given, by their configs and tables."""

import pytest
import torch

from spexlens.models.pretrained.limits import longest_text, padding_token
from tests.tiny_models import CLASSIFIERS, VOCABULARY, tiny_classifier, tiny_tokenizer


@pytest.mark.parametrize("architecture", CLASSIFIERS)
def test_one_token_more_than_the_longest_text_fails_where_positions_are_a_table(architecture):
    model = tiny_classifier(architecture)
    limit = longest_text(model)
    if architecture.split(",")[0] in ("llama", "phi3", "t5", "bloom", "xlnet"):
        return  # relative positions go on
    ids = torch.full((1, limit + 1), 3)
    if architecture == "bart":
        ids[0, -1] = 1  # its answer is read at the end-of-text token
    with torch.inference_mode():
        assert model(ids[:, 1:]).logits.isfinite().all()
        with pytest.raises((RuntimeError, IndexError)):
            model(ids)


def test_padding_is_a_token_that_the_model_has_its_own_first():
    tokenizer = tiny_tokenizer()
    added = tiny_tokenizer()
    added.add_special_tokens({"pad_token": "<more>"})
    assert added.pad_token_id == len(VOCABULARY)
    chosen = {
        name: (
            padding_token(tiny_classifier(name), tokenizer),
            padding_token(tiny_classifier(name), added),
        )
        for name in ("bert", "llama, other padding", "llama, no padding", "llama, padding -1")
    }
    e, pad = VOCABULARY.index("e"), tokenizer.pad_token_id
    assert chosen == {
        "bert": (pad, pad),
        "llama, other padding": (e, e),
        "llama, no padding": (pad, 0),
        "llama, padding -1": (pad, 0),
    }
