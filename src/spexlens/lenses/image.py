"""The image lens: regions of a picture are the players, and an absent one is painted over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.core.slopes import Slopes, cotangent
from spexlens.errors import InvalidInputError, MissingExtraError, UnknownNameError
from spexlens.lenses.base import LensGame
from spexlens.lenses.text.classifier import ClassMargin, LabelOdds

if TYPE_CHECKING:
    from spexlens.models.pretrained.vision import VisionClassifier

Picture = NDArray[np.float32]


def grey(picture: Picture) -> Picture:
    """Paint middle grey everywhere."""
    return np.full_like(picture, 0.5)


def mean_colour(picture: Picture) -> Picture:
    """Paint the picture's own mean colour everywhere."""
    return np.broadcast_to(picture.mean(axis=(0, 1)), picture.shape).astype(np.float32)


def blur(picture: Picture) -> Picture:
    """Blur all detail away: a Gaussian of a twelfth of the picture's width."""
    from scipy.ndimage import gaussian_filter

    width = picture.shape[1] / 12
    blurred: Picture = gaussian_filter(picture, sigma=(width, width, 0)).astype(np.float32)
    return blurred


BACKGROUNDS: dict[str, Callable[[Picture], Picture]] = {
    "grey": grey,
    "mean": mean_colour,
    "blur": blur,
}


def grid(height: int, width: int, rows: int, columns: int) -> IntArray:
    """Cut into the patches of a regular grid, numbered `(height, width)` from 0 by rows.

    >>> grid(2, 4, 1, 2).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    if not (0 < rows <= height and 0 < columns <= width):
        raise InvalidInputError(
            f"a grid of {rows} x {columns} was asked for on {height} x {width} pixels; needed at "
            "least one patch, and one pixel a patch."
        )
    down = np.arange(height) * rows // height
    across = np.arange(width) * columns // width
    return down[:, None] * columns + across


def superpixels(picture: ArrayLike, count: int) -> IntArray:
    """Cut into about `count` regions of like colour, numbered `(height, width)` (SLIC).

    Source: Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, 2012;
    the implementation is scikit-image's.

    Raises
    ------
    MissingExtraError
        When scikit-image is not installed; `grid` needs nothing.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise MissingExtraError("superpixels", "scikit-image", "images") from error
    found = slic(as_picture(picture), n_segments=count, compactness=10, start_label=0)
    numbers: IntArray = found.astype(np.int64)
    return numbers


@dataclass(frozen=True, eq=False)
class ImageLens:
    """Paints absent regions of a picture over.

    Parameters
    ----------
    picture : array (height, width, 3)
        Bytes, or floats on the scale 0 … 1.
    regions : int array (height, width)
        The player each pixel belongs to, 0 … n - 1, or -1 for none: see `grid`, `superpixels`.
    absent : str, default "blur"
        What stands in the place of an absent region; a key of `BACKGROUNDS`. A flat colour adds
        edges that the model may read as something.

    Examples
    --------
    >>> lens = ImageLens(np.zeros((4, 4, 3)), grid(4, 4, 2, 2), "grey")
    >>> lens.paint(np.array([[True, True, True, False]]))[0, :, :, 0].tolist()[3]
    [0.0, 0.0, 0.5, 0.5]
    """

    picture: Picture
    regions: IntArray
    absent: str = "blur"

    def __post_init__(self) -> None:
        picture = as_picture(self.picture)
        regions = np.asarray(self.regions)
        if self.absent not in BACKGROUNDS:
            raise UnknownNameError("value of absent", self.absent, BACKGROUNDS)
        if regions.shape != picture.shape[:2] or regions.dtype.kind not in "iu":
            raise InvalidInputError(
                f"regions of shape {regions.shape} and type {regions.dtype} were given for a "
                f"picture of {picture.shape[:2]} pixels; needed one whole number a pixel."
            )
        present = np.unique(regions[regions >= 0])
        if not len(present) or present[-1] != len(present) - 1:
            raise InvalidInputError(
                f"the regions are numbered {present[:8].tolist()} …; needed 0, 1, 2, … without a "
                "gap."
            )
        object.__setattr__(self, "picture", read_only(picture))
        object.__setattr__(self, "regions", read_only(regions.astype(np.int64)))

    @property
    def players(self) -> tuple[str, ...]:
        """Regions by number and middle: "3 (row 40, column 112)"."""
        return tuple(
            f"{i} (row {row:.0f}, column {column:.0f})" for i, row, column in self._middles()
        )

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Paint over the absent regions: one picture for each of the masks `(m, n)`."""
        return Interventions(pictures=self.paint(masks))

    def paint(self, masks: BoolArray) -> Picture:
        """Paint the ablated pictures `(m, height, width, 3)` of masks `(m, n)`."""
        masks = as_masks(masks, int(self.regions.max()) + 1)
        behind = BACKGROUNDS[self.absent](self.picture)
        shown = np.hstack([masks, np.ones((len(masks), 1), dtype=bool)])[:, self.regions]
        painted: Picture = np.where(shown[..., None], self.picture, behind).astype(np.float32)
        return painted

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Add derivatives by pixels up to those by regions `(m, n)`, from painted over to shown."""
        by_pixel = slopes.take("pictures", self)
        moved = self.picture - BACKGROUNDS[self.absent](self.picture)
        per_pixel = np.einsum("mhwc,hwc->mhw", by_pixel, moved, dtype=np.float64)
        inside = self.regions >= 0
        numbers, count = self.regions[inside], int(self.regions.max()) + 1
        return np.array([np.bincount(numbers, one[inside], count) for one in per_pixel])

    def identity(self) -> dict[str, Any]:
        """Hash picture and regions, and the background."""
        return {
            "lens": "image",
            "picture": _sha256(self.picture),
            "regions": _sha256(self.regions),
            "background": self.absent,
        }

    def _middles(self) -> list[tuple[int, float, float]]:
        inside = self.regions >= 0
        numbers = self.regions[inside]
        count = np.bincount(numbers)
        down, across = (
            (np.bincount(numbers, place) / count).tolist() for place in np.nonzero(inside)
        )
        return list(zip(range(len(count)), down, across, strict=True))


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """The subject made of a vision model and a margin."""

    model: VisionClassifier
    score: LabelOdds

    @property
    def needs(self) -> Needs:
        """Pictures of the model's size."""
        return Needs({"pictures": (self.model.size, self.model.size, 3)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the margin `(m,)` of every picture."""
        (pictures,) = self.needs.take(interventions, self)
        return self.score.values(self.model.class_logits(pictures))

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations: a pass forward and one back take no longer."""
        return 3

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by every pixel; `NoDerivativeError` where autograd cannot pass."""
        (pictures,) = self.needs.take(interventions, self)
        score = self.score

        def pull(logits: FloatArray) -> FloatArray:
            return cotangent(score.values, logits)

        return Slopes(pictures=self.model.slopes(pictures, pull))

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model and score; nothing is run."""
        return {"model": self.model.name, "score": self.score.description}

    def identity(self) -> dict[str, Any]:
        """Gather what the model and the score say of themselves."""
        return {"model": identity_of(self.model), **self.score.identity()}


def image_game(
    model: VisionClassifier,
    picture: ArrayLike,
    regions: IntArray,
    *,
    label: str,
    against: str | None = None,
    absent: str = "blur",
) -> LensGame:
    """Make the game of painting over regions of a picture: how far a class is ahead.

    Parameters
    ----------
    model : VisionClassifier
        For instance `efficientnet_lite0({"cat": range(281, 286)})`.
    picture : array (size, size, 3)
        Of the size that the model takes.
    regions, absent
        See `ImageLens`.
    label, against : str
        See `ClassMargin`.

    Raises
    ------
    InvalidInputError
        Before anything is run: for a picture of another size, regions that do not fit, or an
        unknown class.
    """
    score = ClassMargin(label, against).resolve(model.labels)
    lens = ImageLens(as_picture(picture), regions, absent)
    if lens.picture.shape[:2] != (model.size, model.size):
        raise InvalidInputError(
            f"the picture has {lens.picture.shape[:2]} pixels; {model.name} takes {model.size} x "
            f"{model.size}. Crop and resize it first, for example with PIL or skimage.transform."
        )
    return LensGame(lens, ScoredImage(model, score))


def as_picture(picture: ArrayLike) -> Picture:
    """Read a picture `(height, width, 3)` of bytes, or of floats in 0 … 1, as floats in 0 … 1."""
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind not in "uf":
        raise InvalidInputError(
            f"a picture of shape {array.shape} and type {array.dtype} was given; needed "
            "(height, width, 3) in bytes, or in floats from 0 to 1."
        )
    floats: Picture = array.astype(np.float32) / np.float32(255 if array.dtype.kind == "u" else 1)
    if not np.isfinite(floats).all() or floats.min() < 0 or floats.max() > 1:
        raise InvalidInputError("the picture has values outside 0 … 1; divide bytes by 255.")
    return floats


def _sha256(array: NDArray[Any]) -> str:
    shape = str((array.shape, array.dtype.str)).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(array).tobytes()).hexdigest()
