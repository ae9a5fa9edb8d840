"""Which training images decide a test digit, and which are redundant twins, shown as pictures.

    python examples/data_digits.py

One image of the training set is doubled and one pair is given the wrong label on purpose. The
script writes digits.png: the most helpful, the most harmful and the most redundant images. It takes
about half a minute.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import spexlens as sx

COUNT, BUDGET = 60, 1000


def planted() -> sx.trainers.TrainingData:
    """Threes and eights; the last example is a twin of 0, and 1 and its twin 2 are mislabelled."""
    images, digits = load_digits(return_X_y=True)
    pair = np.flatnonzero((digits == 3) | (digits == 8))
    chosen = np.random.default_rng(7).permutation(pair)[: COUNT + 1]
    features, labels = images[chosen[:-1]] / 16, digits[chosen[:-1]]
    test, truth = images[chosen[-1:]] / 16, digits[chosen[-1:]]
    own = np.flatnonzero(labels == truth[0])
    features[own[-1]] = features[own[0]]
    wrong = own[np.argsort(np.linalg.norm(features[own] - test, axis=1))[:2]]
    features[wrong[1]] = features[wrong[0]]
    labels[wrong] = 3 + 8 - truth[0]
    print(f"twins {own[0]} and {own[-1]}; mislabelled twins {wrong[0]} and {wrong[1]}")
    return sx.trainers.TrainingData(features, labels, test, truth)


def main() -> None:
    data = planted()
    game = sx.training_game(sx.trainers.Logistic(), data)
    ex = sx.explain(game, BUDGET, "kernelspex", rng=0)
    print(ex.fidelity)
    single = ex.interactions("BV")
    pairs = ex.interactions("FBII", order=2)
    order = sorted(single, key=lambda players: single[players])
    print("most harmful:", [players[0] for players in order[:4]])
    strongest = [players for players in pairs if len(players) == 2][:6]
    print("strongest pairs:", {players: round(pairs[players], 3) for players in strongest})

    masks = sx.sample_masks(COUNT, 100, np.random.default_rng(1))
    print("influence instead:", sx.lenses.agreement(sx.surrogate_game(game)(masks), game(masks)))
    removals = sx.lenses.Removals.of(
        strongest, sx.sample_masks(COUNT, 50, np.random.default_rng(2))
    )
    measured = removals.effects(game(removals.masks))
    predicted = removals.effects(ex.predict(removals.masks))
    for players, was, said in zip(strongest, measured, predicted, strict=True):
        print(f"presence of {players}: predicted {said:+.2f}, retrained {was:+.2f}")
    draw(data, order, strongest, pairs)


def draw(
    data: sx.trainers.TrainingData, order: list, strongest: list, pairs: sx.Interactions
) -> None:
    rows = {
        "most helpful": [players[0] for players in order[:-7:-1]],
        "most harmful": [players[0] for players in order[:6]],
        "strongest pairs": [player for players in strongest[:3] for player in players],
    }
    figure, axes = plt.subplots(len(rows), 7, figsize=(8, 4))
    for line, (name, shown) in zip(axes, rows.items(), strict=True):
        line[0].imshow(data.test_features[0].reshape(8, 8), cmap="gray_r")
        line[0].set_title("test", fontsize=8)
        line[0].set_ylabel(name, fontsize=8)
        for cell, player in zip(line[1:], shown, strict=True):
            cell.imshow(data.features[player].reshape(8, 8), cmap="gray_r")
            cell.set_title(f"{player}: {data.labels[player]}", fontsize=8)
        for cell in line:
            cell.set_xticks([])
            cell.set_yticks([])
    figure.tight_layout()
    figure.savefig("digits.png", dpi=150)


if __name__ == "__main__":
    main()
