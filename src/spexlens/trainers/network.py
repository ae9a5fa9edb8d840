"""Small neural networks trained on many subsets at once, with stacked parameters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.trainers.base import (
    OutputKind,
    Task,
    Trained,
    TrainingData,
    as_subsets,
    check_positive,
)

if TYPE_CHECKING:
    import torch

Parameters = dict[str, "torch.Tensor"]

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of torch.optim.Adam
_TINY = 1e-24  # the root of an exact 0 has no derivative
_UNROLLED_NUMBERS = 10_000_000  # subsets x examples x widest layer x steps kept at a time
_CHUNK_NUMBERS = 2_000_000  # subsets x examples x widest layer held at a time


@dataclass(frozen=True)
class Network:
    """A multi-layer perceptron (tanh) trained with Adam on the whole subset at every step.

    The parameters of all subsets are stacked, and `torch.func` maps one masked loss over them. The
    seed draws the initial weights, the same for every subset, so that differences come from the
    data. An empty subset returns the untrained network.

    Parameters
    ----------
    hidden : tuple of int, default (16,)
        Widths of the hidden layers.
    steps : int, default 200
    learning_rate : float, default 0.02
    penalty : float, default 1e-3
        Half the squared parameters times this, added to the mean loss.
    task : {"classification", "regression"}
    device : str, default "cpu"

    Raises
    ------
    MissingExtraError
        Without torch.
    """

    hidden: tuple[int, ...] = (16,)
    steps: int = 200
    learning_rate: float = 0.02
    penalty: float = 1e-3
    task: Task = "classification"
    device: str = "cpu"

    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(steps=self.steps, learning_rate=self.learning_rate)
        if self.penalty < 0 or any(width < 1 for width in self.hidden):
            raise InvalidInputError(
                f"penalty = {self.penalty} and hidden = {self.hidden} given; needed a penalty from "
                "0 on and widths of at least 1."
            )

    @property
    def output(self) -> OutputKind:
        """Logits, or predictions."""
        return "predictions" if self.task == "regression" else "logits"

    def prepare(self, data: TrainingData) -> NetworkRetrainer:
        """Move the data to the device, standardised by the mean and spread of all features."""
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError("trainers.network", "torch", "llm") from error
        features = np.asarray(data.features, dtype=np.float64)
        mean, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        labels = data.targets("regression") if self.task == "regression" else data.codes()

        def tensor(array: Any) -> torch.Tensor:
            kept = np.asarray(array, dtype=np.int64 if array.dtype.kind == "i" else np.float32)
            return torch.from_numpy(kept).to(self.device)

        classes = 1 if self.task == "regression" else len(data.classes)
        return NetworkRetrainer(
            self,
            tensor((features - mean) / spread),
            tensor(labels),
            tensor((data.test_features - mean) / spread),
            classes,
        )

    def identity(self) -> dict[str, Any]:
        """Tell name and hyper-parameters, but for the device."""
        facts = asdict(self)
        del facts["device"]
        return {"trainer": "network", **facts, "hidden": list(self.hidden)}


@dataclass(frozen=True, eq=False)
class NetworkRetrainer:
    """A network with its data as tensors: features `(N, d)`, labels, test features `(q, d)`."""

    trainer: Network
    features: torch.Tensor
    labels: torch.Tensor
    test: torch.Tensor
    classes: int

    def train(self, subsets: BoolArray, seed: int) -> Trained:
        """Train networks on all subsets `(m, N)`; `converged` says whether outputs are finite."""
        subsets = as_subsets(subsets, len(self.features))
        outputs = np.empty((len(subsets), len(self.test), self.classes))
        widest = max((*self.trainer.hidden, self.classes))
        size = max(1, _CHUNK_NUMBERS // (len(self.features) * widest))
        for start in range(0, len(subsets), size):
            rows = slice(start, start + size)
            outputs[rows] = self._chunk(subsets[rows], seed)
        finite = np.asarray(np.isfinite(outputs).all(axis=(1, 2)))
        outputs[~finite] = 0.0
        return Trained(outputs, finite)

    def initial(self, seed: int) -> Parameters:
        """Draw initial parameters of one network, uniform as in `torch.nn.Linear`."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        widths = [self.features.shape[1], *self.trainer.hidden, self.classes]
        parameters = {}
        for layer, (wide, narrow) in enumerate(pairwise(widths)):
            bound = wide**-0.5
            weight = torch.rand(narrow, wide, generator=generator) * 2 * bound - bound
            parameters[f"{layer}.weight"] = weight.to(self.trainer.device)
            parameters[f"{layer}.bias"] = torch.zeros(narrow, device=self.trainer.device)
        return parameters

    def forward(self, parameters: Parameters, features: torch.Tensor) -> torch.Tensor:
        """Compute the outputs `(N, c)` of one network."""
        import torch

        layers = len(self.trainer.hidden) + 1
        for layer in range(layers):
            features = features @ parameters[f"{layer}.weight"].T + parameters[f"{layer}.bias"]
            if layer < layers - 1:
                features = torch.tanh(features)
        return features

    def losses(self, parameters: Parameters) -> torch.Tensor:
        """Compute the loss of every example `(N,)` under one network, without the penalty."""
        import torch

        outputs = self.forward(parameters, self.features)
        if self.trainer.task == "regression":
            return ((outputs - self.labels) ** 2)[:, 0] / 2
        return torch.nn.functional.cross_entropy(outputs, self.labels, reduction="none")

    def fit(self, subsets: BoolArray, seed: int) -> Parameters:
        """Train all networks: parameters stacked, each `(m, …)`."""
        import torch

        masks = torch.from_numpy(subsets.astype(np.float32)).to(self.trainer.device)

        def loss(parameters: Parameters, mask: torch.Tensor) -> torch.Tensor:
            fit = (self.losses(parameters) * mask).sum() / mask.sum().clamp(min=1)
            squares = sum((value**2).sum() for value in parameters.values())
            # An untrained network stays as it was drawn.
            return fit + (self.trainer.penalty / 2) * squares * (mask.sum() > 0)

        gradients = torch.func.vmap(torch.func.grad(loss))
        stacked = {
            name: value.expand(len(subsets), *value.shape).clone()
            for name, value in self.initial(seed).items()
        }
        optimiser = torch.optim.Adam(list(stacked.values()), lr=self.trainer.learning_rate)
        for _ in range(self.trainer.steps):
            for name, gradient in gradients(stacked, masks).items():
                stacked[name].grad = gradient
            optimiser.step()
        return stacked

    @property
    def slope_cost(self) -> int:
        """Nine: training again with every step kept, and back through all of them."""
        return 9

    def pulled(self, subsets: BoolArray, cotangents: FloatArray, seed: int) -> FloatArray:
        """See `spexlens.trainers.base.DifferentiableRetrainer`: back through every step of Adam.

        It is the derivative of the training as it ran, not of an optimum that it may be far from.
        """
        import torch

        subsets = as_subsets(subsets, len(self.features))
        found = np.full(subsets.shape, np.nan)
        some = np.flatnonzero(subsets.any(axis=1))  # an untrained network stays as it was drawn
        widest = max((*self.trainer.hidden, self.classes))
        held = len(self.features) * widest * self.trainer.steps
        size = max(1, _UNROLLED_NUMBERS // held)
        for start in range(0, len(some), size):
            rows = some[start : start + size]
            weights = torch.from_numpy(subsets[rows].astype(np.float32)).to(self.trainer.device)
            weights.requires_grad_()
            with torch.enable_grad():
                trained = self._unrolled(weights, seed)
                outputs = torch.func.vmap(self.forward, in_dims=(0, None))(trained, self.test)
                asked = torch.from_numpy(cotangents[rows]).to(outputs)
                (slopes,) = torch.autograd.grad((outputs * asked).sum(), weights)
            found[rows] = slopes.double().cpu().numpy()
        return found

    def _unrolled(self, weights: torch.Tensor, seed: int) -> Parameters:
        """Train networks on weights `(m, N)` as `fit` does, with autograd through all steps."""
        import torch

        def loss(parameters: Parameters, own: torch.Tensor) -> torch.Tensor:
            squares = torch.stack([(value**2).sum() for value in parameters.values()]).sum()
            fit = (self.losses(parameters) * own).sum() / own.sum()
            return fit + (self.trainer.penalty / 2) * squares

        gradients = torch.func.vmap(torch.func.grad(loss))
        parameters = {
            name: value.expand(len(weights), *value.shape)
            for name, value in self.initial(seed).items()
        }
        first = {name: torch.zeros_like(value) for name, value in parameters.items()}
        second = {name: torch.zeros_like(value) for name, value in parameters.items()}
        (fast, slow), rate = _BETAS, self.trainer.learning_rate
        for step in range(1, self.trainer.steps + 1):
            moved = {}
            for name, slope in gradients(parameters, weights).items():
                first[name] = fast * first[name] + (1 - fast) * slope
                second[name] = slow * second[name] + (1 - slow) * slope**2
                spread = (second[name] / (1 - slow**step) + _TINY).sqrt() + _EPSILON
                moved[name] = parameters[name] - rate * first[name] / (1 - fast**step) / spread
            parameters = moved
        return parameters

    def _chunk(self, subsets: BoolArray, seed: int) -> FloatArray:
        import torch

        stacked = self.fit(subsets, seed)
        with torch.no_grad():
            outputs = torch.func.vmap(self.forward, in_dims=(0, None))(stacked, self.test)
        return outputs.double().cpu().numpy()
