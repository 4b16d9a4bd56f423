"""The test accuracies of the arms as a plot of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..records.pipeline import BASELINE
from ..report import Report
from ..report.arm_table import scores_by_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_OF_ARM, WIDTH = 0.45, 7.0  # inches
SEED, MEAN = "0.6", "black"  # shades of grey: it is printed, too


def plot_arms(report: Report, axes: Axes | None = None) -> Axes:
    """A dot for each seed of an arm, its mean as a line, and, of a single seed, the interval over the test images.

    Args:
        report: of the run.
        axes: to draw on; None makes a figure.

    Raises:
        ConfigError: there are no test accuracies.
    """
    arms = {arm.name: list(scores_by_seed(arm).values()) for arm in report.arms}
    arms = {name: scores for name, scores in arms.items() if scores}
    if not arms:
        raise ConfigError("plot: the run has no test accuracies; it shows them after its last step, until = 'report'")
    if axes is None:
        from matplotlib import pyplot

        _, axes = pyplot.subplots(figsize=(WIDTH, 1 + HEIGHT_OF_ARM * len(arms)), layout="constrained")
    for place, scores in enumerate(arms.values()):
        values = [100 * score.accuracy for score in scores]
        interval = scores[0].accuracy_interval if len(scores) == 1 else None
        if interval is not None:
            axes.plot([100 * edge for edge in interval], [place, place], color=SEED, linewidth=1, zorder=1)
        axes.plot(values, [place] * len(values), "o", color=SEED, markersize=5, zorder=2)
        axes.plot(sum(values) / len(values), place, "|", color=MEAN, markersize=16, markeredgewidth=2, zorder=3)
    if BASELINE in arms:
        mean = sum(score.accuracy for score in arms[BASELINE]) / len(arms[BASELINE])
        axes.axvline(100 * mean, color=SEED, linewidth=1, linestyle=":", zorder=0)
    axes.set_yticks(range(len(arms)), list(arms))
    axes.invert_yaxis()
    axes.set_xlabel("test accuracy, %")
    return axes
