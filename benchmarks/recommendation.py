"""How often the recommendation is wrong or inconclusive, and how often intervals of the worst group cover: simulated.

Recommendation: 12 conditions, the cheapest truly 2.5 points worse than the others, margin 2 points, 2,000 test images
that are hard or easy for all, and seeds whose accuracies vary by a standard deviation of 0.6, 1 or 2 points. Beside it
the same with the cheapest as good as the others, where recommending it is right.

Worst group: four groups of 20, 50 or 200 test images, true accuracies 60 to 80 %, one to five seeds that vary by 3
points. Beside it a percentile bootstrap of the minimum over the images of one seed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from reporting import create_parser, write_json

from xaiaug.metrics import Scorer
from xaiaug.statistics import Condition, compare_all, find_worst_group

CONDITIONS, IMAGES, MARGIN = 12, 2000, 0.02
DEVIATIONS, SEEDS = (0.006, 0.01, 0.02), (3, 5, 10)
SIZES, ACCURACIES, GROUP_DEVIATION = (20, 50, 200), (0.6, 0.62, 0.7, 0.8), 0.03
DRAWS = 200


def main() -> None:
    parser = create_parser(__doc__, quick="10 experiments of each kind")
    parser.add_argument("--experiments", type=int, default=1000, help="of each kind")
    arguments = parser.parse_args()
    count = 10 if arguments.quick else arguments.experiments
    figures = {"recommendation": recommend(count), "worst group": cover(count)}
    if arguments.json:
        write_json(arguments.json, figures, seeds=[0])


def recommend(count: int) -> list[dict[str, float]]:
    print(f"The cheapest of {CONDITIONS}, {count} experiments: recommended, another recommended, inconclusive (%)")
    rows = []
    for gap in (0.025, 0.0):
        for deviation in DEVIATIONS:
            for seeds in SEEDS:
                rng = np.random.default_rng([round(1e4 * gap), round(1e4 * deviation), seeds])
                found = [choose(gap, deviation, seeds, rng) for _ in range(count)]
                row = {
                    "points worse": 100 * gap,
                    "SD over seeds": 100 * deviation,
                    "seeds": seeds,
                    "cheapest": 100 * sum(one == 0 for one in found) / count,
                    "another": 100 * sum(one not in (0, None) for one in found) / count,
                    "inconclusive": 100 * found.count(None) / count,
                }
                rows.append(row)
                print(
                    f"  {row['points worse']:.1f} points worse, SD {row['SD over seeds']:.1f}, {seeds:2} seeds: "
                    f"{row['cheapest']:5.1f} {row['another']:6.1f} {row['inconclusive']:6.1f}"
                )
    return rows


def choose(gap: float, deviation: float, seeds: int, rng: np.random.Generator) -> int | None:
    accuracies = np.array([0.85 - gap] + [0.85] * (CONDITIONS - 1))
    shift = rng.normal(0, deviation, (CONDITIONS, seeds, 1))
    difficulty = rng.random(IMAGES) + rng.normal(0, 0.05, (CONDITIONS, seeds, IMAGES))
    labels = np.arange(IMAGES) % 2
    predicted = np.where(difficulty < accuracies[:, None, None] + shift, labels, 1 - labels)
    scorer = Scorer("accuracy")
    pairs = compare_all([Condition(labels, np.eye(2, dtype=np.float32)[one], scorer) for one in predicted])
    return pairs.find_sufficient(range(CONDITIONS), MARGIN)


def cover(count: int) -> list[dict[str, float]]:
    print(f"Worst group, {count} experiments: interval covers (%), its width (points), bootstrap covers (%)")
    rows = []
    for size in SIZES:
        for seeds in (1, 2, 5):
            rng = np.random.default_rng([size, seeds])
            groups = np.repeat(np.arange(len(ACCURACIES)), size)
            covered, width, bootstrap = 0, 0.0, 0
            for _ in range(count):
                correct = draw(size, seeds, rng)
                found = find_worst_group(correct, groups)
                covered += found.low <= min(ACCURACIES) <= found.high
                width += found.high - found.low
                low, high = np.quantile(bootstrap_minimum(correct[0], size, rng), (0.025, 0.975))
                bootstrap += low <= min(ACCURACIES) <= high
            row = {
                "images a group": size,
                "seeds": seeds,
                "covers": 100 * covered / count,
                "width": 100 * width / count,
                "bootstrap covers": 100 * bootstrap / count,
            }
            rows.append(row)
            print(
                f"  {size:3} images a group, {seeds} seeds: {row['covers']:5.1f} {row['width']:5.1f} "
                f"{row['bootstrap covers']:5.1f}"
            )
    return rows


def draw(size: int, seeds: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    deviation = GROUP_DEVIATION if seeds > 1 else 0.0  # of one seed the variance over seeds cannot be known
    accuracies = np.array(ACCURACIES) + rng.normal(0, deviation, (seeds, len(ACCURACIES)))
    return rng.random((seeds, size * len(ACCURACIES))) < np.repeat(accuracies, size, axis=1)


def bootstrap_minimum(correct: NDArray[np.bool_], size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    by_group = correct.reshape(len(ACCURACIES), size)
    at = rng.integers(0, size, (DRAWS, len(ACCURACIES), size))
    drawn = np.take_along_axis(np.broadcast_to(by_group, at.shape), at, axis=2)
    minima: NDArray[np.float64] = drawn.mean(axis=2).min(axis=1)
    return minima


if __name__ == "__main__":
    main()
