"""First-order surrogates of retraining a small network, from gradients at the full fit.

Both attribute the log-odds of a test point's label (in a regression, the prediction) to single
training examples: by the Gauss-Newton approximation of influence functions (Martens, JMLR 2020),
solved by conjugate gradients without forming a matrix, or by TRAK.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.trainers.base import TrainingData
from spexlens.trainers.network import Network, NetworkRetrainer, Parameters
from spexlens.trainers.trak import projection, trak_effects

if TYPE_CHECKING:
    import torch

_CG_STEPS = 100
_ACCURACY = 1e-4


@dataclass(frozen=True, eq=False)
class AdditiveEffects:
    """A linear surrogate: value(S) = `full` minus the effects of the examples left out.

    Attributes
    ----------
    full : float array (q,)
        Log-odds (prediction) of every test point after training on all examples.
    effects : float array (N, q)
        What each example adds to it.
    """

    full: FloatArray
    effects: FloatArray


def gauss_newton_effects(
    network: Network, data: TrainingData, seed: int = 0, damping: float = 1e-3
) -> AdditiveEffects:
    """Compute the influence of single examples, Gauss-Newton in place of the Hessian.

    Parameters
    ----------
    network : Network
    data : TrainingData
    seed : int
        Of the network that is trained on all examples.
    damping : float, default 1e-3
        Added to the network's penalty: the matrix is positive definite only with some.

    Returns
    -------
    AdditiveEffects
    """
    import torch

    view = _FullFit.of(network, data, seed)
    flat, unflatten = view.flat, view.unflatten

    def outputs(vector: torch.Tensor) -> torch.Tensor:
        return view.retrainer.forward(unflatten(vector), view.retrainer.features)

    def multiply(vector: torch.Tensor) -> torch.Tensor:
        out, change = torch.func.jvp(outputs, (flat,), (vector,))[:2]
        if network.task == "classification":
            p = out.softmax(dim=1)
            change = p * (change - (p * change).sum(dim=1, keepdim=True))
        back: torch.Tensor = torch.func.vjp(outputs, flat)[1](change)[0] / len(out)
        return back + (network.penalty + damping) * vector

    test = view.read_gradients(view.retrainer.test, view.test_labels)
    solved = torch.stack([_conjugate_gradients(multiply, row) for row in test])
    gradients = view.loss_gradients()
    # Leaving i out of the mean of N losses moves the parameters by H^-1 grad_i / N.
    effects = -(gradients @ solved.T) / len(gradients)
    return AdditiveEffects(view.full(), effects.double().cpu().numpy())


def trak_network_effects(
    network: Network, data: TrainingData, seeds: tuple[int, ...] = (0,), size: int = 256
) -> AdditiveEffects:
    """Compute TRAK on a network, averaged over networks trained from several seeds.

    Parameters
    ----------
    network : Network
        A classifier.
    data : TrainingData
    seeds : tuple of int
    size : int, default 256
        Dimensions that gradients are projected to.

    Returns
    -------
    AdditiveEffects
    """
    parts, full = [], []
    for seed in seeds:
        view = _FullFit.of(network, data, seed)
        retrainer = view.retrainer
        matrix = projection(len(view.flat), size, np.random.default_rng(seed))
        train = view.read_gradients(retrainer.features, retrainer.labels).double().numpy() @ matrix
        test = view.read_gradients(retrainer.test, view.test_labels).double().numpy() @ matrix
        p = retrainer.forward(view.unflatten(view.flat), retrainer.features).softmax(dim=1)
        own = p[range(len(p)), retrainer.labels].detach().double().numpy()
        parts.append(trak_effects(train, test, 1 - own))
        full.append(view.full())
    return AdditiveEffects(np.mean(full, axis=0), np.mean(parts, axis=0))


@dataclass(frozen=True, eq=False)
class _FullFit:
    """A network trained on all examples, its parameters as one vector `(P,)`."""

    retrainer: NetworkRetrainer
    flat: torch.Tensor
    unflatten: Callable[[torch.Tensor], Parameters]
    test_labels: torch.Tensor

    @staticmethod
    def of(network: Network, data: TrainingData, seed: int) -> _FullFit:
        import torch

        retrainer = network.prepare(data)
        fitted = retrainer.fit(np.ones((1, data.count), dtype=bool), seed)
        shapes = {name: value.shape[1:] for name, value in fitted.items()}
        flat = torch.cat([value.flatten() for value in fitted.values()])

        def unflatten(vector: torch.Tensor) -> Parameters:
            pieces = torch.split(vector, [shape.numel() for shape in shapes.values()])
            return {
                name: piece.reshape(shape)
                for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
            }

        labels = data.test_codes() if network.task == "classification" else np.zeros(0)
        chosen = torch.from_numpy(np.resize(labels, len(data.test_labels)).astype(np.int64))
        return _FullFit(retrainer, flat, unflatten, chosen.to(network.device))

    def read(self, vector: torch.Tensor, point: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Read the log-odds of a label at one point, or the prediction."""
        import torch

        out = self.retrainer.forward(self.unflatten(vector), point[None])[0]
        if self.retrainer.trainer.task == "regression":
            return out[0]
        own = torch.arange(len(out), device=out.device) == label
        others = torch.where(own, torch.full_like(out, -torch.inf), out)
        return (out * own).sum() - others.logsumexp(dim=0)

    def read_gradients(self, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the gradients `(n, P)` of `read` at every point."""
        import torch

        gradient = torch.func.vmap(torch.func.grad(self.read), in_dims=(None, 0, 0))
        gradients: torch.Tensor = gradient(self.flat, points, labels)
        return gradients

    def loss_gradients(self) -> torch.Tensor:
        """Compute the gradients `(N, P)` of the loss of every training example."""
        import torch

        def losses(vector: torch.Tensor) -> torch.Tensor:
            return self.retrainer.losses(self.unflatten(vector))

        gradients: torch.Tensor = torch.func.jacrev(losses)(self.flat)
        return gradients

    def full(self) -> FloatArray:
        """Give `read` at the test points, `(q,)`."""
        import torch

        read = torch.func.vmap(self.read, in_dims=(None, 0, 0))
        values: FloatArray = (
            read(self.flat, self.retrainer.test, self.test_labels).double().cpu().numpy()
        )
        return values


def _conjugate_gradients(
    multiply: Callable[[torch.Tensor], torch.Tensor], right: torch.Tensor
) -> torch.Tensor:
    solution, residual, direction = right * 0, right.clone(), right.clone()
    size = residual @ residual
    goal = _ACCURACY**2 * size
    for _ in range(_CG_STEPS):
        if size <= goal:
            break
        image = multiply(direction)
        length = size / (direction @ image)
        solution = solution + length * direction
        residual = residual - length * image
        before, size = size, residual @ residual
        direction = residual + (size / before) * direction
    return solution
