"""Several ranks solve what one process solves; a rank that fails or has no point stops nobody."""

import hashlib
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import reference
import torch
import torch.distributed as dist
from cases import Cubic, Line
from commands import kanpinn
from forks import Command
from ranks import Ranks

import kanpinn as kp
from kanpinn._support.distributed import extremes, from_first, same, share, summed, together, tree
from kanpinn.linalg.qr import fold
from kanpinn.networks.layer import set_coefficients
from kanpinn.runs.config import Config

POISSON = Path(__file__).parents[2] / "problems" / "poisson2d.toml"


# What the parts do.


def a_share(n):
    own = share(n)
    return own.start, own.stop


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100])
def test_shares_are_even_and_cover_everything_in_order(ranks, n):
    shares = ranks.run(3, a_share, n)
    assert [start for start, _ in shares] == [0, *(stop for _, stop in shares[:-1])]
    assert shares[-1][1] == n
    sizes = [stop - start for start, stop in shares]
    assert max(sizes) - min(sizes) <= 1


def sums_and_extremes():
    rank = dist.get_rank()
    values = [torch.tensor([rank + 0.5]), torch.full((2, 2), 10.0**rank, dtype=torch.float64)]
    totals = summed(values)
    rows = torch.tensor([[1.0, -2.0], [3.0, 4.0]])[:rank]  # none on rank 0
    return [*totals, *extremes(rows), from_first({"rank": rank}), same(rank), same("all")]


def test_sums_and_extremes_are_over_all_ranks(ranks):
    for narrow, wide, low, high, first, own, common in ranks.run(3, sums_and_extremes):
        assert narrow.tolist() == [4.5] and narrow.dtype == torch.float32
        assert wide.tolist() == [[111.0] * 2] * 2 and wide.dtype == torch.float64
        assert low.tolist() == [1.0, -2.0] and high.tolist() == [3.0, 4.0]
        assert first == {"rank": 0} and not own and common


def a_tree():
    return tree(torch.tensor([float(dist.get_rank())]), lambda a, b: 10 * a + b)


def test_a_tree_combines_pairs_in_order(ranks):
    assert [t.item() for t in ranks.run(2, a_tree)] == [1.0] * 2
    assert [t.item() for t in ranks.run(3, a_tree)] == [12.0] * 3


def rows_of(counts, columns=5):
    generator = torch.Generator().manual_seed(1)
    shapes = [(n, columns + 1) for n in counts]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


def a_fold(counts):
    own = rows_of(counts)[dist.get_rank()]
    return fold([(own[:, :-1], own[:, -1])]).factor


@pytest.mark.parametrize("counts", [(40, 41), (3, 0), (30, 2, 17), (0, 2, 1), (0, 0, 50)])
def test_the_fold_over_ranks_is_the_triangle_of_all_rows(ranks, counts):
    """RᵀR = AᵀA, R upper triangular, and the same bits on every rank."""
    factors = ranks.run(len(counts), a_fold, counts)
    rows = torch.cat(rows_of(counts))
    assert reference.distance(factors[0].T @ factors[0], rows.T @ rows) < 1e-14
    assert torch.equal(factors[0], factors[0].triu())
    assert all(torch.equal(factor, factors[0]) for factor in factors)


# Solves.


def least_squares():
    reduced = ["network.hidden=[12]", "points.interior=400", "points.boundary=80"]
    return Config.read(POISSON, reduced).build().run()


def levenberg_marquardt():
    kan = kp.KAN([1, 5, 1], degree=5, grid=4)
    points = kp.Collocation(90, 2, "sobol")
    return kp.solve(Cubic(), kan, kp.LevenbergMarquardt(steps=4), points, boundary="penalty")


def variable_projection():
    """All phases: screening, a start that is followed, pruning, the finer grid."""
    kan = kp.KAN([2, 2, 1], degree=[3, 5], grid=[1, 8])
    search = kp.VariableProjection(steps=4, rounds=2, starts=4, follow=1, tolerance=0.9)
    job = Config.read(POISSON, ["network.boundary=penalty"]).build()
    points = kp.Collocation(196, 40)
    return kp.solve(job.problem, kan, search, points, boundary="penalty")


def first_order():
    """Fresh points every third step; a refinement between the optimizers."""
    stages = [kp.Adam(steps=4, lr=1e-2), kp.Refine(8), kp.LBFGS(steps=3, iterations=5)]
    points = kp.Collocation(200, 2, "uniform", resample=3)
    return kp.solve(Line(), kp.KAN([1, 4, 1], degree=4, grid=4), stages, points)


def perceptron():
    stages = [kp.Adam(steps=5), kp.LevenbergMarquardt(steps=2)]
    return kp.solve(Line(), kp.MLP([1, 8, 1]), stages, kp.Collocation(50, 2))


# Two ranks or three, of which one has no partner in a tree.
SOLVES = [
    (least_squares, 3),
    (levenberg_marquardt, 2),
    (variable_projection, 3),
    (first_order, 2),
    (perceptron, 3),
]


def result(make):
    solution = make()
    names = solution.problem.domain.names
    low, high = solution.problem.domain.bounds
    draws = torch.rand(200, len(names), generator=torch.Generator().manual_seed(5))
    values = solution(low + (high - low) * draws.double()).detach()
    state = solution.network.state_dict().values()
    bits = hashlib.sha256(b"".join(t.numpy().tobytes() for t in state)).hexdigest()
    errors = (solution.errors.l2_relative, solution.errors.h1_relative)
    losses = solution.history.column("loss").tolist()
    return values, bits, losses, errors, solution.status, solution.processes


@pytest.mark.parametrize(("make", "size"), SOLVES)
def test_ranks_solve_what_one_process_solves(ranks, make, size):
    values, _, losses, errors, status, processes = result(make)
    assert processes == 1
    first, *others = ranks.run(size, result, make)
    assert reference.distance(first[0], values) < 1e-10
    assert first[2] == pytest.approx(losses, rel=1e-8)
    assert first[3] == pytest.approx(errors, rel=1e-6)
    assert first[4:] == (status, size)
    assert [other[1] for other in others] == [first[1]] * (size - 1)  # the same bits


def with_few_points(optimizer):
    """Two points inside, one on each end."""
    kan, points = kp.KAN([1, 3, 1], degree=4, grid=2), kp.Collocation(2, 2)
    return kp.solve(Line(), kan, optimizer, points, boundary="penalty")


@pytest.mark.parametrize(
    "optimizer",
    [
        kp.LeastSquares(),
        kp.LevenbergMarquardt(steps=2),
        kp.LBFGS(steps=2, iterations=3),
        kp.VariableProjection(steps=2, rounds=0),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_there_may_be_more_ranks_than_points(ranks, optimizer):
    status, terms = few_points_result(optimizer)
    for answer in ranks.run(3, few_points_result, optimizer):
        assert answer == (status, pytest.approx(terms, rel=1e-6, abs=1e-16))


def few_points_result(optimizer):
    solution = with_few_points(optimizer)
    # Where two points are overfitted, the numbers in the status are those of rounding errors.
    return solution.status.partition(":")[0], solution.loss_terms


# Ranks that fail, differ or are asked to stop.


class Odd(Line):
    """Does something on rank 1 alone, where it is told to."""

    def __init__(self, deed):
        self.deed = deed

    def residual(self, p, u):
        residual = super().residual(p, u)
        if len(p) > 10 and dist.get_rank() == 1:  # the points of a solve, not those of a check
            if self.deed == "die":
                os._exit(9)
            if self.deed == "nan":
                return residual / 0 * 0
            raise {"input": kp.InputError, "other": OSError}[self.deed]("no such thing")
        return residual

    def source(self, p):
        return torch.cos(p.x)


def an_odd_solve(deed, optimizer):
    network = kp.KAN([1, 4, 1], degree=4)
    return kp.solve(Odd(deed), network, optimizer, kp.Collocation(60, 2)).status


def test_what_one_rank_raises_ends_all(ranks):
    for optimizer in (kp.LeastSquares(), kp.Adam(steps=2)):
        answers = ranks.run(3, an_odd_solve, "input", optimizer)
        assert answers == [("InputError", "no such thing")] * 3
    first, own, last = ranks.run(3, an_odd_solve, "other", kp.LeastSquares())
    assert own == ("OSError", "no such thing") and first == last
    assert first[0] == "NumericalError" and first[1].startswith("OSError: no such thing (")
    assert first[1].endswith(" in residual, rank 1)")


def test_a_number_that_is_none_on_one_rank_fails_all_alike(ranks):
    answers = ranks.run(2, an_odd_solve, "nan", kp.LevenbergMarquardt())
    assert answers[0].startswith("failed: ") and answers[0] == answers[1]


def a_block(number):
    with together():
        return 1 / (dist.get_rank() - number)


def test_a_rank_keeps_its_own_failure_and_the_others_hear_of_it(ranks):
    own, spared = ranks.run(2, a_block, 0)
    assert own == ("ZeroDivisionError", "division by zero")
    assert spared[0] == "NumericalError" and spared[1].startswith("ZeroDivisionError: division by")
    assert ranks.run(2, a_block, 5) == [1 / -5, 1 / -4]


def different(what):
    rank = dist.get_rank()
    steps = 5 + rank if what == "steps" else 5
    network = kp.KAN([1, 4, 1], degree=4, seed=rank)  # rank 0's is taken

    def change(run):
        if what == "bits" and rank == 1 and run.progress.step == 2:
            layer = run.surrogate.network.layers[:1]
            set_coefficients(layer, layer[0].coefficients.detach().flatten() * (1 + 1e-15))
        run.interrupted = what == "interrupted" and rank == 1 and run.progress.step == 3

    points = kp.Collocation(60, 2)
    solution = kp.solve(Line(), network, kp.Adam(steps=steps), points, observers=[change])
    return solution.status, solution.history.steps


def test_ranks_must_solve_the_same_problem_with_the_same_bits(ranks):
    kind, text = ranks.run(2, different, "steps")[1]
    assert kind == "InputError" and "do not solve the same problem" in text
    for kind, text in ranks.run(2, different, "bits"):
        assert kind == "NumericalError" and "machines of one kind" in text


def test_an_interrupted_rank_stops_all_after_the_same_step(ranks):
    assert ranks.run(2, different, "interrupted") == [("stopped: interrupted", 3)] * 2


def test_a_rank_that_dies_does_not_leave_the_others_waiting(tmp_path):
    members = Ranks(2, tmp_path)
    try:
        (kind, text), gone = members.run(2, an_odd_solve, "die", kp.LeastSquares())
    finally:
        members.end()
    assert gone is None and kind == "NumericalError" and "has ended or does not answer" in text


# The command line.


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    """A problem file whose class fails on rank 1 where OWN says so."""
    (tmp_path / "line.py").write_text(
        "import os, torch\nimport kanpinn as kp\n"
        "class Line(kp.Problem):\n"
        "    domain = kp.Box(x=(-1, 1))\n"
        "    def residual(self, p, u):\n"
        "        if os.environ.get('OWN') == os.environ.get('RANK', '-'):\n"
        "            raise kp.InputError('not here')\n"
        "        return kp.laplacian(u) - torch.exp(p.x)\n"
        "    def conditions(self):\n"
        "        return [kp.Dirichlet(self.domain.boundary, 0.0)]\n"
    )
    path = tmp_path / "line.toml"
    path.write_text(
        '[problem]\nclass = "line.py:Line"\n[network]\ntype = "kan"\nwidth = [1, 4, 1]\n'
        'degree = 4\n[[optimizer]]\ntype = "adam"\nsteps = 20\n'
    )
    return path


def command(*arguments: str | Path) -> list[str]:
    return ["-m", "kanpinn", "solve", *map(str, arguments)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    """Starts two ranks of a command as torchrun does, but in sight; none is left at the end."""
    started: list[Command] = []

    def launch(*arguments: str | Path, **environment: str) -> list[Command]:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        where = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        for rank in "01":
            own = where | {"RANK": rank} | environment
            started.append(Command(command(*arguments), tmp_path, **own))
        return started

    yield launch
    for process in started:
        process.end()


def test_torchrun_gives_one_run_folder_of_two_processes(problem, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = Command([*torchrun, *command(problem, "--json")], tmp_path)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    record = json.loads(output)
    assert record["processes"] == 2 and record["steps"] == 20
    (folder,) = (tmp_path / "results" / "line").iterdir()
    assert json.loads((folder / "run.json").read_text()) == record


def test_an_error_of_one_rank_is_said_once_and_ends_all_with_its_code(problem, start, tmp_path):
    first, other = start(problem, OWN="1")
    said = [process.communicate(timeout=120) for process in (first, other)]
    assert [first.returncode, other.returncode] == [2, 2]
    assert said[0][1].count("error: ") == 1 and "not here" in said[0][1]
    assert said[1] == ("", "")
    assert not (tmp_path / "results").exists()


def test_ctrl_c_stops_all_and_one_process_can_go_on(problem, start, tmp_path, monkeypatch):
    first, other = start(problem, "--set", "optimizer[0].steps=100000")
    for line in first.stderr:
        if "step" in line:
            break
    for process in (first, other):
        process.send_signal(signal.SIGINT)
    assert other.wait(timeout=120) == first.wait(timeout=60) == 130
    (folder,) = (tmp_path / "results" / "line").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "stopped: interrupted" and record["processes"] == 2
    monkeypatch.setattr("kanpinn.plotting.draw_figures", lambda *_: [])
    more = f"optimizer[0].steps={record['steps'] + 5}"
    done = kanpinn("solve", "--resume", folder, "--set", more)
    assert done.exit_code == 0, done.output
    record = json.loads((folder / "run.json").read_text())
    assert record["processes"] == 1 and record["resumed"][0]["status"] == "stopped: interrupted"


# Trials.


def a_search():
    """On rank 1 the clock runs so fast that, by its own decision, no second trial would start."""
    import time
    from types import SimpleNamespace

    from kanpinn.solvers.auto import search

    speed = 1.0 + 1e6 * dist.get_rank()
    search.time = SimpleNamespace(perf_counter=lambda: speed * time.perf_counter())
    try:
        solution = kp.solve(Line(), tolerance=1e-10, budget=1e4, errors=False)
    finally:
        search.time = time
    points = torch.linspace(*Line.domain.ranges[0][1:], 9, dtype=torch.float64)[:, None]
    return [line.partition(": ")[0] for line in solution.log], solution(points), solution.status


def test_all_ranks_make_the_same_trials(ranks):
    (one, first, status), (other, second, _) = ranks.run(2, a_search)
    assert one == other and torch.equal(first, second)
    assert len(one) > 2 and status.startswith("converged: the estimated")
