"""Random maps lie where the model looked, at the resolution of the grid, and follow from image and seed."""

from itertools import islice

import numpy as np
from PIL import Image

from xaiaug import Explanation
from xaiaug.quality.deletion_insertion import rank_pixels
from xaiaug.quality.map_faithfulness import iter_random_maps


def drawn(size=(60, 40), grid=(4, 6), unseen=0, seed=0, count=3, colour="red"):
    heatmap = np.zeros(size[::-1], np.float32)
    heatmap[:, :unseen] = np.nan
    cells = None if grid is None else np.zeros(grid, np.float32)
    image, explanation = Image.new("RGB", size, colour), Explanation(heatmap, "m", 0, False, cells)
    return list(islice(iter_random_maps(image, explanation, seed), count))


def test_the_same_image_and_seed_give_the_same_maps_and_others_do_not():
    first, again = drawn(), drawn()
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], drawn(seed=1)[0])
    assert not np.array_equal(first[0], drawn(colour="blue")[0])


def test_nothing_is_drawn_where_the_model_did_not_look():
    found = drawn(unseen=20)[0]
    assert np.isnan(found[:, :20]).all() and np.isfinite(found[:, 20:]).all()
    assert np.isnan(drawn(unseen=60)[0]).all()


def test_the_grain_is_that_of_the_grid():
    coarse, fine = (np.abs(np.diff(drawn(grid=grid)[0], axis=1)).mean() for grid in ((2, 3), (40, 60)))
    assert fine > 5 * coarse
    assert drawn(grid=None)[0].shape == (40, 60)


def test_a_constant_map_is_ordered_as_a_random_map():
    one, other, *_ = drawn(unseen=7)
    flat = np.where(np.isnan(one), np.nan, 1).astype(np.float32)
    assert np.array_equal(rank_pixels(flat, one), rank_pixels(one, other))


def test_ranks_count_the_seen_pixels_from_the_hottest_on():
    one, tie_break, *_ = drawn(unseen=7)
    order = rank_pixels(one, tie_break)
    seen = order[order >= 0]
    assert sorted(seen.tolist()) == list(range(53 * 40))
    assert (order[:, :7] == -1).all()
    hottest = np.unravel_index(np.nanargmax(one), one.shape)
    assert order[hottest] == 0
