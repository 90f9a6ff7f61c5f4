"""What the networks remember, as a table and as verdicts."""

from collections.abc import Sequence
from statistics import median

from common.verdicts import Figure
from continual.learning import NETWORKS, OPTIMIZERS, Result
from continual.peaks import PEAKS

SPLINES, LOCAL = "KAN [1,1]", ("Adam", "L-BFGS", "Levenberg–Marquardt")
PERCEPTRON = "MLP [1,12,12,1]"
ROUNDING, KEPT, FORGOTTEN = 1e-12, 1e-3, 0.1

HEAD = """# Five Gaussian peaks, one after the other

A network sees the points of one peak at a time and minimises its squared error there. RMSE over the
points of all peaks seen so far after each phase; the largest change that later phases make to the
function where it was learned before, on the whole of those intervals and further than {border}
(three grid intervals, a cubic spline's reach) from later data. Medians over {seeds} seeds.

"""
READ = """
How to read it. An edge of B-splines is changed only where the data are. The coefficients of splines
that see no point get no gradient (Adam, L-BFGS), and Levenberg–Marquardt leaves them out of its
equations: further from new data than a spline reaches, the function stays as it was learned, up to
rounding. Three splines reach over each border. Least squares solves for the coefficients
themselves, the smallest ones: what the present data do not fix becomes zero, or, where a spline's
end alone sees a point, anything. For learning in phases the smallest change is wanted, not the
smallest coefficients. The memory is that of one layer: in a KAN [1,5,1] a coefficient of the outer
edges acts wherever the inner functions lead there, and every phase may change what others learned.
"""


def page(results: Sequence[Result], border: float) -> str:
    """Return the page in Markdown."""
    seeds = len({r.seed for r in results})
    head = ["network", "parameters", "optimizer", *(f"phase {i + 1}" for i in range(PEAKS))]
    head += ["largest change", "away from borders"]
    lines = [head, ["---"] * len(head)]
    for network in NETWORKS:
        for optimizer in OPTIMIZERS:
            own = of(results, network, optimizer)
            cells = [f"{median(r.rmse[i] for r in own):.1e}" for i in range(PEAKS)]
            cells += [f"{median(r.change for r in own):.1e}", f"{median(r.inner for r in own):.1e}"]
            lines.append([network, str(own[0].parameters), optimizer, *cells])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return HEAD.format(border=border, seeds=seeds) + table + "\n" + READ


def of(results: Sequence[Result], network: str, optimizer: str) -> list[Result]:
    """Return the results of all seeds."""
    return [r for r in results if (r.network, r.optimizer) == (network, optimizer)]


def judge(results: Sequence[Result]) -> dict[str, Figure]:
    """Return the measured values beside their targets; the worst seed decides."""
    figures: dict[str, Figure] = {}
    for optimizer in LOCAL:
        own = of(results, SPLINES, optimizer)
        worst = max(r.inner for r in own)
        figures[f"{SPLINES}, {optimizer}: largest change of what was learned"] = {
            "value": worst,
            "target": f"<= {ROUNDING} away from borders: rounding",
            "met": worst <= ROUNDING,
        }
        most = max(r.rmse[-1] for r in own)
        figures[_at_the_end(SPLINES, optimizer)] = {
            "value": most,
            "target": f"<= {KEPT}: it keeps all peaks",
            "met": most <= KEPT,
        }
    for optimizer in OPTIMIZERS:
        least = min(r.rmse[-1] for r in of(results, PERCEPTRON, optimizer))
        figures[_at_the_end(PERCEPTRON, optimizer)] = {
            "value": least,
            "target": f">= {FORGOTTEN}: it forgets",
            "met": least >= FORGOTTEN,
        }
    for network, optimizer in ((n, o) for n in NETWORKS for o in OPTIMIZERS):
        if _at_the_end(network, optimizer) not in figures:
            ends = [r.rmse[-1] for r in of(results, network, optimizer)]
            figures[_at_the_end(network, optimizer)] = {
                "value": [median(ends), min(ends), max(ends)],
                "target": "told: median, least, greatest",
                "met": None,
            }
    return figures


def _at_the_end(network: str, optimizer: str) -> str:
    return f"{network}, {optimizer}: RMSE over all peaks at the end"
