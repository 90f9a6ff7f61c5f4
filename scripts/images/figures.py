"""Figures of the PSNR against time, and of the pictures."""

from collections.abc import Sequence
from statistics import median

from images.choosing import Result
from images.networks import NAMES
from matplotlib.figure import Figure
from torch import Tensor

from kanpinn.plotting.style import PALETTE, STYLE, new_figure, tidy

LARGEST = 0.2  # error that the colours reach


def draw_curves(results: Sequence[Result]) -> Figure:
    """Draw PSNR against processor seconds, a panel for each image and size, all seeds."""
    names = list(dict.fromkeys(r.image for r in results))
    sizes = list(dict.fromkeys(r.size for r in results))
    figure = new_figure(9.0, 3.0 * len(names) + 0.4)
    grid = figure.subplots(len(names), len(sizes), squeeze=False)
    for name, row in zip(names, grid, strict=True):
        for size, ax in zip(sizes, row, strict=True):
            own = [r for r in results if (r.image, r.size) == (name, size)]
            for r in own:
                number, first = NAMES.index(r.network), r.seed == results[0].seed
                style = {
                    "color": PALETTE[number],
                    "linestyle": STYLE.dashes[number],
                    "linewidth": 1,
                }
                ax.plot(r.seconds, r.levels, label=r.network if first else None, **style)
            low = min(median(r.levels) for r in own) - 4
            tidy(ax).set(xlabel="processor seconds", ylim=(low, None), xlim=(0, None))
            ax.set_title(f"{name}, {size} x {size}", fontsize=9)
            ax.grid(alpha=0.2)
        row[0].set_ylabel("PSNR in dB", fontsize=STYLE.small)
    handles = grid[0][0].get_legend_handles_labels()
    figure.legend(
        *handles, loc="outside lower center", ncols=4, fontsize=STYLE.small, frameon=False
    )
    return figure


def draw_pictures(image: Tensor, results: Sequence[Result]) -> Figure:
    """Draw the image and the first seed's pictures of it, with their errors below."""
    shown = [next(r for r in results if r.network == network) for network in NAMES]
    figure = new_figure(2.0 * (1 + len(shown)), 4.5)
    above, below = figure.subplots(2, 1 + len(shown))
    for ax in (*above, *below):
        ax.set_axis_off()
    above[0].imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
    above[0].set_title("image", fontsize=9)
    for result, top, bottom in zip(shown, above[1:], below[1:], strict=True):
        top.imshow(result.picture.numpy(), cmap="gray", vmin=0, vmax=1)
        top.set_title(f"{result.network}\n{result.levels[-1]:.1f} dB", fontsize=9)
        error = (result.picture - image).numpy()
        drawn = bottom.imshow(error, cmap="RdBu_r", vmin=-LARGEST, vmax=LARGEST)
    bar = figure.colorbar(drawn, ax=below[0], location="left", fraction=0.6, aspect=12)
    bar.set_label("error", fontsize=STYLE.small)
    bar.ax.tick_params(labelsize=STYLE.small)
    return figure
