"""Images as functions of x and y: sine networks, KANs and MLPs of one size, given the same time.

What: the Shepp–Logan phantom, made here, and where scikit-image is installed (pip install
'kanpinn[images]') its photograph "camera", 32 x 32 and 64 x 64 pixels each. Sine networks with
Sitzmann's start and two frequencies, KANs with one, two and five hidden layers, and MLPs of tanh
and silu units, some 310 and 1290 parameters each, learn all pixels in the same processor time, by
the clock. Adam at two learning rates, L-BFGS and, for the smaller networks, Levenberg–Marquardt are
tried for 40% of the time, and the variant and way with the best median over the seeds learn for the
whole of it. Three seeds.

How long: twelve minutes on one idle core; --smoke: seconds, the small phantom, one seed.

Writes to --output (results/imaging): imaging.md; curves (PSNR against seconds) and, for each image
and size, pictures (reconstructions and errors) as .png and .pdf; imaging.json; and pieces/, each
trial and each result: a run that was stopped continues from them.
"""

import importlib.util
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy
import torch
from common import script
from common.pieces import Pieces
from common.script import Verdict
from matplotlib.figure import Figure
from scipy.fft import dctn
from torch import Tensor

import kanpinn as kp
from kanpinn.networks import Network
from kanpinn.optimizers import Method
from kanpinn.plotting.style import PALETTE, STYLE, new_figure, tidy
from kanpinn.solvers import Fitted
from kanpinn.solvers.state import SolverState

# Shepp and Logan (1974) with Toft's contrasts (1996): value, half-axes, centre, turn in degrees.
ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
FINE = 4  # samples of a pixel along each axis


def phantom(size: int) -> Tensor:
    """Return the Shepp–Logan phantom, each pixel the mean of FINE² samples."""
    x, y = centres(size * FINE).T
    return means(ellipses(x, y).reshape(size * FINE, size * FINE), size)


def ellipses(x: Tensor, y: Tensor) -> Tensor:
    """Return the phantom's values at points: the sum over the ellipses that contain them."""
    total = torch.zeros_like(x)
    for value, a, b, x0, y0, degrees in ELLIPSES:
        turn = numpy.deg2rad(degrees)
        along = (x - x0) * numpy.cos(turn) + (y - y0) * numpy.sin(turn)
        across = (y - y0) * numpy.cos(turn) - (x - x0) * numpy.sin(turn)
        total += value * ((along / a) ** 2 + (across / b) ** 2 <= 1).to(x)
    return total


def camera(size: int) -> Tensor:
    """Return scikit-image's photograph of a man with a camera, which has 512 × 512 pixels."""
    from skimage import data

    return means(torch.as_tensor(data.camera(), dtype=torch.float64) / 255, size)


def means(image: Tensor, size: int) -> Tensor:
    """Return a square image with size × size pixels, each the mean of a block of pixels."""
    block = len(image) // size
    return image.reshape(size, block, size, block).mean(dim=(1, 3))


def images() -> dict[str, Callable[[int], Tensor]]:
    """Return the available images by name: the photograph needs scikit-image."""
    made: dict[str, Callable[[int], Tensor]] = {}
    if importlib.util.find_spec("skimage"):
        made["camera"] = camera
    return made | {"phantom": phantom}


def centres(size: int) -> Tensor:
    """Return the pixels' centres (size², 2), x and y, row by row from the top."""
    ticks = (torch.arange(size, dtype=torch.float64) + 0.5) * 2 / size - 1
    y, x = torch.cartesian_prod(-ticks, ticks).T
    return torch.stack([x, y], dim=1)


def table(image: Tensor) -> kp.Table:
    """Return the pixels as rows of data."""
    return kp.Table(centres(len(image)), image.reshape(-1, 1), ("x", "y"), ("grey",))


def psnr(rmse: float) -> float:
    """Return the peak signal-to-noise ratio in dB, for values in [0, 1]."""
    return float(-20 * numpy.log10(rmse))


SINE, KAN, MLP = "sine network", "KAN", "MLP"
NAMES = (SINE, KAN, MLP)
FREQUENCIES = (15.0, 30.0)  # Sitzmann's is 30

Make = Callable[[int], Network]  # from a seed


def _mlp(width: int, activation: str, frequency: float | None = None) -> Make:
    widths, dtype = [2, width, width, width, 1], torch.float32
    return lambda seed: kp.MLP(widths, activation, frequency=frequency, seed=seed, dtype=dtype)


def _kan(width: Sequence[int], grid: Sequence[int]) -> Make:
    return lambda seed: kp.KAN(width, degree=3, grid=grid, seed=seed, dtype=torch.float32)


def _variants(
    width: int, kans: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> dict[str, Mapping[str, Make]]:
    return {
        SINE: {f"frequency {f:g}": _mlp(width, "sine", f) for f in FREQUENCIES},
        KAN: {"-".join(map(str, shape)): _kan(shape, grid) for shape, grid in kans},
        MLP: {activation: _mlp(width, activation) for activation in ("tanh", "silu")},
    }


# By pixels along an edge: the variants of each network. The KANs have one hidden layer, two, and
# five as Liu et al.'s for images, each with the grids that its number of parameters leaves.
VARIANTS = {
    16: _variants(4, [([2, 3, 1], [4, 4])]),  # of a smoke run
    32: _variants(
        11, [([2, 8, 1], [11, 8]), ([2, 5, 4, 1], [11, 4, 5]), ([2, 3, 3, 3, 3, 3, 1], [4] * 6)]
    ),
    64: _variants(
        24, [([2, 16, 1], [27, 17]), ([2, 8, 8, 1], [27, 8, 8]), ([2, 6, 6, 6, 6, 6, 1], [5] * 6)]
    ),
}


# Shares of the time, and what fills them.
Stages = Sequence[tuple[float, Callable[[int], Method]]]

RATES = (3e-3, 1e-2)
FIRST, SLOWER = 0.7, 0.1  # the part of the time at a rate, and the rest's rate against it
START, START_RATE = 0.15, 1e-2  # Adam's part of the time before another method, and its rate
STEPS, TIMED = 2, 1 / 30  # steps that are timed at least, for this part of a network's time
MARGIN = 3  # steps may turn out that much cheaper than those that were timed


def _adam(rate: float) -> Callable[[int], Method]:
    return lambda steps: kp.Adam(steps, rate)


def _after_adam(optimizer: Callable[[int], Method]) -> Stages:
    return ((START, _adam(START_RATE)), (1 - START, optimizer))


MARQUARDT = "Levenberg–Marquardt"
WAYS: dict[str, Stages] = {
    **{
        f"Adam, {rate:g}": ((FIRST, _adam(rate)), (1 - FIRST, _adam(SLOWER * rate)))
        for rate in RATES
    },
    "L-BFGS": _after_adam(lambda steps: kp.LBFGS(steps, iterations=10)),
    MARQUARDT: _after_adam(lambda steps: kp.LevenbergMarquardt(steps)),
}


def ways(size: int) -> list[str]:
    """Return the ways for images with so many pixels along an edge, the same for all networks."""
    # With 1290 parameters and 4096 pixels a step of Levenberg–Marquardt takes a second.
    return [way for way in WAYS if size < 64 or way != MARQUARDT]


class Clock:
    """An observer that records the processor time, and ends a run at a limit of it."""

    def __init__(self, limit: float = 0.0, least: int = 1) -> None:
        self.limit, self.least, self.times = limit, least, [time.process_time()]

    def __call__(self, run: SolverState) -> None:
        self.times.append(time.process_time())
        enough = self.times[-1] - self.times[0] > self.limit
        run.interrupted = enough and len(self.times) > self.least

    @property
    def spent(self) -> list[float]:
        """The processor seconds after each step."""
        return [t - self.times[0] for t in self.times[1:]]

    @property
    def cost(self) -> float:
        """Mean processor seconds of a step, without the first one, which is slower.

        The processor's clock can advance in ticks longer than some steps. Where it did not advance
        after the first step, the mean over all steps is returned.
        """
        first, *later = self.times[1:]
        after_first = (later[-1] - first) / len(later) if later else 0.0
        return after_first or (self.times[-1] - self.times[0]) / (len(self.times) - 1)


@dataclass(frozen=True)
class Learned:
    """A trained network, its errors after each step where they were measured, and the seconds."""

    fitted: Fitted
    errors: list[float | None]
    seconds: list[float]

    @property
    def level(self) -> float:
        """The PSNR, minus infinity for a failed run."""
        rmse = self.fitted.scores["train"].rmse
        if rmse is None or self.fitted.status.startswith("failed"):
            return -math.inf
        return psnr(rmse)


@dataclass(frozen=True)
class Learner:
    """A network that is to learn an image in `budget` seconds.

    costs: the seconds of a step of each optimizer, filled as they are timed.
    """

    make: Make
    pixels: kp.Table
    budget: float
    costs: dict[type, float]

    def fit(self, way: str, seed: int, seconds: float) -> Learned:
        """Train a network in all stages of a way, each for its share of these seconds."""
        # On random draws sine networks do better at the highest rate than on all pixels each time;
        # the other methods need the same ones throughout.
        batch = len(self.pixels.inputs) if way.startswith("Adam") else 0
        costs = [self.cost(optimizer) for _, optimizer in WAYS[way]]
        network, clock, errors = self.make(seed), Clock(), []
        for (share, optimizer), cost in zip(WAYS[way], costs, strict=True):
            clock.limit += share * seconds
            # The clock ends a stage; the number of steps says how often errors are measured.
            steps = max(1, round(MARGIN * share * seconds / cost))
            fitted = self._fit(network, optimizer(steps), batch, seed, clock)
            errors += [row.get("train_rmse") for row in fitted.history.rows[1:]]  # first: the start
        return Learned(fitted, errors, clock.spent)

    def cost(self, optimizer: Callable[[int], Method]) -> float:
        """Return the seconds of a step, which are timed at the first call."""
        many = optimizer(100_000)  # so many that Adam does not measure errors meanwhile
        if type(many) not in self.costs:
            clock = Clock(TIMED * self.budget, STEPS + 1)
            self._fit(self.make(0), many, 0, 0, clock)
            self.costs[type(many)] = clock.cost
        return self.costs[type(many)]

    def _fit(
        self, network: Network, optimizer: Method, batch: int, seed: int, clock: Clock
    ) -> Fitted:
        # All networks on [-1, 1]²: a sine network's frequency is meant for that.
        settings: dict[str, Any] = {"batch": batch, "seed": seed, "observers": [clock]}
        return kp.fit(network, self.pixels, optimizer, scaling="range", **settings)


PART = 0.4  # of a network's time is what a trial gets


@dataclass(frozen=True)
class Trial:
    """The median PSNR over the seeds of a network's variant that has learned in one way."""

    image: str
    size: int
    network: str
    variant: str
    way: str
    level: float


@dataclass(frozen=True)
class Result:
    """What a network has learned of an image: PSNR against seconds, and the picture."""

    image: str
    network: str
    variant: str
    seed: int
    parameters: int
    way: str
    steps: int
    seconds: tuple[float, ...]
    levels: tuple[float, ...]
    picture: Tensor

    @property
    def size(self) -> int:
        """Pixels along an edge."""
        return len(self.picture)


def learn(
    name: str,
    image: Tensor,
    network: str,
    seeds: Sequence[int],
    budget: float,
    costs: Mapping[str, dict[type, float]],
    pieces: Pieces,
) -> tuple[list[Result], list[Trial]]:
    """Return the results for all seeds in the best variant and way, and the trials of all.

    costs: for each variant the seconds of an optimizer's step, filled as the steps are timed.
    pieces: finished trials and results, which are read.
    """
    pixels, size = table(image), len(image)
    key = {"image": name, "size": size, "network": network, "budget": budget}
    learners = {
        variant: Learner(make, pixels, budget, costs[variant])
        for variant, make in VARIANTS[size][network].items()
    }
    trials = []
    for variant, learner in learners.items():
        for way in ways(size):
            level = partial(_middle, learner, way, seeds, PART * budget)
            tried = key | {"variant": variant, "way": way, "seeds": list(seeds)}
            trials.append(Trial(name, size, network, variant, way, pieces.pickled(tried, level)))
    best = max(trials, key=lambda trial: trial.level)
    chosen = key | {"variant": best.variant, "way": best.way}
    results = [
        pieces.pickled(
            chosen | {"seed": seed}, partial(_result, best, seed, learners[best.variant], budget)
        )
        for seed in seeds
    ]
    return results, trials


def _middle(learner: Learner, way: str, seeds: Sequence[int], seconds: float) -> float:
    return median(learner.fit(way, seed, seconds).level for seed in seeds)


def _result(chosen: Trial, seed: int, learner: Learner, seconds_allowed: float) -> Result:
    learned = learner.fit(chosen.way, seed, seconds_allowed)
    rows = zip(learned.seconds, learned.errors, strict=True)
    measured = [(seconds, psnr(error)) for seconds, error in rows if error is not None]
    seconds, levels = zip(*measured, strict=True)
    size, fitted = chosen.size, learned.fitted
    return Result(
        *(chosen.image, chosen.network, chosen.variant, seed, fitted.parameters, chosen.way),
        *(len(learned.seconds), seconds, levels),
        fitted(centres(size)).double().reshape(size, size),
    )


def yardsticks(image: Tensor, count: int) -> dict[str, float]:
    """Return the PSNR of the best sums with `count` coefficients, by their kind."""
    values = image.numpy()
    singular = numpy.linalg.svd(values, compute_uv=False)
    cosines = dctn(values, norm="ortho")
    side = int(count**0.5)
    low = numpy.square(cosines).sum() - numpy.square(cosines[:side, :side]).sum()
    small = numpy.sort(numpy.square(cosines).ravel())[:-count].sum()
    rank = count // sum(values.shape)

    def level(squares: float) -> float:
        return psnr(float((squares / values.size) ** 0.5))

    return {
        f"products of a function of x and one of y, {rank} of them": level(
            numpy.square(singular[rank:]).sum()
        ),
        f"cosines, the lowest {side} x {side}": level(low),
        f"cosines, the best {count} of all": level(small),
    }


SAID = (
    "- {image}, {size} x {size}: the KAN is {gap:.1f} dB {side} the sine network "
    "({kan:.1f}, {sine:.1f}); the seeds' ranges {overlap}; highest: {best}, {level:.1f}."
)

RESULT_COLUMNS = [
    *("image", "pixels", "network", "variant", "parameters", "learns by", "steps", "PSNR")
]
Place = tuple[str, int]  # an image and its pixels along an edge


def page(
    results: Sequence[Result],
    trials: Sequence[Trial],
    others: Mapping[Place, Mapping[str, float]],
    budgets: Mapping[int, float],
) -> str:
    """Return the page in Markdown.

    others: what else was measured of each image. budgets: the seconds for each size.
    """
    times = ", ".join(f"{budget:g} s for {size} x {size}" for size, budget in budgets.items())
    seeds = ", ".join(map(str, dict.fromkeys(r.seed for r in results)))
    said = "\n".join([verdict(results, list(others)), *(ahead(results, *p) for p in others)])
    return script.page(
        "imaging",
        **{"budgets": times, "seeds": seeds, "part": PART, "first": FIRST, "slower": SLOWER},
        **{"start": START, "start_rate": START_RATE, "said": said},
        results=script.markdown(RESULT_COLUMNS, result_rows(results, others)),
        trials=script.markdown(
            ["image", "pixels", "network", "variant", *WAYS], trial_rows(trials)
        ),
    )


def result_rows(
    results: Sequence[Result], others: Mapping[Place, Mapping[str, float]]
) -> list[list[str]]:
    """Return a row for each network and for each yardstick."""
    rows = []
    for (image, size), yardsticks in others.items():
        place = [image, f"{size} x {size}"]
        for network in NAMES:
            own = of(results, image, size, network)
            r, ends = own[0], [r.levels[-1] for r in own]
            level = script.spread(ends, ".1f", ".1f")
            cells = [network, r.variant, str(r.parameters), r.way, str(r.steps), level]
            rows.append([*place, *cells])
        rows += [[*place, f"*{n}*", "", "", "", "", f"{v:.1f}"] for n, v in yardsticks.items()]
    return rows


def trial_rows(trials: Sequence[Trial]) -> list[list[str]]:
    """Return a row for each variant, with a column for each way to learn."""
    rows = []
    level = {(t.image, t.size, t.network, t.variant, t.way): t.level for t in trials}
    for image, size, network, variant in dict.fromkeys(key[:-1] for key in level):
        own = [level.get((image, size, network, variant, way)) for way in WAYS]
        cells = ["" if value is None else f"{value:.1f}" for value in own]
        rows.append([image, f"{size} x {size}", network, variant, *cells])
    return rows


def of(results: Sequence[Result], image: str, size: int, network: str) -> list[Result]:
    """Return the results of all seeds."""
    return [r for r in results if (r.image, r.size, r.network) == (image, size, network)]


def ends(results: Sequence[Result], image: str, size: int) -> dict[str, list[float]]:
    """Return each network's PSNR at the end, for all seeds."""
    return {n: [r.levels[-1] for r in of(results, image, size, n)] for n in NAMES}


def verdict(results: Sequence[Result], places: Sequence[Place]) -> str:
    """Return a sentence that says for how many images the KAN is ahead."""
    reached = [ends(results, *place) for place in places]
    count = sum(median(e[KAN]) > median(e[SINE]) for e in reached)
    return (
        f"At equal parameters and time the KAN's median PSNR is above the sine network's in "
        f"{count} of {len(places)} images, and not in {len(places) - count}:\n"
    )


def ahead(results: Sequence[Result], image: str, size: int) -> str:
    """Return a sentence that says which network is ahead on an image."""
    reached = ends(results, image, size)
    middle = {network: median(levels) for network, levels in reached.items()}
    kan, sine, best = middle[KAN], middle[SINE], max(middle, key=lambda n: middle[n])
    low, high = sorted((reached[KAN], reached[SINE]), key=median)
    return SAID.format(
        image=image,
        size=size,
        gap=abs(kan - sine),
        side="above" if kan > sine else "below",
        kan=kan,
        sine=sine,
        overlap="overlap" if max(low) >= min(high) else "are apart",
        best=best,
        level=middle[best],
    )


def judge(results: Sequence[Result]) -> dict[str, Verdict]:
    """Return whether the KAN is above the sine network, for each image and size."""
    figures: dict[str, Verdict] = {}
    for image, size in dict.fromkeys((r.image, r.size) for r in results):
        reached = ends(results, image, size)
        kan, sine = median(reached[KAN]), median(reached[SINE])
        figures[f"{image}, {size} x {size}: PSNR of the KAN, of the sine network"] = script.verdict(
            [kan, sine],
            "the first above the second, at equal parameters and time (medians)",
            kan > sine,
        )
    return figures


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
                label, dashes = r.network if first else None, STYLE.dashes[number]
                ax.plot(r.seconds, r.levels, c=PALETTE[number], ls=dashes, lw=1, label=label)
            low = min(median(r.levels) for r in own) - 4
            tidy(ax).set(xlabel="processor seconds", ylim=(low, None), xlim=(0, None))
            ax.set_title(f"{name}, {size} x {size}", fontsize=9)
            ax.grid(alpha=0.2)
        row[0].set_ylabel("PSNR in dB", fontsize=STYLE.small)
    script.legend(figure, axes=grid[0][0])
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


BUDGETS = {32: 3.0, 64: 6.0}  # processor seconds for a network, by pixels along an edge


def study(
    chosen: Sequence[str], budgets: Mapping[int, float], seeds: Sequence[int], pieces: Pieces
) -> tuple[list[Result], list[Trial]]:
    """Return the results and trials of every network on every image in every size.

    Progress is written to standard error.
    """
    results: list[Result] = []
    trials: list[Trial] = []
    for size, budget in budgets.items():
        costs: defaultdict[str, dict[type, float]] = defaultdict(dict)
        for name in chosen:
            image = images()[name](size)
            for network in NAMES:
                learned, tried = learn(name, image, network, seeds, budget, costs, pieces)
                results, trials = results + learned, trials + tried
                r, level = learned[0], median(r.levels[-1] for r in learned)
                told = f"{name} {size}, {network} {r.variant}, {r.way}: {level:.1f} dB"
                sys.stderr.write(f"{told}, {time.process_time():.0f} s in all\n")
    return results, trials


def main(given: Sequence[str] | None = None) -> None:
    torch.set_num_threads(1)  # processor seconds are then those of a core
    seeds = dict(nargs="+", type=int, default=[0, 1, 2], help="0 1 2")
    chosen = script.options("imaging", __doc__, given, seeds=seeds)
    made, budgets, seeds = list(images()), BUDGETS, chosen.seeds
    if chosen.smoke:
        made, budgets, seeds = ["phantom"], {16: 0.002}, seeds[:1]
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    results, trials = study(made, budgets, seeds, pieces)
    others, drawn = {}, {"curves": draw_curves(results)}
    for image, size in dict.fromkeys((r.image, r.size) for r in results):
        own = [r for r in results if (r.image, r.size) == (image, size)]
        pixels = images()[image](size)
        others[image, size] = yardsticks(pixels, own[0].parameters)
        drawn[f"pictures_{image}_{size}"] = draw_pictures(pixels, own)
    script.publish(chosen, page(results, trials, others, budgets), judge(results), drawn)


if __name__ == "__main__":
    main()
