"""The runs from which formulas are read, and a row for each."""

import time
from dataclasses import asdict, dataclass

import torch
from interpretation.functions import DrawnPoisson, Target, draw

import kanpinn as kp
from kanpinn.interpret import Formula, interpret

ROWS = 2000
NAMES = ("x", "y", "z", "w")
EQUAL = 1e-10  # relative error on fresh rows of formulas that are the same


@dataclass(frozen=True)
class Row:
    """The formula read from one run, and the processor time.

    recovered: whether it is the expected formula with all constants exact.
    """

    kind: str
    name: str
    seed: int
    expected: str
    found: str
    latex: str
    error: float
    residual: float
    recovered: bool
    seconds: float

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def read_target(target: Target, seed: int, seconds: float) -> Row:
    """Read the formula of a function from a table of its values.

    The network given to `interpret` is wide, with only its output layer fitted; `interpret` finds
    the shape by itself.
    """
    x, y = target.draw(ROWS, seed)
    began = time.process_time()
    network = kp.KAN([x.shape[1], 16, 1], degree=5, grid=6, seed=seed)
    result = kp.fit(network, kp.Table(x, y, NAMES[: x.shape[1]]), kp.LeastSquares(), seed=seed)
    try:
        found = interpret(result, seed=seed, seconds=seconds)
    except kp.InputError as error:
        return _none("function", target.name, seed, target.formula, error, began)
    fresh, values = target.draw(500, seed + 1000)
    distance = float((found(fresh) - values).norm() / (values - values.mean()).norm())
    recovered = found.exact_constants and distance < EQUAL
    return _row(*("function", target.name, seed, target.formula), found, distance, recovered, began)


def read_poster(
    problem: kp.Problem,
    formula: str,
    seed: int,
    width: int,
    seconds: float,
    search: kp.VariableProjection,
) -> Row:
    """Read the formula of the poster's solution from a run that searches for inner functions."""
    began = time.process_time()
    network = kp.KAN([2, width, 1], degree=[3, 9], grid=[1, 32], seed=seed)
    weights = {"interior": 0.01, "boundary": 1.0}
    solution = kp.solve(
        *(problem, network, search),
        boundary="penalty",
        weights=weights,
        seed=seed,
    )
    return _solved("poster", f"KAN [2,{width},1]", seed, formula, solution, seconds, began)


def read_drawn(number: int, seconds: float, width: int = 64) -> Row:
    """Read the formula of a random solution from a wide network solved by least squares."""
    drawn = draw(number)
    began = time.process_time()
    network = kp.KAN([2, width, 1], degree=9, grid=[4, 10], seed=number)
    solution = kp.solve(DrawnPoisson(drawn), network, boundary="exact", seed=number)
    name = f"drawn, number {number}"
    return _solved("drawn", name, number, drawn.formula, solution, seconds, began)


def _solved(
    kind: str,
    name: str,
    seed: int,
    expected: str,
    solution: kp.Solution,
    seconds: float,
    began: float,
) -> Row:
    try:
        found = interpret(solution, seed=seed, seconds=seconds)
    except kp.InputError as error:
        return _none(kind, name, seed, expected, error, began)
    recovered = found.is_identity and found.exact_constants
    return _row(kind, name, seed, expected, found, found.error, recovered, began)


def _row(
    kind: str,
    name: str,
    seed: int,
    expected: str,
    found: Formula,
    error: float,
    recovered: bool,
    began: float,
) -> Row:
    residual = max((d.relative for d in found.defects), default=float("nan"))
    seconds = time.process_time() - began
    text = str(found.expression)
    return Row(
        *(kind, name, seed, expected, text, found.latex, error, residual, recovered, seconds)
    )


def _none(
    kind: str, name: str, seed: int, expected: str, error: kp.InputError, began: float
) -> Row:
    nan, seconds = float("nan"), time.process_time() - began
    return Row(*(kind, name, seed, expected, str(error), "", nan, nan, False, seconds))


def recovered_by_most(rows: list[Row]) -> list[str]:
    """Return the names that most of their seeds recover."""
    names = dict.fromkeys(row.name for row in rows)
    votes = {n: [row.recovered for row in rows if row.name == n] for n in names}
    return [name for name, seeds in votes.items() if 2 * sum(seeds) > len(seeds)]


def set_threads() -> None:
    """Use one thread: the matrices are small."""
    torch.set_num_threads(1)
