import numpy as np

import spexlens as sx
from spexlens.core.masks import sample_masks


def test_singles_alone_know_no_dearer_pairs():
    masks = sample_masks(6, 60, np.random.default_rng(6))
    recovery = sx.Lasso().recover(sx.Design(masks), 1.0 * masks[:, 0])
    assert recovery.chosen["pair_factor"] == 1
    assert recovery.spectrum.supports.orders().max() == 1
