"""A map of photos by t-SNE: photos that a layer finds similar lie close together.

Shape suffixes: N photos, M of them drawn, D features, K principal components.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.errors import DataError
from thalweg.figures.class_choice import classes_with_color, draw_by_class
from thalweg.figures.style import INK, QUIET, class_marks, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from thalweg.figures.style import Target

COMPONENTS = 50
FEWEST = 4  # t-SNE needs a neighborhood smaller than the set
LARGEST_PERPLEXITY = 30.0
NEIGHBORS = 10

_NAMES_A_COLUMN = 25
_OTHERS = "#A8A8A8"
_LARGEST_OF_MANY = 25.0  # square points
_AREA = {"*": 2.2, "P": 1.4, "X": 1.4}  # larger, because these markers cover little area


class Embedding(NamedTuple):
    """The positions of photos on a plane.

    Attributes:
        positions_M2: position of each drawn photo; the axes have no unit.
        rows_M: which photos were drawn, ascending.
        perplexity: roughly the number of neighbors that count as near.
        components: number of principal components given to t-SNE.
        agreement: share of a photo's 10 nearest neighbors in those components with its own class, mean over photos.
    """

    positions_M2: NDArray[np.float32]
    rows_M: NDArray[np.int64]
    perplexity: float
    components: int
    agreement: float


def embed(
    features_ND: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    *,
    seed: int = 0,
    limit: int = 3500,
    whole: Sequence[int] = (),
) -> Embedding:
    """Lay photos out on a plane: principal components first, then t-SNE.

    Args:
        features_ND: of any layer.
        labels_N: the true classes; the choice of photos and the agreement of neighbors use them, positions do not.
        seed: of the random choice, if there are more photos than `limit`, and of both methods.
        limit: the maximum number of photos; from more, the same number of each class is chosen, as far as possible.
        whole: classes whose photos are chosen first, for up to half of the limit.

    Raises:
        DataError: fewer than four photos, features that are not finite, or equal features for all photos.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> features = rng.normal(size=(40, 64)) + 10 * labels[:, None]
        >>> found = embed(features, labels)
        >>> found.positions_M2.shape, found.agreement
        ((40, 2), 1.0)

    Source: van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html.
    """
    rows_M = draw_by_class(np.asarray(labels_N), limit, seed=seed, whole=whole)
    features_MD = np.asarray(features_ND[rows_M], dtype=np.float32)
    _check(features_MD)
    reduced_MK = _principal_components(features_MD, seed)
    perplexity = min(LARGEST_PERPLEXITY, (len(rows_M) - 1) / 3)
    agreement = _agreement(reduced_MK, np.asarray(labels_N)[rows_M])
    return Embedding(_positions(reduced_MK, perplexity, seed), rows_M, perplexity, reduced_MK.shape[1], agreement)


def tsne(
    features_ND: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    classes: Sequence[str],
    path: Target,
    *,
    title_key: str,
    predicted_N: NDArray[np.integer] | None = None,
    seed: int = 0,
    limit: int = 3500,
    by_rarest: bool = False,
) -> Embedding:
    """Draw a map of photos by the features of a layer, each class with a color and a marker of its own.

    Of more than 50 classes, 24 have one, the most confused or, by the rarest label, the largest; the others are gray.

    Args:
        features_ND: of the layer.
        labels_N: the true classes.
        classes: their names.
        path: the PNG file, or a `Kept`.
        title_key: the layer, `mid` or `top`.
        predicted_N: the predicted classes; wrong ones get a ring.
        seed: see `embed`.
        limit: see `embed`.
        by_rarest: whether the classes are the rarest of several labels of each photo.

    Returns:
        The map that was drawn.

    Raises:
        DataError: see `embed`.
        StorageError: the file cannot be written.
    """
    named = classes_with_color(labels_N, labels_N if predicted_N is None or by_rarest else predicted_N, len(classes))
    is_whole = len(named) == len(classes)
    found = embed(features_ND, labels_N, seed=seed, limit=limit, whole=() if is_whole else named)
    labels_M = np.asarray(labels_N)[found.rows_M]
    columns = -(-len(named) // _NAMES_A_COLUMN)
    with picture(path, width=8 + 2.2 * columns, height=8) as figure:
        axes = figure.subplots()
        _draw_others(axes, found.positions_M2[~np.isin(labels_M, named)], len(classes) - len(named), len(labels_M))
        _draw_classes(axes, found.positions_M2, labels_M, classes, named)
        if predicted_N is not None:
            wrong_M = (np.asarray(predicted_N)[found.rows_M] != labels_M) & (by_rarest | np.isin(labels_M, named))
            ring = "labels_wrong" if by_rarest else "predicted_wrongly" if is_whole else "named_wrongly"
            _draw_rings(axes, found.positions_M2[wrong_M], len(labels_M), f"figures.{ring}", is_whole=is_whole)
        legend = "rarest_label" if by_rarest else "true_class" if is_whole else "named_classes"
        _finish(axes, columns, f"figures.{legend}")
        axes.set_title(t(f"figures.tsne_{title_key}"))
        note = _note(found, labels_M, len(features_ND), seed, is_whole=is_whole, by_rarest=by_rarest)
        axes.set_xlabel(note, color=QUIET, loc="left", fontsize=9)
    return found


def _finish(axes: Axes, columns: int, title_key: str) -> None:
    """Remove what has no meaning, and put the legend beside the points."""
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    names = axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        ncols=columns,
        borderaxespad=0,
        markerscale=1.6,
        labelspacing=0.7,
    )
    names.set_title(t(title_key))


def _check(features_MD: NDArray[np.float32]) -> None:
    if len(features_MD) < FEWEST:
        raise DataError("figures.too_few_for_tsne", count=len(features_MD), least=FEWEST)
    broken = int((~np.isfinite(features_MD).all(axis=1)).sum())
    if broken:
        raise DataError("figures.features_not_finite", count=broken)
    if (features_MD == features_MD[0]).all():
        raise DataError("figures.features_all_equal", count=len(features_MD))


def _principal_components(features_MD: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, *features_MD.shape)
    return PCA(components, random_state=seed).fit_transform(features_MD)


def _positions(reduced_MK: NDArray[np.float32], perplexity: float, seed: int) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # a dependency of scikit-learn

    start = "pca" if reduced_MK.shape[1] >= 2 else "random"
    # One thread per thousand photos: with fewer photos, threads wait longer than they work.
    threads = min(os.cpu_count() or 1, 1 + len(reduced_MK) // 1000)
    with threadpool_limits(threads, user_api="openmp"):
        # several jobs slow scikit-learn's neighbor search: issue 29665 of its repository
        return TSNE(perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(reduced_MK)


def _agreement(reduced_MK: NDArray[np.float32], labels_M: NDArray[np.integer]) -> float:
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBORS, len(labels_M) - 1)
    nearest_MN = NearestNeighbors(n_neighbors=count).fit(reduced_MK).kneighbors(return_distance=False)
    return float((labels_M[nearest_MN] == labels_M[:, None]).mean())


def _draw_others(axes: Axes, positions_W2: NDArray[np.float32], classes: int, count: int) -> None:
    """The photos of the classes without a name, behind the others."""
    if classes:
        label = t("figures.other_classes", classes=classes, count=len(positions_W2))
        axes.scatter(
            *positions_W2.T, s=min(_marker_size(count) / 2, 15), color=_OTHERS, alpha=0.6, linewidths=0, label=label
        )


def _draw_classes(
    axes: Axes,
    positions_M2: NDArray[np.float32],
    labels_M: NDArray[np.integer],
    classes: Sequence[str],
    named: Sequence[int],
) -> None:
    size = _colored_size(len(labels_M), is_whole=len(named) == len(classes))
    for index, (color, marker) in zip(named, class_marks(len(named)), strict=True):
        x, y = positions_M2[labels_M == index].T
        area = size * _AREA.get(marker, 1.0)
        label = t("figures.class_count", name=literal(classes[index], longest=22), count=len(x))
        axes.scatter(
            x, y, s=area, color=color, marker=marker, alpha=0.85, edgecolors="white", linewidths=0.3, label=label
        )


def _draw_rings(axes: Axes, positions_W2: NDArray[np.float32], count: int, key: str, *, is_whole: bool) -> None:
    label = t(key, count=len(positions_W2))
    size = 3 * _colored_size(count, is_whole=is_whole)
    axes.scatter(*positions_W2.T, s=size, facecolors="none", edgecolors=INK, linewidths=0.7, label=label)


def _marker_size(count: int) -> float:
    """Marker size in square points: the fewer photos, the larger the markers."""
    return float(np.clip(20_000 / count, 9, 60))


def _colored_size(count: int, *, is_whole: bool) -> float:
    """Of many classes, few points have a color: they are larger, but not so large that names overlap."""
    size = _marker_size(count)
    return size if is_whole else min(2 * size, _LARGEST_OF_MANY)


def _note(
    found: Embedding, labels_M: NDArray[np.integer], count: int, seed: int, *, is_whole: bool, by_rarest: bool
) -> str:
    drawn = len(found.rows_M)
    chance = float(((np.bincount(labels_M) / drawn) ** 2).sum())
    some = "figures.tsne_some" if is_whole else "figures.tsne_some_of_many"
    key = "figures.tsne_all" if drawn == count else some
    lines = [
        t(key, drawn=drawn, count=count, seed=seed),
        t("figures.tsne_method", components=found.components, perplexity=found.perplexity, seed=seed),
    ]
    neighbors = min(NEIGHBORS, drawn - 1)
    if is_whole:  # of many classes, few have as many photos as a photo has neighbors
        shares = {"share": 100 * found.agreement, "chance": 100 * chance}
        agreement = "figures.tsne_agreement_rarest" if by_rarest else "figures.tsne_agreement"
        lines.append(t(agreement, **shares, neighbors=neighbors))
    return "\n".join(lines)
