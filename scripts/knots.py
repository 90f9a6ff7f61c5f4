"""The knot theory of the KAN poster: a knot's signature from its geometry.

What: (1) KAN [17,1,14], G = 3, k = 3, and an MLP 4×300 on 17 invariants, their accuracy on a random
split and on one that keeps equal geometries together, five seeds each, with 2 round(slope/4)
beside; (2) what the signature depends on, by the gradient of the loss, by shuffling columns and by
the size of edges, of the MLP, of the KAN, and of the KAN with L1 and entropy of three strengths;
(3) the KAN on the three translations of the cusp alone; (4) formulas: thresholds of the slope, a
search over monomials, a KAN regression; (5) relations without a target, from networks that tell
real rows from shuffled ones. How far a KAN's first grid reaches is chosen, split by split, on a
tenth of the rows, which are none to test with.

Data: --data DIR or the environment's KANPINN_KNOTS, a folder with train.csv and test.csv: a first
column without a name, the columns of knot_theory/knots.py, `signature` last, as in DeepMind's table
(Davies et al., Nature 600, 2021). --rebuild DIR makes such a folder with SnapPy, which the extra
[knots] brings; a run that was stopped goes on where it was. Inputs that are constant in the data
are left out, and as many classes are told apart as there are.

How long: some 25 minutes of one core, --smoke 15 seconds, on numbers that it makes up. --rebuild:
about a quarter of a second of one core for a knot, so an hour or more for 15000, which --workers N
share.

Writes to --output (results/knots): knots.md, knots_attribution, knots_hidden and knots_network as
.png and .pdf, knots.json, and pieces/, the results of each fit: a run that was stopped goes on from
them.
"""

import argparse
import hashlib
import itertools
import math
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
import torch
from common import script
from common.pieces import Pieces, Row
from common.script import Verdict
from matplotlib.figure import Figure
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.interpret import draw_network
from kanpinn.jets import Channels
from kanpinn.networks.basis import BSplines
from kanpinn.plotting.style import BLUE, GREEN, ORANGE, STYLE, new_figure, tidy
from kanpinn.solvers import Fitted
from kanpinn.solvers.fit import criterion

# As in DeepMind's table, misspellings included.
TRANSLATIONS = (
    *("longitudinal_translation", "meridinal_translation_imag", "meridinal_translation_real"),
)
LONGITUDE, IMAGINARY, REAL = TRANSLATIONS
SYMMETRIES = ("0", "D3", "D4", "D6", "D8", "Z/2 + Z/2")
FEATURES = (
    "chern_simons",
    "cusp_volume",
    "hyperbolic_adjoint_torsion_degree",
    "hyperbolic_torsion_degree",
    "injectivity_radius",
    *TRANSLATIONS,
    "short_geodesic_imag_part",
    "short_geodesic_real_part",
    *(f"Symmetry_{group}" for group in SYMMETRIES),
    "volume",
)
TARGET = "signature"
FILES = ("train.csv", "test.csv")
DIGITS = 4  # after the point: what tells one knot's geometry from another's


@dataclass(frozen=True)
class Knots:
    """Rows of invariants with the signatures as classes; synthetic: whether they are made up."""

    table: kp.Table
    synthetic: bool = False

    @property
    def digest(self) -> str:
        """A digest of all rows."""
        rows = self.table.inputs.numpy().tobytes() + self.table.targets.numpy().tobytes()
        return hashlib.sha256(rows).hexdigest()[:12]

    def row(self, number: str) -> dict[str, float]:
        """Return the columns of one row by their names, the signature last."""
        i = int(number)
        inputs = dict(zip(FEATURES, self.table.inputs[i].tolist(), strict=True))
        return inputs | {TARGET: float(self.signatures[i])}

    @property
    def signatures(self) -> Tensor:
        """The signatures (n,), even numbers."""
        return torch.tensor([float(c) for c in self.table.classes])[self.table.targets]

    @property
    def groups(self) -> Tensor:
        """Numbers (n, 4) that are equal for a knot and its mirror image."""
        x = self.table.column
        rows = torch.stack([x("volume"), x(LONGITUDE), x(REAL).abs(), x(IMAGINARY)], dim=1)
        return (rows * 10**DIGITS).round()

    @property
    def slope(self) -> Tensor:
        """The slope Re(λ/μ), (n,)."""
        return slope_of(*(self.table.column(name) for name in TRANSLATIONS))

    def rows(self, seed: int, grouped: bool, validation: float = 0.0) -> dict[str, Tensor]:
        """Return the numbers of each part's rows, of which a fifth is the test part.

        grouped: the parts consist of whole groups. The test part does not depend on how many rows
        are for validation.
        """
        groups = self.groups if grouped else None
        rows = torch.arange(len(self.table), dtype=torch.float64)[:, None]
        numbered = kp.Data.split(kp.Table(rows, rows), validation, 0.2, seed=seed, groups=groups)
        return {name: part.targets[:, 0].long() for name, part in numbered.parts.items()}

    def split(self, seed: int, grouped: bool, validation: float = 0.0) -> kp.Data:
        """Return the parts with these rows, without inputs that the training part has constant."""
        chosen = self.rows(seed, grouped, validation)
        names = varying(self.table[chosen["train"]])
        return kp.Data(**{part: self.table[i].only(names) for part, i in chosen.items()})

    def leak(self, seed: int) -> float:
        """Return the share of a random split's test rows whose group occurs in the training part.

        The groups include mirror images, which have the opposite signature.
        """
        rows, place = self.rows(seed, grouped=False), self.groups.unique(dim=0, return_inverse=True)
        return float(torch.isin(place[1][rows["test"]], place[1][rows["train"]]).double().mean())


def slope_of(longitude: Tensor, imaginary: Tensor, real: Tensor) -> Tensor:
    """Return Re(λ/μ) = λ μ_r / (μ_r² + μ_i²), as λ is real."""
    return longitude * real / (real.square() + imaginary.square())


def knots_of(inputs: Tensor, signatures: Tensor, synthetic: bool = False) -> Knots:
    """Return the knots with rows (n, 17) in the order of `FEATURES` and signatures (n,)."""
    values, targets = torch.unique(signatures, return_inverse=True)
    classes = tuple(str(int(value)) for value in values)
    return Knots(kp.Table(inputs, targets, FEATURES, (TARGET,), classes), synthetic)


def read_knots(folder: Path) -> Knots:
    """Read train.csv and test.csv in a folder, and return all their rows together.

    Raises:
        InputError: if a file or one of its columns is missing.
    """
    tables = [kp.Table.read(folder / name, FEATURES, TARGET) for name in FILES]
    inputs = torch.cat([table.inputs for table in tables])
    return knots_of(inputs, torch.cat([table.targets[:, 0] for table in tables]))


def synthetic_knots(count: int, seed: int = 0) -> Knots:
    """Return numbers with the ranges of knots and one law: signature ≈ 2 round(slope / 4)."""
    generator = torch.Generator().manual_seed(seed)
    columns = {name: torch.rand(count, generator=generator) for name in FEATURES}
    columns[REAL] = 4 * columns[REAL] - 2
    columns[IMAGINARY] = 0.4 + 1.2 * columns[IMAGINARY]
    columns[LONGITUDE] = 5 + 20 * columns[LONGITUDE]
    columns["cusp_volume"] = columns[LONGITUDE] * columns[IMAGINARY]
    columns["volume"] = 2 + 25 * columns["volume"]
    columns["injectivity_radius"] = columns["short_geodesic_real_part"] / 2
    for group in SYMMETRIES:
        columns[f"Symmetry_{group}"] = columns[f"Symmetry_{group}"].round()
    noise = 0.5 * torch.randn(count, generator=generator)
    slope = slope_of(*(columns[name] for name in TRANSLATIONS))
    signatures = 2 * ((slope + noise) / 4).round().clamp(-4, 4)
    inputs = torch.stack([columns[name] for name in FEATURES], dim=1).double()
    return knots_of(inputs, signatures.double(), synthetic=True)


def varying(table: kp.Table) -> list[str]:
    """Return the inputs that are not the same in all rows."""
    varies = (table.inputs != table.inputs[0]).any(dim=0)
    return [name for name, kept in zip(table.names, varies, strict=True) if kept]


def only(data: kp.Data, names: Sequence[str]) -> kp.Data:
    """Return the data with these inputs alone."""
    return kp.Data(**{part: table.only(names) for part, table in data.parts.items()})


CHUNK = 10
SHARE = 2 / 3  # of the rows in train.csv
CUTOFFS = (1.0, 1.4, 1.7, 1.9, 2.1, 2.5)  # lengths up to which geodesics are looked for
ATTEMPTS = 5  # at a triangulation whose tetrahedra are all positive
DOMAINS = 400  # attempts at a Dirichlet domain
SPINE = 3.2  # its greatest radius: the time for lengths grows exponentially with it
POSITIVE = "all tetrahedra positively oriented"


def rebuild(
    folder: Path, names: Sequence[str], row_of: Callable[[str], Row | None], workers: int
) -> None:
    """Write train.csv and test.csv with the rows of the named knots.

    row_of: returns the columns of one knot, or None to leave it out. workers: processes.
    """
    chunks = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    rows: list[Row] = []
    with ProcessPoolExecutor(workers) as executor:
        for found in executor.map(partial(rows_of, Pieces(folder / "chunks"), row_of), chunks):
            rows += found
            sys.stderr.write(f"{len(rows)} rows\n")
    cut = round(SHARE * len(rows))
    for name, part in zip(FILES, (rows[:cut], rows[cut:]), strict=True):
        write_rows(folder / name, part)
    sys.stderr.write(f"{len(rows)} of {len(names)} knots are in {folder}\n")


def draw_names(count: int) -> list[str]:
    """Draw names of knots of up to 14 crossings, the same ones in each call.

    Ends the program if SnapPy is missing.
    """
    if find_spec("snappy") is None:
        sys.exit("knots.py: --rebuild needs SnapPy: pip install 'kanpinn[knots]'")
    import snappy

    table = snappy.HTLinkExteriors(knots_vs_links="knots")
    places = random.Random(0).sample(range(len(table)), min(count, len(table)))
    return [table[i].name() for i in places]


def rows_of(pieces: Pieces, row_of: Callable[[str], Row | None], names: Sequence[str]) -> list[Row]:
    """Return the rows of some knots, of an earlier call where there was one."""
    made = lambda: [row for name in names if (row := row_of(name)) is not None]  # noqa: E731
    return pieces.rows({"first": names[0], "count": len(names)}, made)


def invariants(name: str) -> Row | None:
    """Return the columns of one knot, None if it is not hyperbolic or no geometry is found."""
    import snappy

    link = snappy.Link(name)
    exterior = link.exterior()
    for _ in range(ATTEMPTS):
        if exterior.solution_type() == POSITIVE:
            break
        exterior.randomize()
    else:
        return None
    try:
        row = geometry(exterior)
    except (RuntimeError, ValueError, ArithmeticError):  # SnapPy's own failures
        return None
    return row | {TARGET: signature(link.seifert_matrix())}


def geometry(exterior: Any) -> Row:
    """Return the invariants of the hyperbolic structure."""
    meridian, longitude = cusp_translations(exterior)
    geodesic = shortest_geodesic(exterior)
    group = str(exterior.symmetry_group())
    translation = shortest_translation(meridian, longitude)
    row = dict.fromkeys(FEATURES, 0.0)
    row |= {f"Symmetry_{g}": float(g == group) for g in SYMMETRIES}
    return row | {
        "chern_simons": float(exterior.chern_simons()),
        "cusp_volume": longitude.real * meridian.imag,
        "injectivity_radius": min(geodesic.real / 2, math.asinh(translation / 2)),
        "longitudinal_translation": longitude.real,
        "meridinal_translation_imag": meridian.imag,
        "meridinal_translation_real": meridian.real,
        "short_geodesic_imag_part": geodesic.imag,
        "short_geodesic_real_part": geodesic.real,
        "volume": float(exterior.volume()),
    }


def cusp_translations(exterior: Any) -> tuple[complex, complex]:
    """Return meridian and longitude on the largest cusp that does not overlap itself."""
    cusp = exterior.cusp_neighborhood()
    cusp.set_displacement(cusp.stopping_displacement())
    meridian, longitude = (complex(z) for z in cusp.translations(0))
    return meridian, longitude


def shortest_geodesic(exterior: Any) -> complex:
    """Return the complex length of the shortest geodesic, from a Dirichlet domain.

    In double precision most base points fail, for some knots all but a few in a hundred. An attempt
    takes a hundredth of a second; more digits would take minutes.

    Raises:
        ArithmeticError: if no Dirichlet domain is found.
    """
    again = exterior.copy()
    for _ in range(DOMAINS):
        try:
            domain = again.dirichlet_domain(maximize_injectivity_radius=False)
            if float(domain.spine_radius()) > SPINE:
                raise RuntimeError("too far out")
            spectra = (domain.length_spectrum_dicts(cutoff) for cutoff in CUTOFFS)
            return complex(next(s for s in spectra if len(s))[0]["length"])
        except (RuntimeError, StopIteration):
            again.randomize()
    raise ArithmeticError("no Dirichlet domain")


def shortest_translation(meridian: complex, longitude: complex) -> float:
    """Return the length of the shortest vector of the cusp's lattice."""
    steps = range(-3, 4)
    lengths = [abs(m * meridian + n * longitude) for m in steps for n in steps if m or n]
    return min(lengths)


def signature(seifert: Sequence[Sequence[int]]) -> int:
    """Return the signature of V + Vᵀ with the sign of DeepMind's table.

    It is the number of negative minus that of positive eigenvalues.
    """
    v = numpy.array([[int(entry) for entry in row] for row in seifert], dtype=float)
    eigenvalues = numpy.linalg.eigvalsh(v + v.T) if v.size else numpy.zeros(0)
    return int((eigenvalues < 0).sum() - (eigenvalues > 0).sum())


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows to a CSV file, whose first column has no name and numbers the rows."""
    names = (*FEATURES, TARGET)
    numbered = [[i, *(repr(row[name]) for name in names)] for i, row in enumerate(rows)]
    script.write_csv(path, ["", *names], numbered)


def attribution(fitted: Fitted) -> dict[str, dict[str, float]]:
    """Return shares that add up to one, on the test rows, {measure: {input: share}}.

    gradient: the mean of |∂ cross entropy/∂x| times the standard deviation of x. shuffling: the
    accuracy lost when the column is shuffled. edge: the standard deviation of the input's edge into
    a KAN's hidden unit.

    Reference: Davies et al., Nature 600 (2021), methods, for the gradient; Breiman, Random forests
    (2001), for the shuffling; Liu et al., KAN (2024), section 4.3, for the edges.
    """
    test = fitted.data.test
    assert test is not None
    lost = torch.stack([_lost(fitted, test, i) for i in range(len(test.names))]).clamp_min(0)
    named = {"gradient": _gradient(fitted, test), "shuffling": lost}
    if isinstance(fitted.network, kp.KAN):
        named["edge"] = hidden_edges(fitted, test.inputs).std(dim=0)
    return {
        measure: dict(zip(test.names, (values / values.sum()).tolist(), strict=True))
        for measure, values in named.items()
    }


def accuracies(fitted: Fitted) -> tuple[float, float]:
    """Return the shares of training and of test rows that are classified rightly."""
    train, test = (fitted.scores[part].accuracy for part in ("train", "test"))
    assert train is not None and test is not None  # the scores of classes have them
    return train, test


@torch.no_grad()
def hidden_edges(fitted: Fitted, inputs: Tensor) -> Tensor:
    """Return the values of the edges into the hidden unit, (n, inputs)."""
    low, high = fitted.surrogate.low, fitted.surrogate.high
    scaled = 2 * (inputs.to(low) - low) / (high - low) - 1
    assert isinstance(fitted.network, kp.KAN)
    return fitted.network.layers[0].edges(scaled)[:, 0, :, 0]


def _gradient(fitted: Fitted, test: kp.Table) -> Tensor:
    inputs = test.inputs.to(fitted.surrogate.low).requires_grad_()
    outputs = fitted.surrogate.jet(Points(inputs, test.names), Channels(test.names)).value
    loss = torch.nn.functional.cross_entropy(outputs, test.targets, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.abs().mean(dim=0) * test.inputs.std(dim=0)


def _lost(fitted: Fitted, test: kp.Table, column: int) -> Tensor:
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(column))
    shuffled = test.inputs.clone()
    shuffled[:, column] = shuffled[order, column]
    right = (fitted.predict(shuffled) == test.targets).double().mean()
    _, accuracy = accuracies(fitted)
    return accuracy - right


STRENGTHS = (1e-4, 3e-4, 1e-3)  # of L1 and entropy
RANDOM, GROUPED = "random", "grouped"
VALIDATION = 0.1  # of the rows, to choose by

# How far the first grid reaches, in standard deviations about the mean, with tangents beyond: three
# intervals over the whole range cannot tell signs of the meridional translation near zero.
REACHES = (0.4, 0.7, 1.0)
BATCH = 256
RATE = 2e-2  # of Adam, which goes first: from a random start L-BFGS often ends in a poor minimum


@dataclass(frozen=True)
class Size:
    """How much is done.

    KANs are trained by `warm` steps of Adam and `steps` of L-BFGS, the MLP with `units` in its
    hidden layers by `descent` steps of Adam. Relations are looked for from so many `starts` on so
    many `rows`, by so many `iterations` of L-BFGS each.
    """

    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    warm: int = 960
    steps: int = 24
    descent: int = 1500
    units: Sequence[int] = (300, 300, 300, 300)
    starts: int = 40
    rows: int = 2000
    iterations: int = 150


SMOKE = Size(
    seeds=(0,), warm=2, steps=1, descent=2, units=(20, 20), starts=1, rows=150, iterations=10
)


@dataclass(frozen=True)
class Result:
    """The accuracies of a network on one split.

    reach: of its first grid. shares: of each input, by measure.
    """

    network: str
    split: str
    seed: int
    parameters: int
    train: float
    test: float
    seconds: float
    reach: float | None = None
    shares: dict[str, dict[str, float]] = field(default_factory=dict)


def all_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit a KAN [17,1,14], G = 3, k = 3, of the data's width, on the random split sparse too.

    The least sparsity acts from the random start, the others continue from it: at once they would
    leave nothing to learn.
    """
    data = knots.split(seed, grouped, VALIDATION)
    reach, fitted = fit_starts(data, kan_width(data), seed, size)
    results = [result("KAN, all invariants", fitted, seed, grouped, reach)]
    for strength, sparse in () if grouped else sparse_fits(data, reach, seed, size, STRENGTHS):
        results.append(result(f"KAN, sparsity {strength:g}", sparse, seed, grouped, reach))
    return results


def three_invariants(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit a KAN [3,1,14] to the translations alone."""
    data = only(knots.split(seed, grouped, VALIDATION), TRANSLATIONS)
    reach, fitted = fit_starts(data, kan_width(data), seed, size)
    return [result("KAN, three invariants", fitted, seed, grouped, reach)]


def perceptron(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Result]:
    """Fit an MLP to all invariants by Adam; the state with the least validation error is kept."""
    data = knots.split(seed, grouped, VALIDATION)
    width = [len(data.train.names), *size.units, len(data.train.classes)]
    network = kp.MLP(width, "tanh", seed=seed, dtype=torch.float32)
    fitted = kp.fit(network, data, SparselyJudged(size.descent, 1e-3), batch=256, seed=seed)
    return [result("MLP, all invariants", fitted, seed, grouped)]


def kan_width(data: kp.Data) -> list[int]:
    """Return the width of a KAN with one hidden unit."""
    return [len(data.train.names), 1, len(data.train.classes)]


def sparse_fits(
    data: kp.Data, reach: float, seed: int, size: Size, strengths: Sequence[float]
) -> Iterator[tuple[float, Fitted]]:
    """Yield fits with penalties on L1 and entropy of the edges' sizes, each from the one before.

    There are no validation rows: by these the state before it grew sparse would be kept.
    """
    width, sparsity = kan_width(data), [kp.Sparsity(strength) for strength in strengths]
    network = warm_start(data, width, reach, seed, size.warm, sparsity=sparsity[0])
    data = kp.Data(data.train, test=data.test)
    for i, (strength, own) in enumerate(zip(strengths, sparsity, strict=True)):
        optimizer = kp.LBFGS(max(1, size.steps * (2 if i else 5) // 5))
        fitted = kp.fit(network, data, optimizer, scaling="standard", seed=seed, sparsity=own)
        yield strength, fitted


def result(
    network: str, fitted: Fitted, seed: int, grouped: bool, reach: float | None = None
) -> Result:
    """Return the result of one fit."""
    train, test = accuracies(fitted)
    split = GROUPED if grouped else RANDOM
    count, shares = fitted.parameters, attribution(fitted)
    return Result(network, split, seed, count, train, test, fitted.seconds, reach, shares)


@dataclass(frozen=True)
class SparselyJudged(kp.Adam):
    """Adam, whose errors are measured every 25 steps: measuring costs more than a step."""

    def measures(self, step: int) -> bool:
        return step % 25 == 0


def fit_starts(
    data: kp.Data, width: Sequence[int], seed: int, size: Size, intervals: int = 3
) -> tuple[float, Fitted]:
    """Return the reach of the first grid whose fit is best on the validation rows, and the fit."""
    began = time.perf_counter()
    fits = {}
    for reach in REACHES:
        network = warm_start(data, width, reach, seed, size.warm, intervals)
        fits[reach] = kp.fit(network, data, kp.LBFGS(size.steps), scaling="standard", seed=seed)
    error = criterion(data.train)
    reach = min(fits, key=lambda one: getattr(fits[one].scores["validation"], error))
    return reach, replace(fits[reach], seconds=time.perf_counter() - began)


def warm_start(
    data: kp.Data,
    width: Sequence[int],
    reach: float,
    seed: int,
    steps: int,
    intervals: int = 3,
    sparsity: kp.Sparsity | None = None,
) -> kp.KAN:
    """Return a KAN of degree 3 after some steps of Adam on batches of rows.

    It is in float64, which L-BFGS needs later.
    """
    network = kp.KAN(width, degree=3, grid=intervals, seed=seed)
    first = network.layers[0]
    first.basis = first.basis.on(reach * first.basis.breaks)
    adam = SparselyJudged(steps, RATE)
    train = kp.Data(data.train)
    kp.fit(network, train, adam, scaling="standard", batch=BATCH, sparsity=sparsity, seed=seed)
    return network


INTERVALS, DEGREE = 5, 3
SPARSITY = (1e-2, 1e-3)
PRUNED = 40  # iterations of L-BFGS after an input has been removed, at most
NEEDED = 0.10  # of the gap to knowing nothing: what an input's removal must cost to be kept
CHANCE = 0.25  # the loss of the constant 1/2
CLEAR = 0.15  # a loss above it is no relation
SMALL = 1e-8


@dataclass(frozen=True)
class Relation:
    """The inputs of a relation found from one start, and its loss (0.25: none)."""

    round: int
    seed: int
    strength: float
    members: frozenset[str]
    loss: float


@dataclass(frozen=True, eq=False)
class Contrast:
    """Spline values of real and shuffled rows, (inputs, rows, splines), means subtracted."""

    names: Sequence[str]
    real: Tensor
    shuffled: Tensor

    def loss(self, coefficients: Tensor) -> Tensor:
        """Return the mean square of 1 - p on real rows and p on shuffled ones, p = exp(-h²/2)."""
        one, other = (self._gaussian(part, coefficients) for part in (self.real, self.shuffled))
        return ((1 - one).square().mean() + other.square().mean()) / 2

    def _gaussian(self, basis: Tensor, coefficients: Tensor) -> Tensor:
        h = torch.einsum("inb,ib->n", basis, coefficients[:, :-1]) + coefficients[0, -1]
        return torch.exp(-h.square() / 2)

    def sizes(self, coefficients: Tensor) -> Tensor:
        """Return the edges' standard deviations on real rows."""
        edges = torch.einsum("inb,ib->in", self.real, coefficients[:, :-1])
        return (edges.square().mean(dim=1) + SMALL).sqrt()

    def without(self, names: Sequence[str]) -> "Contrast":
        """Return the same without some inputs."""
        kept = [i for i, name in enumerate(self.names) if name not in names]
        left = [self.names[i] for i in kept]
        return replace(self, names=left, real=self.real[kept], shuffled=self.shuffled[kept])


def find_relations(knots: Knots, size: Size, rounds: int = 3) -> list[Relation]:
    """Find relations from many starts, in several rounds.

    Each round lacks one member of the commonest group of the round before, so that other relations
    are found.
    """
    names, rows = _columns(knots)
    found: list[Relation] = []
    absent: list[str] = []
    for number in range(rounds):
        own = []
        for seed in range(size.starts):
            contrast = contrast_of(names, rows, size.rows, seed).without(absent)
            strength = SPARSITY[seed % len(SPARSITY)]
            own.append(find(contrast, number, seed, strength, size.iterations))
        found += own
        clear = count_groups(own)
        if not clear:
            break
        # The input that the fewest other groups have: the others may be parts of more relations.
        group = clear.most_common(1)[0][0]
        uses = Counter(name for r in own if r.loss < CLEAR for name in r.members)
        absent.append(min(sorted(group), key=lambda name: uses[name]))
    return found


def count_groups(relations: Sequence[Relation]) -> Counter[frozenset[str]]:
    """Return how many starts found each group."""
    return Counter(r.members for r in relations if r.loss < CLEAR and len(r.members) > 1)


def _columns(knots: Knots) -> tuple[list[str], Tensor]:
    """Return all inputs with more than two values, and the signature."""
    table = knots.table
    taken = [n for n in table.names if len(table.column(n).unique()) > 2]
    columns = [table.column(name) for name in taken] + [knots.signatures]
    return [*taken, TARGET], torch.stack(columns, dim=1).to(torch.float64)


def contrast_of(names: Sequence[str], rows: Tensor, count: int, seed: int) -> Contrast:
    """Return some of the rows, and as many with shuffled columns."""
    generator = torch.Generator().manual_seed(seed)
    real = rows[torch.randperm(len(rows), generator=generator)[:count]]
    mixed = [c[torch.randperm(len(c), generator=generator)] for c in real.T]
    # Splines on even grids over the mean ± two standard deviations of each column.
    middle, deviation = real.mean(dim=0), real.std(dim=0)
    ends = middle - 2 * deviation, middle + 2 * deviation
    basis = BSplines.uniform(*ends, INTERVALS, DEGREE)
    both = (real, torch.stack(mixed, dim=1))
    bases = [basis.values(x)[:, 0].transpose(0, 1).contiguous() for x in both]
    mean = bases[0].mean(dim=1, keepdim=True)
    return Contrast(list(names), bases[0] - mean, bases[1] - mean)


def find(contrast: Contrast, number: int, seed: int, strength: float, iterations: int) -> Relation:
    """Return the relation that one random start finds by so many iterations of L-BFGS."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(contrast.names), contrast.real.shape[2] + 1)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    coefficients = _train(contrast, start, strength, iterations)
    contrast, coefficients, loss = _prune(contrast, coefficients, min(PRUNED, iterations))
    return Relation(number + 1, seed, strength, frozenset(contrast.names), loss)


def _train(contrast: Contrast, start: Tensor, strength: float, iterations: int) -> Tensor:
    """Return coefficients that minimise the loss and the sparsity penalty, by L-BFGS."""
    c = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [c], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        sizes = contrast.sizes(c)
        p = sizes / sizes.sum()
        loss = contrast.loss(c) + strength * (sizes.sum() - (p * p.log()).sum())
        loss.backward()
        return loss

    optimizer.step(closure)
    return c.detach()


def _prune(
    contrast: Contrast, coefficients: Tensor, iterations: int
) -> tuple[Contrast, Tensor, float]:
    """Remove inputs, that of the smallest edge first, as long as the loss hardly rises."""
    loss = float(contrast.loss(coefficients))
    while len(contrast.names) > 2:
        order = contrast.sizes(coefficients).argsort()
        gone = int(order[0])
        kept = [i for i in range(len(order)) if i != gone]
        smaller = contrast.without([contrast.names[gone]])
        offset = coefficients[0, -1]
        start = coefficients[kept]
        start[0, -1] = offset
        again = _train(smaller, start, min(SPARSITY) / 10, iterations)
        new = float(smaller.loss(again))
        if new - loss > NEEDED * max(CHANCE - loss, 0):
            break
        contrast, coefficients, loss = smaller, again, new
    return contrast, coefficients, loss


POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)  # of λ
ODD = (1, 3)  # of μ_r: a mirror image has the opposite signature
LOWER = (0, 1, 2, 3, 4)  # of |μ| and of μ_i, below the bar
FACTORS = torch.linspace(0.6, 1.5, 91, dtype=torch.float64)  # about the least-squares coefficient
SHOWN = 5
NUMBERS = (3, 2, 1)  # width of the network for the signature as a number


@dataclass(frozen=True)
class Formula:
    """A formula as text, with its accuracy on the rows it was found with and on others."""

    kind: str
    words: str
    train: float
    test: float


def of_split(knots: Knots, seed: int, grouped: bool, size: Size) -> list[Formula]:
    """Return all formulas but the baseline; the best of the search has a name of its own."""
    best, *others = search(knots, seed, grouped)
    fits = [fit(knots, seed, grouped, size) for fit in (thresholds, regression)]
    return [*fits, replace(best, kind="search: best"), *others]


def baseline(knots: Knots) -> Formula:
    """Return 2 round(slope/4), in which nothing is fitted."""
    right = accuracy(2 * (knots.slope / 4).round(), knots.signatures)
    return Formula("baseline", "2 round(slope / 4)", right, right)


def thresholds(knots: Knots, seed: int, grouped: bool, size: Size) -> Formula:
    """Fit a function of the slope alone, KAN [1, classes].

    The class is the one whose spline is the greatest.
    """
    table, classes = knots.table, knots.table.classes
    of_slope = kp.Table(knots.slope[:, None], table.targets, ("slope",), table.outputs, classes)
    groups = knots.groups if grouped else None
    data = kp.Data.split(of_slope, seed=seed, groups=groups)
    network = kp.KAN([1, len(classes)], degree=3, grid=8, seed=seed)
    fitted = kp.fit(network, data, kp.LBFGS(size.steps), seed=seed)
    words = "thresholds of λ μ_r / (μ_r² + μ_i²)"
    return Formula("slope, learned", words, *accuracies(fitted))


def search(knots: Knots, seed: int, grouped: bool) -> list[Formula]:
    """Return the best formulas 2 round(c z / 2) on the training rows.

    z is λ^p μ_r^q / |μ|^r or λ^p μ_r^q / μ_i^r.
    """
    data = knots.split(seed, grouped)
    values = torch.tensor([float(c) for c in data.train.classes], dtype=torch.float64)
    train, test = (data.parts[part] for part in ("train", "test"))
    found = []
    for p, q, r, modulus in itertools.product(POWERS, ODD, LOWER, (True, False)):
        if r == 0 and not modulus:
            continue
        one, other = (_monomial(table, p, q, r, modulus) for table in (train, test))
        wanted = values[train.targets]
        factor, right = _best_factor(one, wanted)
        words = _words(factor, p, q, r, modulus)
        unseen = accuracy(2 * (factor * other / 2).round(), values[test.targets])
        found.append(Formula("search", words, right, unseen))
    return sorted(found, key=lambda formula: -formula.train)[:SHOWN]


def regression(knots: Knots, seed: int, grouped: bool, size: Size) -> Formula:
    """Fit a KAN [3,2,1] to the signature as a number, rounded to the nearest even one."""
    data = _as_numbers(knots.split(seed, grouped, VALIDATION))
    _, fitted = fit_starts(data, NUMBERS, seed, size, intervals=5)
    train, test = (
        accuracy(2 * (fitted(table.inputs) / 2).round(), table.targets)
        for table in (data.parts["train"], data.parts["test"])
    )
    return Formula("KAN [3,2,1]", "a network for the signature, rounded", train, test)


def _as_numbers(data: kp.Data) -> kp.Data:
    """Return the data with signatures as numbers and the translations as the only inputs."""
    values = torch.tensor([float(c) for c in data.train.classes], dtype=torch.float64)
    return kp.Data(
        **{
            name: kp.Table(part.only(TRANSLATIONS).inputs, values[part.targets], TRANSLATIONS)
            for name, part in data.parts.items()
        }
    )


def accuracy(predicted: Tensor, wanted: Tensor) -> float:
    """Return the share of rows that agree."""
    return float((predicted == wanted).double().mean())


def _monomial(table: kp.Table, p: float, q: int, r: int, modulus: bool) -> Tensor:
    longitude, imaginary, real = (table.column(n) for n in (LONGITUDE, IMAGINARY, REAL))
    below = torch.hypot(real, imaginary) if modulus else imaginary
    return longitude**p * real**q / below**r


def _best_factor(z: Tensor, wanted: Tensor) -> tuple[float, float]:
    least = float((z @ wanted) / (z @ z))
    tried = [(accuracy(2 * (least * f * z / 2).round(), wanted), -abs(f - 1), f) for f in FACTORS]
    right, _, factor = max(tried)
    return least * float(factor), right


def _words(factor: float, p: float, q: int, r: int, modulus: bool) -> str:
    def power(name: str, exponent: float) -> str:
        return "" if exponent == 0 else name if exponent == 1 else f"{name}^{exponent:g}"

    lower = power("|μ|" if modulus else "μ_i", r)
    product = " ".join(part for part in (power("λ", p), power("μ_r", q)) if part)
    return f"2 round({factor / 2:.3g} {product}{' / ' + lower if lower else ''})"


ALL, THREE, PERCEPTRON = "KAN, all invariants", "KAN, three invariants", "MLP, all invariants"
SPARSE = tuple(f"KAN, sparsity {strength:g}" for strength in STRENGTHS)
PAPER = {ALL: 0.816, THREE: 0.782, PERCEPTRON: 0.780}
PARAMETERS = 250
FORMULA = 0.83
MEASURES = ("gradient", "shuffling", "edge")
# The groups of the paper's figure 4.4, by members that tell them.
GROUPS = {
    "signature": {TARGET, REAL},
    "cusp volume or volume": {LONGITUDE, IMAGINARY},
    "geodesic": {"short_geodesic_real_part", "injectivity_radius"},
}


def judge(
    results: Sequence[Result], formulas: Sequence[Formula], relations: Sequence[Relation]
) -> dict[str, Verdict]:
    """Return every measured value with its target."""
    figures: dict[str, Verdict] = {}
    for network, split in ((n, s) for n in PAPER for s in (RANDOM, GROUPED)):
        found = tests_of(results, network, split)
        if not found:
            continue
        judged = split == RANDOM and network != PERCEPTRON
        target = (
            f">= {PAPER[network]}, the paper's"
            if judged
            else f"told beside the paper's {PAPER[network]} (random split)"
        )
        met = float(numpy.median(found)) >= PAPER[network] if judged else None
        value = _summary(found)
        figures[f"{network}: accuracy, {split} split"] = script.verdict(value, target, met)
    count = max(r.parameters for r in results if r.network == ALL)
    figures["parameters"] = script.verdict(count, f"<= {PARAMETERS}", count <= PARAMETERS)
    figures |= _attributions(results)
    figures |= _formulas(formulas)
    found_groups = [group for r in relations for group in count_groups([r])]
    seen = {name: sum(members <= g for g in found_groups) for name, members in GROUPS.items()}
    figures["relations: starts that found each group"] = script.verdict(
        seen, "each of the paper's three groups", all(seen.values())
    )
    return figures


def tests_of(results: Sequence[Result], network: str, split: str) -> list[float]:
    """Return the accuracies of a network on one kind of split."""
    return [r.test for r in results if (r.network, r.split) == (network, split)]


def median_of(values: Iterable[float]) -> float:
    return float(numpy.median(list(values)))


def attributed(results: Sequence[Result], network: str, measure: str) -> dict[str, float]:
    """Return the median share of each invariant, the greatest first; 0 if it was constant."""
    shares = shares_of(results, network, measure)
    names = dict.fromkeys(name for share in shares for name in share)
    found = {name: median_of(s.get(name, 0.0) for s in shares) for name in names}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def shares_of(results: Sequence[Result], network: str, measure: str) -> list[dict[str, float]]:
    """Return the shares on the random splits, seed by seed; empty if there is no such measure."""
    own = [r for r in results if (r.network, r.split) == (network, RANDOM)]
    return [r.shares[measure] for r in own if measure in r.shares]


def translations_first(shares: dict[str, float]) -> bool:
    """Return whether the three translations have the greatest shares."""
    return set(sorted(shares, key=lambda name: -shares[name])[:3]) == set(TRANSLATIONS)


def _attributions(results: Sequence[Result]) -> dict[str, Verdict]:
    figures = {}
    for network in (PERCEPTRON, ALL, *SPARSE):
        for measure in MEASURES:
            shares = shares_of(results, network, measure)
            if not shares:
                continue
            medians = attributed(results, network, measure)
            seeds = sum(map(translations_first, shares))
            value = {"first": list(medians)[:4], "seeds": f"{seeds} of {len(shares)}"}
            target = "the three translations first, in the median and for each seed"
            met = translations_first(medians) and seeds == len(shares)
            name = f"attribution, {network}, by {measure}"
            figures[name] = script.verdict(value, target, met)
    return figures


def _formulas(formulas: Sequence[Formula]) -> dict[str, Verdict]:
    figures: dict[str, Verdict] = {}
    for kind in dict.fromkeys(f.kind for f in formulas):
        own = [f for f in formulas if f.kind == kind]
        met = (
            median_of(f.test for f in own) >= FORMULA
            if kind in ("slope, learned", "search: best")
            else None
        )
        target = "told beside" if met is None else f">= {FORMULA}"
        figures[f"formula, {kind}"] = script.verdict(_summary([f.test for f in own]), target, met)
    return figures


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"median": median_of(values), "least": min(values), "greatest": max(values)}


BARS = {
    (PERCEPTRON, "gradient"): ("MLP, gradient", BLUE),
    (SPARSE[-1], "shuffling"): ("sparse KAN, shuffling", ORANGE),
    (SPARSE[-1], "edge"): ("sparse KAN, size of edge", GREEN),
}


def draw_attribution(results: Sequence[Result]) -> Figure:
    """Draw three measures' shares for each invariant as bars."""
    figure = new_figure(5.5, 5.0)
    ax = tidy(figure.add_subplot())
    names = list(attributed(results, PERCEPTRON, "gradient"))[::-1]
    for i, ((network, measure), (words, colour)) in enumerate(BARS.items()):
        shares = attributed(results, network, measure)
        heights = [at + 0.27 * (1 - i) for at in range(len(names))]
        ax.barh(heights, [shares[name] for name in names], 0.25, color=colour, label=words)
    ax.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    ax.set_xlabel("share of the signature, median over seeds", fontsize=STYLE.small)
    ax.legend(fontsize=STYLE.small, frameon=False)
    return figure


def draw_hidden(one: Fitted) -> Figure:
    """Draw the hidden unit of a network against the slope, coloured by the signature."""
    assert one.data.test is not None
    test = one.data.test
    hidden = hidden_edges(one, test.inputs).sum(dim=1)
    slope = slope_of(*(test.column(name) for name in TRANSLATIONS))
    signatures = torch.tensor([float(c) for c in test.classes])[test.targets]
    figure = new_figure(5.0, 3.4)
    ax = tidy(figure.add_subplot())
    dots = ax.scatter(slope, hidden, c=signatures, s=4, cmap="coolwarm", rasterized=True)
    ax.set_xlabel("slope Re(λ/μ)", fontsize=STYLE.small)
    ax.set_ylabel("hidden unit", fontsize=STYLE.small)
    figure.colorbar(dots, ax=ax).set_label("signature", fontsize=STYLE.small)
    return figure


SHORT = 6  # lines of a ranking


def page(
    knots: Knots,
    size: Size,
    results: Sequence[Result],
    formulas: Sequence[Formula],
    relations: Sequence[Relation],
) -> str:
    """Return the page in Markdown."""
    x = knots.table.column
    volume, imaginary = x("volume"), x(IMAGINARY)
    pairs = (volume, x("cusp_volume")), (imaginary, x(REAL).abs()), (volume, knots.signatures.abs())
    return script.page(
        "knots",
        source="Made-up numbers: nothing here is about knots." if knots.synthetic else "Knots.",
        rows=len(knots.table),
        classes=len(knots.table.classes),
        groups=len(knots.groups.unique(dim=0)),
        leak=100 * median_of(knots.leak(seed) for seed in size.seeds),
        seeds=len(size.seeds),
        accuracies=_accuracies(results),
        plainly="\n".join(_plainly(results)),
        tried=", ".join(f"{reach:g}" for reach in REACHES),
        ranking=_ranking(results),
        # Why a sum of functions of one input each uses the volume for part of the translations.
        correlations=[float(torch.corrcoef(torch.stack(pair).double())[0, 1]) for pair in pairs],
        formulas=_formula_table(formulas),
        relations=_relations(relations),
    )


def _accuracies(results: Sequence[Result]) -> str:
    rows = []
    for network in dict.fromkeys(r.network for r in results):
        own = [r for r in results if r.network == network]
        counts = sorted({r.parameters for r in own})
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} … {counts[-1]}"
        cells = [_percent(tests_of(results, network, split)) for split in (RANDOM, GROUPED)]
        train = _percent([r.train for r in own if r.split == RANDOM])
        seconds = script.spread([r.seconds for r in own], ".0f", ".0f")
        rows.append([network, span, *cells, train, _reaches(own), seconds])
    head = ["network", "parameters", "random split, %", "grouped split, %", "train, random, %"]
    return script.markdown([*head, "reach of the grid", "seconds"], rows)


def _reaches(own: Sequence[Result]) -> str:
    """Return how often each reach was chosen."""
    counts = Counter(r.reach for r in own if r.reach is not None)
    return ", ".join(f"{reach:g} ({count})" for reach, count in sorted(counts.items()))


def _plainly(results: Sequence[Result]) -> list[str]:
    """Compare the MLP with the KAN, and the random split with the grouped one."""
    kan, mlp = (
        [100 * median_of(tests_of(results, network, split)) for split in (RANDOM, GROUPED)]
        for network in (ALL, PERCEPTRON)
    )
    more = "more" if min(m - k for m, k in zip(mlp, kan, strict=True)) > 0 else "not always more"
    return [
        f"The MLP, with many times the parameters, is {more} accurate: {mlp[0]:.1f} % against "
        f"{kan[0]:.1f} % (random split), {mlp[1]:.1f} % against {kan[1]:.1f} % (grouped).",
        f"From the random to the grouped split the MLP's changes by {mlp[1] - mlp[0]:+.1f} points, "
        f"the KAN's by {kan[1] - kan[0]:+.1f}: the random split rewards what remembers twins.",
    ]


def _ranking(results: Sequence[Result]) -> str:
    rows = []
    for network in (PERCEPTRON, ALL, *SPARSE):
        for measure in MEASURES:
            shares = shares_of(results, network, measure)
            if shares:
                seeds = f"{sum(map(translations_first, shares))} of {len(shares)}"
                names = list(attributed(results, network, measure))[:SHORT]
                parts = {n: _percent([s.get(n, 0.0) for s in shares], ".0f") for n in names}
                first = ", ".join(f"{name} {part}" for name, part in parts.items())
                rows.append([network, measure, seeds, first])
    head = ["network", "measure", "seeds with the three translations first", "shares in %"]
    return script.markdown(head, rows)


def _formula_table(formulas: Sequence[Formula]) -> str:
    """Return one line for each kind of formula, and for each of the search's next best formulas."""
    lines: dict[tuple[str, str], list[Formula]] = {}
    for f in formulas:
        lines.setdefault((f.kind, f.words if f.kind == "search" else ""), []).append(f)
    rows = []
    for (kind, _), own in sorted(lines.items(), key=lambda item: (item[0][0], -len(item[1]))):
        words = "; ".join(sorted({f.words for f in own}))
        spreads = [_percent([getattr(f, part) for f in own]) for part in ("train", "test")]
        rows.append([kind, words, *spreads, str(len(own))])
    return script.markdown(["kind", "formula", "train, %", "test, %", "seeds"], rows)


def _relations(relations: Sequence[Relation]) -> str:
    rows = []
    for number in sorted({r.round for r in relations}):
        own = [r for r in relations if r.round == number]
        for group, count in count_groups(own).most_common(SHORT):
            least = min(r.loss for r in own if group <= r.members)
            seen = f"{count} of {len(own)}"
            rows.append([str(number), ", ".join(sorted(group)), seen, f"{least:.3f}"])
    return script.markdown(["round", "invariants", "starts", "least loss (0.25: none)"], rows)


def _percent(values: Iterable[float], digits: str = ".1f") -> str:
    return script.spread([100 * value for value in values], digits, digits)


VARIABLE = "KANPINN_KNOTS"
SYNTHETIC_ROWS = 400
NETWORKS = (all_invariants, three_invariants, perceptron)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    chosen = script.options(
        "knots",
        __doc__,
        given,
        data=dict(type=Path, help=f"a folder of data; else that of {VARIABLE}"),
        rebuild=dict(type=Path, metavar="DIR", help="make such a folder and end"),
        count=dict(type=int, default=15000, help="knots to rebuild (15000)"),
        workers=dict(type=int, default=1, help="processes to rebuild with (1)"),
    )
    for name in ("count", "workers"):
        if getattr(chosen, name) < 1:
            chosen.error(f"--{name} {getattr(chosen, name)}: expected 1 or more")
    folder = os.environ.get(VARIABLE)
    chosen.data = chosen.data or (Path(folder) if folder else None)
    if not (chosen.data or chosen.rebuild or chosen.smoke):
        chosen.error(f"no data: give --data DIR or {VARIABLE}, or make some with --rebuild DIR")
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    if chosen.rebuild:
        rebuild(chosen.rebuild, draw_names(chosen.count), invariants, chosen.workers)
        return
    try:
        knots = made_up(chosen.output / "data") if chosen.smoke else read_knots(chosen.data)
    except kp.InputError as error:
        sys.exit(f"knots.py: {error}")
    size = SMOKE if chosen.smoke else Size()
    pieces = Pieces.under(chosen.output, again=chosen.smoke)
    results, found = fitted(knots, size, pieces), formulated(knots, size, pieces)
    relations = related(knots, size, pieces)
    text = page(knots, size, results, found, relations)
    verdicts = judge(results, found, relations)
    script.publish(chosen, text, verdicts, draw(results, knots, size))


def made_up(folder: Path) -> Knots:
    """Write the data files of made-up knots as --rebuild does, and read them."""
    knots = synthetic_knots(SYNTHETIC_ROWS)
    shutil.rmtree(folder, ignore_errors=True)
    rebuild(folder, list(map(str, range(SYNTHETIC_ROWS))), knots.row, workers=1)
    return replace(read_knots(folder), synthetic=True)


def key_of(knots: Knots, size: Size, **own: object) -> dict[str, object]:
    """Return the key of a piece: its own entries, and the rows and sizes of its study."""
    return {**own, "rows": knots.digest, "size": repr(size)}


def fitted(knots: Knots, size: Size, pieces: Pieces) -> list[Result]:
    """Return every network on both splits from every seed."""
    results = []
    for network, grouped, seed in itertools.product(NETWORKS, (False, True), size.seeds):
        split = GROUPED if grouped else RANDOM
        key = key_of(knots, size, network=network.__name__, split=split, seed=seed)
        own = pieces.records(Result, key, partial(network, knots, seed, grouped, size))
        for one in own:
            sys.stderr.write(f"{one.network}, {one.split}, seed {seed}: {one.test:.4f}\n")
        results += own
    return results


def formulated(knots: Knots, size: Size, pieces: Pieces) -> list[Formula]:
    """Return the formulas from the random split's rows, seed by seed."""
    found = [baseline(knots)]
    for seed in size.seeds:
        make = partial(of_split, knots, seed, False, size)
        found += pieces.records(Formula, key_of(knots, size, formulas="all", seed=seed), make)
    return found


def related(knots: Knots, size: Size, pieces: Pieces) -> list[Relation]:
    """Return the relations among the columns of all rows."""
    key = key_of(knots, size, relations="all")
    found = pieces.records(Relation, key, partial(find_relations, knots, size))
    return [replace(one, members=frozenset(one.members)) for one in found]


def draw(results: Sequence[Result], knots: Knots, size: Size) -> dict[str, Figure]:
    """Draw the figures; two show the sparsest network, which is fitted once more."""
    first = next(r for r in results if (r.network, r.split) == (ALL, RANDOM))
    assert first.reach is not None  # a KAN has a grid
    data = knots.split(first.seed, False, VALIDATION)
    *_, (_, one) = sparse_fits(data, first.reach, first.seed, size, STRENGTHS)
    inputs = [name.replace("_", " ") for name in one.data.train.names]
    return {
        "knots_attribution": draw_attribution(results),
        "knots_hidden": draw_hidden(one),
        "knots_network": draw_network(one, inputs=inputs),
    }


if __name__ == "__main__":
    main()
