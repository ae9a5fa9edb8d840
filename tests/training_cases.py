"""Small data sets for the tests of trainers and of the training-data lens."""

import numpy as np

from spexlens.trainers.base import TrainingData


def blobs(count=60, features=4, classes=2, test=7, seed=0, spread=1.2):
    """Overlapping Gaussian classes, so that no fit is separable by chance."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, features))
    labels = np.arange(count + test) % classes
    points = centres[labels] + spread * rng.normal(size=(count + test, features))
    return TrainingData(points[:count], labels[:count], points[count:], labels[count:])


def line(count=40, features=3, test=5, seed=0):
    """A noisy linear regression."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count + test, features)) + 1.5
    labels = points @ rng.normal(size=features) + 0.3 * rng.normal(size=count + test) + 2
    return TrainingData(points[:count], labels[:count], points[count:], labels[count:])


def subsets(data, count, seed=0, p=0.5):
    """Random subsets that keep two of each class."""
    rng = np.random.default_rng(seed)
    chosen = rng.random((count, data.count)) < p
    for label in data.classes[:10]:
        chosen[:, np.flatnonzero(data.labels == label)[:2]] = True
    return chosen
