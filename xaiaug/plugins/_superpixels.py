"""Our own segmentation: the subject of an image from superpixels of the image alone, without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]

SIDE = 96  # longer side, in pixels, at which an image is segmented
PATCHES = 200
# The constants below were tuned on half of the Oxford-IIIT pets with masks, and on drawn blobs.
CENTRE = (0.12, 0.0)  # y x, from -1 to 1: subjects are slightly below the centre
SPREAD = (0.64, 0.30)
COLOUR_REACH = 4.2  # Lab distance within which two patches vote for each other
TEXTURE_REACH = 0.41  # the same for the logarithm of the mean gradient
BORDER_REACH = 18.0  # Lab distance within which a patch counts as connected to one at the border
BORDER_WEIGHT = 7.0  # extra weight of border patches as votes for the backdrop
VOTE_WEIGHT = 3.6
SMOOTHING = 12.0
SMOOTHING_REACH = 8.9
HEATMAP_WEIGHT = 0.5


@dataclass(frozen=True, eq=False)
class _Patches:
    """Superpixels of one image: `labels` is h w, the rest has one row per patch."""

    labels: NDArray[np.intp]
    area: Floats  # pixels
    texture: Floats  # logarithm of the mean gradient, less its mean over the image
    position: Floats  # k 2: y x, from -1 to 1
    border: Floats  # pixels on the border of the image
    contact: Floats  # k k, pixels of shared boundary
    unlike: Floats  # k k, squared distance in Lab


def subject_mask(image: Image.Image, heatmap: Floats | None = None) -> Floats:
    """How much each pixel belongs to the subject: h w, float32, 0 to 1, with soft edges.

    Superpixels (SLIC) near the centre, in focus and unlike the border are likely subject, the others backdrop. Each
    patch is then decided by patches of like colour and texture and by its neighbours: label spreading on a graph of
    patches, after Zhou et al. (NIPS 2003), with boundary connectivity after Zhu et al. (CVPR 2014).

    Args:
        image: RGB.
        heatmap: h w, where a model looked: weak evidence, since a model may look at the backdrop. NaN is ignored.
    """
    small = _shrink(image)
    patches = _superpixels(small)
    prior = _prior(patches)
    if heatmap is not None:
        prior = prior + HEATMAP_WEIGHT * _attention(patches, heatmap)
    share = _smooth_votes(patches, _votes(patches, prior))
    return _refine(share[patches.labels], image)


def _shrink(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    size = (max(16, round(image.width * scale)), max(16, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)


def _superpixels(image: Image.Image) -> _Patches:
    from scipy.ndimage import uniform_filter
    from skimage.color import rgb2lab
    from skimage.segmentation import slic

    lab = rgb2lab(np.asarray(image)).astype(np.float32)
    labels = slic(lab, PATCHES, compactness=10, start_label=0, max_num_iter=5, convert2lab=False)
    area = np.bincount(labels.ravel()).astype(np.float32)
    texture = np.log1p(_means(labels, uniform_filter(np.hypot(*np.gradient(lab[..., 0])), 7)))
    y, x = (2 * (axis + 0.5) / length - 1 for axis, length in zip(np.indices(labels.shape), labels.shape, strict=True))
    colour = np.stack([_means(labels, lab[..., channel]) for channel in range(3)], axis=1)
    return _Patches(
        labels=labels,
        area=area,
        texture=texture - np.average(texture, weights=area),
        position=np.stack([_means(labels, y), _means(labels, x)], axis=1),
        border=_means(labels, _frame(labels.shape)) * area,
        contact=_contact(labels, len(area)),
        unlike=_distances(colour),
    )


def _means(labels: NDArray[np.intp], values: NDArray[Any]) -> Floats:
    """Mean of `values`, h w, over each patch: k."""
    sums = np.bincount(labels.ravel(), values.ravel())
    return (sums / np.bincount(labels.ravel())).astype(np.float32)


def _frame(shape: tuple[int, ...]) -> Floats:
    frame = np.ones(shape, np.float32)
    frame[1:-1, 1:-1] = 0
    return frame


def _contact(labels: NDArray[np.intp], count: int) -> Floats:
    sides = ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1]))
    pairs = np.concatenate([(one * count + other).ravel() for one, other in sides])
    contact = np.bincount(pairs, minlength=count * count).reshape(count, count).astype(np.float32)
    np.fill_diagonal(contact, 0)
    return contact + contact.T


def _distances(rows: Floats) -> Floats:
    """Squared distances between rows, k d: k k."""
    squares = (rows**2).sum(axis=1)
    distances: Floats = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    return distances


def _prior(patches: _Patches) -> Floats:
    """Log odds of each patch being subject, before patches are compared: k."""
    offset = (patches.position - np.array(CENTRE, np.float32)) / np.array(SPREAD, np.float32)
    central = np.exp(-(offset**2).sum(axis=1) / 2)
    kinship = np.exp(-patches.unlike / (2 * BORDER_REACH**2))
    connected = (kinship @ patches.border) / np.sqrt(kinship @ patches.area)
    backdrop = 1 - np.exp(-(connected**2) / 3.1)
    odds: Floats = -1.2 + 5.2 * (central - 0.5) - 0.94 * (backdrop - 0.5) + 1.6 * patches.texture
    return odds


def _attention(patches: _Patches, heatmap: Floats) -> Floats:
    """The heatmap's mean over each patch, as standard scores from -2 to 2: k; zeros if it is constant or unseen."""
    height, width = patches.labels.shape
    seen = np.isfinite(heatmap)
    if not seen.any():
        return np.zeros_like(patches.area)
    scale = float(np.abs(heatmap[seen]).max()) or 1.0
    filled = np.where(seen, heatmap / scale, heatmap[seen].mean() / scale).astype(np.float32)
    values = np.asarray(Image.fromarray(filled).resize((width, height), Image.Resampling.BOX))
    means = _means(patches.labels, values)
    deviation = values.std()
    return np.clip((means - values.mean()) / deviation, -2, 2) if deviation > 1e-6 else np.zeros_like(means)


def _votes(patches: _Patches, prior: Floats) -> Floats:
    """Probability of each patch being subject, from the patches like it: k."""
    texture = _distances(patches.texture[:, None]) / TEXTURE_REACH**2
    likeness = np.exp(-(patches.unlike / COLOUR_REACH**2 + texture) / 2) + 1e-3
    chance = 1 / (1 + np.exp(-prior))
    subject = patches.area * chance
    backdrop = patches.area * (1 - chance) * np.where(patches.border > 0, 1 + BORDER_WEIGHT, 1)
    ratio = np.log((likeness @ subject) / subject.sum()) - np.log((likeness @ backdrop) / backdrop.sum())
    votes: Floats = 1 / (1 + np.exp(-np.clip(VOTE_WEIGHT * ratio + 0.15 * prior, -6, 6)))
    return votes


def _smooth_votes(patches: _Patches, votes: Floats) -> Floats:
    """The votes, smoothed over neighbours of like colour by solving one linear system: k."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import spsolve

    likeness = np.exp(-patches.unlike / (2 * SMOOTHING_REACH**2)) + 0.05
    weights = SMOOTHING * np.minimum(patches.contact, 6) / 6 * likeness
    system = csc_array(np.diag(weights.sum(axis=1) + 1.0) - weights, dtype=np.float64)
    # A dense solver starts the threads of BLAS, which wait busily for each other: far slower beside other work.
    smoothed: Floats = np.clip(spsolve(system, votes), 0, 1).astype(np.float32)
    return smoothed


def _refine(share: Floats, image: Image.Image) -> Floats:
    """The coarse map at the size of the image, with its edges, by a guided filter (1505.00996)."""
    from scipy.ndimage import uniform_filter

    coarse = np.asarray(Image.fromarray(share).resize(image.size, Image.Resampling.BILINEAR))
    guide = np.asarray(image.convert("L"), np.float32) / 255
    window = 2 * max(1, round(max(image.size) / SIDE * 1.5)) + 1
    mean = [uniform_filter(values, window) for values in (guide, coarse, guide * guide, guide * coarse)]
    slope = (mean[3] - mean[0] * mean[1]) / (mean[2] - mean[0] ** 2 + 1e-3)
    offset = mean[1] - slope * mean[0]
    fine = uniform_filter(slope, window) * guide + uniform_filter(offset, window)
    mask: Floats = np.clip(fine, 0, 1).astype(np.float32)
    return mask
