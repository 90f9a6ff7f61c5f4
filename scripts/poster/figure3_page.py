"""The page that puts Figure 3's numbers beside the paper's."""

from collections.abc import Iterable, Sequence

from poster import paper
from poster.figure3_curves import DEPTHS, POSTER_KAN, POSTER_MLP
from poster.figure3_data import ERRORS, Range, Runs, Series, Summary, slope, summarise
from poster.figure3_prose import BELOW, DIFFERENCES, FAIR, HEAD, ORDERS, PROTOCOL, REASONS, VERDICT

NAMES = {"penalty": "the poster's loss", "exact": "boundary values met exactly"}
Rows = Iterable[Sequence[str]]


def page(runs: Runs) -> str:
    """Return the page as Markdown; it names what was not run."""
    parts = [HEAD, _missing(runs), PROTOCOL]
    parts += [_table(_kan_head(), _kan_rows(runs, POSTER_KAN)), _mlp(runs), DIFFERENCES, FAIR]
    for boundary, name in NAMES.items():
        series = Series("fair", "KAN", boundary, 3)
        if runs.of(series):
            parts += [f"### KANs, {name}", _table(_kan_head(), _kan_rows(runs, series))]
    parts += [_fair_mlp(runs), _verdict(runs), ORDERS, _slopes(runs), REASONS]
    return "\n".join(part.strip("\n") + "\n" for part in parts if part)


def _missing(runs: Runs) -> str:
    """Return the networks that were not run, runs that failed, and unfinished ones."""
    kans = [w for w in paper.WIDTHS if not runs.of(POSTER_KAN, (2, w, 1))]
    lines = [f"Not run: KAN [2,{w},1] with the poster's protocol." for w in kans]
    for depth in DEPTHS:
        widths = {p.width[1] for p in runs.of(POSTER_MLP) if len(p.width) == depth + 1}
        left = [str(w) for w in paper.MLP_WIDTHS if w not in widths]
        if left:
            lines.append(f"Not run: MLPs of depth {depth} with widths {', '.join(left)}.")
    lines += [f"Failed: {text}" for text in runs.failed]
    if runs.unfinished:
        lines.append(f"Unfinished: {runs.unfinished} runs.")
    return "\n".join(f"- {line}" for line in lines)


def _kan_head() -> list[str]:
    ours = ["L2²", "paper's", "ratio", "H1²", "paper's", "ratio"]
    return ["network", "G", "N", "coefficients", "seeds", *ours]


def _kan_rows(runs: Runs, series: Series) -> Rows:
    for width, theirs in paper.KANS.items():
        for row in summarise(runs.of(series, (2, width, 1))):
            i = paper.GRIDS.index(row.grid)
            yield [
                f"[2,{width},1]",
                *(str(n) for n in (row.grid, row.n, row.parameters, row.l2_squared.seeds)),
                *_beside(row.l2_squared, theirs.l2_squared[i]),
                *_beside(row.h1_squared, theirs.h1_squared[i]),
            ]


def _beside(ours: Range, theirs: float) -> list[str]:
    return [_range(ours), f"{theirs:.2e}", f"{ours.median / theirs:.2g}"]


def _mlp(runs: Runs) -> str:
    rows = summarise(runs.of(POSTER_MLP))
    if not rows:
        return ""
    head = ["MLP", "N", "coefficients", "seeds", "L2²", "paper's", "H1²"]
    best = ", ".join(f"{v:.2e} at depth {d}" for d, v in paper.MLP_BEST_H1.items())
    text = f"The paper's least H1² over the widths: {best}."
    return _table(head, map(_mlp_row, rows)) + "\n" + text


def _mlp_row(row: Summary) -> list[str]:
    depth, width = len(row.width) - 1, row.width[1]
    theirs = paper.MLP_L2.get(depth)
    known = theirs is not None and width in paper.MLP_WIDTHS
    value = f"{theirs[paper.MLP_WIDTHS.index(width)]:.2e}" if theirs and known else "–"
    return [*_size(row), _range(row.l2_squared), value, _range(row.h1_squared)]


def _size(row: Summary) -> list[str]:
    return [_name(row.width), str(row.n), str(row.parameters), str(row.l2_squared.seeds)]


def _fair_mlp(runs: Runs) -> str:
    parts = []
    for boundary, name in NAMES.items():
        rows = summarise(runs.of(Series("fair", "MLP", boundary, 0)))
        if rows:
            head = ["MLP", "N", "coefficients", "seeds", "L2²", "H1²"]
            cells = [[*_size(r), _range(r.l2_squared), _range(r.h1_squared)] for r in rows]
            parts += [f"### MLPs, {name}\n", _table(head, cells)]
    return "\n".join(parts)


def _verdict(runs: Runs) -> str:
    """Return the conclusions of the fair comparison, as far as it has been run."""
    parts = ["### What it says\n"]
    for boundary, name in NAMES.items():
        factors = _factors(runs, Series("fair", "KAN", boundary, 3))
        if factors:
            where = "at every G, width and norm" if min(factors) > 1 else "not everywhere"
            least, most = (f"{float(f'{f(factors):.2g}'):g}" for f in (min, max))
            text = BELOW.format(where=where, what=name, least=least, most=most)
            parts.append(text.strip("\n"))
    if all(runs.of(Series("fair", "MLP", boundary, 0)) for boundary in NAMES):
        parts.append(VERDICT.strip("\n"))
    return "\n".join(parts) if len(parts) > 1 else ""


def _factors(runs: Runs, series: Series) -> list[float]:
    """Return the factors by which the paper's values exceed our medians."""
    return [
        theirs / getattr(row, error).median
        for width, values in paper.KANS.items()
        for row in summarise(runs.of(series, (2, width, 1)))
        for error in ERRORS
        for theirs in [getattr(values, error)[paper.GRIDS.index(row.grid)]]
    ]


def _slopes(runs: Runs) -> str:
    head = ["runs", "network", "k", "L2²", "best", "H1²", "best", "guaranteed", "loss", "paper's"]
    return _table(head, _slope_rows(runs))


def _slope_rows(runs: Runs) -> Rows:
    titles = {
        "poster": "poster's protocol",
        "fair": "Levenberg–Marquardt",
        "fit": "fit in L2",
        "structure": "variable projection",
    }
    for series in sorted({p.series for p in runs.points if p.grid}, key=_order):
        for width in sorted({p.width for p in runs.of(series)}):
            points = runs.of(series, width)
            l2, h1, loss = (slope(points, e) for e in ("l2_squared", "h1_squared", "loss"))
            k, title = series.degree, titles[series.protocol]
            if series.protocol == "fair":
                title += f", {NAMES[series.boundary]}"
            theirs = paper.SLOPES.get(width[1]) if k == 3 else None
            yield [
                *(title, _name(width), str(k)),
                *(str(l2 or "–"), str(2 * (k + 1)), str(h1 or "–"), str(2 * k), str(2 * (k - 1))),
                *(str(loss or "–"), f"{theirs[0]}, {theirs[1]}" if theirs else "–"),
            ]


def _order(series: Series) -> tuple:
    return (
        ("poster", "fair", "structure", "fit").index(series.protocol),
        series.boundary,
        series.degree,
    )


def _name(width: Sequence[int]) -> str:
    return f"[{','.join(map(str, width))}]"


def _range(r: Range) -> str:
    spread = f" ({r.low:.1e} … {r.high:.1e})" if r.seeds > 1 else ""
    return f"{r.median:.2e}{spread}"


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
