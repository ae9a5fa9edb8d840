"""What every kind of sites in the table must do: name parts of a model on which gates act."""

import torch

from spexlens.models.gating import sites
from spexlens.models.gating.gates import edited, gate, hook_points
from tests.tiny_models import tiny_model

IDS = torch.tensor([[5, 9, 3, 1], [2, 8, 8, 4]])


def check_gates_of_one_are_bit_equal(row, architecture="llama", rescale=False):
    model = tiny_model(architecture)
    points = hook_points(row.sites(model))
    with torch.inference_mode():
        plain = model(input_ids=IDS)[0]
        edits = {
            point: gate(point, torch.ones(2, len(point.sites)), torch.tensor(0.7), rescale=rescale)
            for point in points
        }
        with edited(model, edits):
            assert torch.equal(model(input_ids=IDS)[0], plain)


def check_gates_of_zero_change_what_the_model_says(row):
    model = tiny_model()
    points = hook_points(row.sites(model))
    with torch.inference_mode():
        plain = model(input_ids=IDS)[0]
        edits = {point: gate(point, torch.zeros(2, len(point.sites))) for point in points}
        with edited(model, edits):
            assert not torch.allclose(model(input_ids=IDS)[0], plain)


def check_layers_are_chosen_and_names_find_their_sites(row):
    model = tiny_model()
    found = row.sites(model)
    assert found
    assert sites.named(model, [site.name for site in found]) == found
    assert row.sites(model, [1]) == tuple(site for site in found if site.layer == 1)
