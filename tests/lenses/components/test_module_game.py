"""The game of any module: against passes written out by hand, and what it refuses."""

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError


class Net(torch.nn.Module):
    """Two branches, a tuple and a keyword: nothing that a transformer has."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)
        self.pair = Pair()
        self.idle = torch.nn.Linear(3, 4)

    def forward(self, x, scale=1.0):
        first, second = self.pair(self.left(x) * self.right(x))
        return scale * (first + second + self.left.bias).sum(dim=1)


class Pair(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x), x


def net():
    return Net().eval()


X = torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])


def total(y):
    return y.sum()


def by_hand(module, left=1.0, right=1.0, pair=1.0, x=X):
    gates = torch.as_tensor(left), torch.as_tensor(right)
    inner = (module.left(x) * gates[0]) * (module.right(x) * gates[1])
    return float((torch.tanh(inner) * pair + inner + module.left.bias).sum().detach())


def test_values_are_those_of_passes_written_out():
    module = net()
    game = sx.module_game(module, X, total, ["left[0:2]", "left[2:4]", "right", "pair"])
    for mask, value in zip(all_masks(4), game(all_masks(4)), strict=True):
        a, b, right, pair = mask.astype(float)
        left = torch.tensor([a, a, b, b])
        assert value == pytest.approx(by_hand(module, left, right, pair), rel=1e-5)
    assert not any(part._forward_hooks for part in module.modules())


def test_inputs_are_one_tensor_arguments_or_keywords():
    module = net()
    one, several, named = (
        sx.module_game(module, given, total, ["left"])(np.ones((1, 1), bool))
        for given in (X, (X, 2.0), {"x": X, "scale": 2.0})
    )
    np.testing.assert_allclose(several, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(named, several)


def test_a_closed_site_gives_its_mean_or_what_it_gives_on_references():
    module, other = net(), X.flip(0) + 1
    closed = np.zeros((1, 1), bool)
    mean = sx.module_game(module, X, total, ["right"], absent="mean")(closed)
    inner = module.left(X) * module.right(X).mean(dim=0)
    expected = (torch.tanh(inner) + inner + module.left.bias).sum()
    np.testing.assert_allclose(mean, [float(expected.detach())], rtol=1e-5)
    drawn = sx.module_game(module, X, total, ["right"], absent="resample", references=other)
    inner = module.left(X) * module.right(other)
    expected = (torch.tanh(inner) + inner + module.left.bias).sum()
    np.testing.assert_allclose(drawn(closed), [float(expected.detach())], rtol=1e-5)


class HookedAttention(torch.nn.Module):
    """The hook points of TransformerLens: sub-modules that give what they are given."""

    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Module()])
        self.blocks[0].attn = torch.nn.Module()
        self.blocks[0].attn.hook_z = torch.nn.Identity()

    def forward(self, z):
        return self.blocks[0].attn.hook_z(z)


def test_names_of_transformer_lens_are_heads():
    z = torch.arange(24.0).reshape(1, 2, 3, 4)  # batch, position, head, width
    names = [f"blocks.0.attn.hook_z[{head}]" for head in range(3)]
    game = sx.module_game(HookedAttention().eval(), z, total, names)
    alone = game(np.eye(3, dtype=bool))
    np.testing.assert_allclose(alone, z.sum(dim=(0, 1, 3)))


def test_explanations_find_the_product_of_two_branches():
    game = sx.module_game(net(), X, total, ["left", "right"])
    found = sx.explain(game, 4, "exact").interactions("Moebius")
    effects = found.to_dict()
    assert abs(effects[0, 1]) > 1
    assert all(abs(effects.get((i,), 0.0)) < 1e-5 for i in range(2))  # neither alone does anything


class Random(Net):
    def forward(self, x, scale=1.0):
        return super().forward(x, scale) + torch.rand(1)


class Twice(Net):
    def forward(self, x, scale=1.0):
        return super().forward(x, scale) + self.right(x).sum(dim=1)


@pytest.mark.parametrize(
    ("make", "given", "told"),
    [
        (Net, {}, "training mode.*module.eval"),
        (lambda: Random().eval(), {}, "three passes"),
        (lambda: Twice().eval(), {"sites": ["right"]}, "right 2 times"),
        (net, {"sites": ["idle"]}, "idle 0 times"),
        (net, {"sites": ["centre"]}, "unknown sub-module 'centre'; known: idle, left"),
        (net, {"sites": []}, "no sites"),
        (net, {"sites": ["left[4]"]}, "gives 4; needed 0 … 3"),
        (net, {"sites": ["left[2:2]"]}, "holds no column"),
        (net, {"sites": ["left[0:2]", "left[1]"]}, "same activations"),
        (net, {"sites": ["left", "left"]}, "same activations"),
        (net, {"score": lambda y: y}, "needed one number"),
        (net, {"absent": "noise"}, "unknown value of absent"),
        (net, {"absent": "resample"}, "needs references"),
        (net, {"absent": "resample", "references": X[:, :, None]}, "."),
        (net, {"absent": "resample", "references": torch.ones(5, 3)}, "needed the same shapes"),
        (lambda: lambda x: x, {}, "needed a torch.nn.Module"),
    ],
)
def test_what_cannot_be_gated_is_told_before_a_run(make, given, told):
    arguments = {"inputs": X, "score": total, "sites": ["left"], **given}
    with pytest.raises((InvalidInputError, RuntimeError), match=told):
        sx.module_game(make(), **arguments)


def test_hooks_are_gone_after_an_error_and_identities_tell_what_matters():
    module = net()

    def broken(y):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        sx.module_game(module, X, broken, ["left"])
    assert not any(part._forward_hooks for part in module.modules())
    plain = sx.module_game(module, X, total, ["left"]).identity()
    others = [
        sx.module_game(module, X + 1, total, ["left"]),
        sx.module_game(module, X, total, ["right"]),
        sx.module_game(module, X, total, ["left"], name="another"),
        sx.module_game(module, X, total, ["left"], absent="mean"),
    ]
    with torch.no_grad():
        changed = net()
        changed.left.weight += 1
    others.append(sx.module_game(changed, X, total, ["left"]))
    assert sx.module_game(net(), X, total, ["left"]).identity() == plain
    assert all(other.identity() != plain for other in others)
