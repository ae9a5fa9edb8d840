"""Pictures: regions, what stands behind them, and the game on a small torch module."""

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens.core.interventions import Interventions
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.image import BACKGROUNDS, ImageLens, grid, image_game, superpixels
from spexlens.models.pretrained.vision import REST, VisionClassifier, efficientnet_lite0

RNG = np.random.default_rng(0)
PICTURE = RNG.random((8, 8, 3)).astype(np.float32)


class Both(torch.nn.Module):
    """Output 0: red on the left times red on the right; 1: twice the mean; 2 and 3: nothing."""

    def forward(self, x):
        left, right = x[:, 0, :, :4].mean(dim=(1, 2)), x[:, 0, :, 4:].mean(dim=(1, 2))
        return torch.stack([left * right, 2 * x.mean(dim=(1, 2, 3)), 0 * left, 0 * left], dim=1)


def model(**groups):
    named = groups or {"both": [0], "mean": [1]}
    return VisionClassifier(Both(), 8, (0.5,) * 3, (0.5,) * 3, named)


def test_a_grid_covers_every_pixel_in_even_patches():
    regions = grid(6, 9, 2, 3)
    assert np.bincount(regions.ravel()).tolist() == [9] * 6
    assert regions[0, 8] == 2
    assert regions[5, 0] == 3
    assert (np.bincount(grid(7, 5, 3, 2).ravel()) > 0).all()


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_absent_regions_show_the_background_and_no_others(name):
    lens = ImageLens(PICTURE, grid(8, 8, 2, 2), name)
    behind = BACKGROUNDS[name](lens.picture)
    for mask, painted in zip(all_masks(4), lens.paint(all_masks(4)), strict=True):
        present = mask[lens.regions][..., None]
        np.testing.assert_array_equal(painted, np.where(present, PICTURE, behind))
    assert np.abs(behind - PICTURE).max() > 0.1


def test_pixels_of_no_region_are_always_shown():
    regions = grid(8, 8, 1, 2)
    regions[0] = -1
    painted = ImageLens(PICTURE, regions).paint(np.zeros((1, 2), dtype=bool))[0]
    np.testing.assert_array_equal(painted[0], PICTURE[0])
    assert np.abs(painted[1:] - PICTURE[1:]).max() > 0.1


def test_bytes_are_read_as_the_same_picture():
    data = (PICTURE * 255).astype(np.uint8)
    np.testing.assert_allclose(ImageLens(data, grid(8, 8, 2, 2)).picture, PICTURE, atol=1 / 255)


def test_players_say_where_they_are():
    assert ImageLens(PICTURE, grid(8, 8, 2, 2)).players[2] == "2 (row 6, column 2)"


def test_the_game_finds_the_planted_pair():
    picture = np.full((8, 8, 3), 1.0)
    game = image_game(
        model(), picture, grid(8, 8, 1, 2), label="both", against="mean", absent="grey"
    )
    # Grey is 0 to the module, white is 1: 1 for both halves, less 2 x the share that is white.
    np.testing.assert_allclose(game(all_masks(2)), [0, -1, -1, -1], atol=1e-6)
    effects = sx.explain(game, 4).interactions("Moebius")
    assert effects[(0, 1)] == pytest.approx(1, abs=1e-6)
    assert game.describe()["score"] == "logit('both') - logit of 'mean'"


def test_a_groups_logit_is_the_log_sum_exp_of_its_outputs():
    grouped = model(some=[0, 2], other=[1])
    assert grouped.labels == ("some", "other", REST)
    single = model(a=[0], b=[1], c=[2]).class_logits(PICTURE[None])[0]
    read = grouped.class_logits(PICTURE[None])[0]
    np.testing.assert_allclose(read, [np.logaddexp(single[0], single[2]), single[1], single[3]])


@pytest.mark.parametrize("groups", [{}, {"a": []}, {"a": [0], "b": [0]}])
def test_groups_that_do_not_fit_are_errors(groups):
    with pytest.raises(InvalidInputError, match="groups"):
        VisionClassifier(Both(), 8, (0.5,) * 3, (0.5,) * 3, groups)
    with pytest.raises(InvalidInputError, match="the model has 4"):
        model(a=[9]).class_logits(PICTURE[None])


@pytest.mark.parametrize(
    ("picture", "regions", "message"),
    [
        (PICTURE[:, :, 0], grid(8, 8, 2, 2), "height, width, 3"),
        (PICTURE * 300, grid(8, 8, 2, 2), "divide bytes"),
        (PICTURE, grid(4, 4, 2, 2), "one whole number a pixel"),
        (PICTURE, grid(8, 8, 2, 2) * 2, "without a gap"),
        (PICTURE, np.full((8, 8), -1), "without a gap"),
        (PICTURE[:4, :4], grid(4, 4, 2, 2), "takes 8 x 8"),
    ],
)
def test_pictures_that_do_not_fit_are_errors(picture, regions, message):
    with pytest.raises(InvalidInputError, match=message):
        image_game(model(), picture, regions, label="both")


def test_names_and_sizes_that_do_not_exist_are_errors():
    with pytest.raises(UnknownNameError, match="known: grey, mean, blur"):
        ImageLens(PICTURE, grid(8, 8, 2, 2), "black")
    with pytest.raises(UnknownNameError, match="known: both, mean, anything else"):
        image_game(model(), PICTURE, grid(8, 8, 2, 2), label="cat")
    with pytest.raises(InvalidInputError, match="one pixel a patch"):
        grid(8, 8, 9, 1)


def test_the_subject_runs_pictures_only():
    game = image_game(model(), PICTURE, grid(8, 8, 2, 2), label="both")
    with pytest.raises(InvalidInputError, match=r"ScoredImage runs edited pictures \(8 x 8 x 3\)"):
        game.subject.evaluate(Interventions(inputs=("a",)))


def test_identity_tells_pictures_and_regions_apart():
    regions = grid(8, 8, 2, 2)
    lenses = [
        ImageLens(PICTURE, regions),
        ImageLens(PICTURE, grid(8, 8, 4, 1)),
        ImageLens(1 - PICTURE, regions),
        ImageLens(PICTURE, regions, "grey"),
    ]
    assert len({str(lens.identity()) for lens in lenses}) == 4
    assert str(model().identity()) == str(model().identity())


def test_superpixels_follow_colour():
    pytest.importorskip("skimage")
    picture = np.zeros((24, 24, 3))
    picture[:, 9:] = [1.0, 0.2, 0.1]
    regions = superpixels(picture, 4)
    ImageLens(picture, regions)  # numbered without a gap
    for region in np.unique(regions):
        assert len(np.unique(picture[regions == region], axis=0)) == 1


@pytest.mark.real_model
def test_efficientnet_sees_a_cat():
    pytest.importorskip("efficientnet_lite_pytorch")
    data, transform = pytest.importorskip("skimage.data"), pytest.importorskip("skimage.transform")
    cat = transform.resize(data.chelsea()[:, 75:375], (224, 224), anti_aliasing=True)
    seeing = efficientnet_lite0({"cat": range(281, 286), "dog": range(151, 269)})
    (logits,) = seeing.class_logits(cat[None].astype(np.float32))
    assert seeing.labels[int(logits.argmax())] == "cat"
