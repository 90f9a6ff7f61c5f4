"""What was measured of a problem: the kept run beside the scoreboard, and what others published."""

from typing import Any

from gallery_parts.entries import Entry
from myst_text import code, plain, table

LOADED = 1.2  # busy processes at the start, above which the clock says little


def measured(entry: Entry) -> str:
    """Return the section on what was measured, as Markdown."""
    if entry.record is None:
        return "\n\n".join(filter(None, [_nothing(entry), _board(entry), _published(entry)]))
    parts = [_origin(entry.record), *_tables(entry.record), _seconds(entry, entry.record)]
    if not entry.current:
        parts.append(
            "The files of this problem have changed since this run: what it solves today may need "
            "other seconds and have other errors."
        )
    return "\n\n".join([*parts, *filter(None, [_board(entry), _published(entry)])])


def number(value: Any) -> str:
    """Return a number with two digits, a dash if there is none."""
    return "–" if value is None else f"{value:.1e}" if isinstance(value, float) else str(value)


def _nothing(entry: Entry) -> str:
    told = entry.file.seconds
    takes = "" if told is None else f" Its file says that it takes {told:g} s of one core."
    return f"No run of this problem is kept.{takes}"


def _origin(record: dict[str, Any]) -> str:
    versions = record["versions"]
    return (
        f"The run of the pictures: {code(record['command'])} on one thread, with kanpinn "
        f"{versions['kanpinn']} and torch {versions['torch']}, on {record['made'][:10]}. "
        f"Its status: {plain(record['status'])}."
    )


def _tables(record: dict[str, Any]) -> list[str]:
    if "eigenvalues" in record:
        return [_eigenvalues(record["eigenvalues"]), _list(record)]
    if "data" in record:
        return [_scores(record["errors"] or {}), _list(record)]
    return [_solve(record), *filter(None, [_unknowns(record)])]


def _solve(record: dict[str, Any]) -> str:
    """Return the errors of a solve and of its fields, measured and estimated."""
    errors, estimate = record["errors"] or {}, record.get("estimate") or {}
    rows = []
    for name, key in (("relative L2 error", "l2_relative"), ("relative H1 error", "h1_relative")):
        rows.append((name, number(errors.get(key)), number(estimate.get(key))))
    fields = sorted((errors.get("fields") or estimate.get("fields") or {}).keys())
    for field in fields:
        of = [(one.get("fields") or {}).get(field, {}) for one in (errors, estimate)]
        rows.append(
            (f"relative L2 error of {code(field)}", *(number(o.get("l2_relative")) for o in of))
        )
    against = record.get("reference")
    source = (
        "" if against is None else f"Errors are against a reference: {plain(against['source'])}"
    )
    if against is not None:
        own = against.get("error")
        source += "." if own is None else f"; its own error is {own:.1e}."
    reason = estimate.get("reason")
    said = "" if not reason else f"There is no estimate: {plain(reason)}."
    head = ("", "measured", "estimated") if estimate else ("", "measured")
    text = table(head, [row[: len(head)] for row in rows])
    return "\n\n".join(filter(None, [text, source, said, _list(record)]))


def _list(record: dict[str, Any]) -> str:
    rows = [f"- Coefficients: {record['parameters']}."]
    for name, value in (record.get("quantities") or {}).items():
        rows.append(f"- {plain(name)}: {value:.8g}.")
    return "\n".join(rows)


def _unknowns(record: dict[str, Any]) -> str:
    found = record.get("estimated") or {}
    if not found:
        return ""
    rows = [
        (code(name), *(_digits(one.get(key)) for key in ("value", "low", "high", "exact")))
        for name, one in found.items()
    ]
    return table(("unknown", "found", "95% from", "to", "exact"), rows)


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"


def _eigenvalues(modes: list[dict[str, Any]]) -> str:
    rows = []
    for index, mode in enumerate(modes, 1):
        value = f"{mode['real']:.10g}"
        if mode["imaginary"]:
            value += f" {mode['imaginary']:+.10g}i"
        rows.append((str(index), value, number(mode["error"]), number(mode["bound"])))
    return table(("", "eigenvalue", "relative error", "guaranteed bound"), rows)


def _scores(scores: dict[str, Any]) -> str:
    """Return the scores of each part of the data."""
    names = {
        "rmse": "root mean square error",
        "max_error": "largest error",
        "r2": "R²",
        "accuracy": "accuracy",
        "cross_entropy": "cross entropy",
    }
    known = [key for key in names if any(one.get(key) is not None for one in scores.values())]
    rows = [
        (part, str(one["rows"]), *(f"{one[key]:.4g}" for key in known))
        for part, one in scores.items()
    ]
    return table(("part of the data", "rows", *(names[key] for key in known)), rows)


def _seconds(entry: Entry, record: dict[str, Any]) -> str:
    """Say what is known of the time, and how each of the numbers was measured."""
    parts = []
    if (board := _same_board(entry)) is not None:
        parts.append(
            f"{board['seconds']} (median of the scoreboard's seeds {board['seeds']}, "
            "`python scripts/scoreboard.py` on two idle cores)"
        )
    if entry.file.seconds is not None:
        parts.append(f"{entry.file.seconds:g} s of one idle core (as the problem file says)")
    total = record["seconds"]["total"]
    how = f"{total:.3g} s by the clock in this run"
    if record["load"] > LOADED:
        how += ", while other programs used the same two cores, so that this number says little"
    parts.append(how)
    with_estimate = ", the estimate" if record.get("estimate") else ""
    rest = (
        f"The whole command took {record['cpu_seconds']:.3g} s of the processor, with imports"
        f"{with_estimate} and figures."
    )
    return f"Seconds of the solve: {'; '.join(parts)}. {rest}"


def _same_board(entry: Entry) -> dict[str, str] | None:
    """Return the row of the scoreboard if it is of the same network as the kept run."""
    if entry.board is None or entry.record is None:
        return None
    same = entry.board["coefficients"] == str(entry.record["parameters"])
    return entry.board if same else None


def _board(entry: Entry) -> str:
    row = entry.board
    if row is None:
        return ""
    if entry.record is not None and _same_board(entry) is None:
        return (
            "The last complete run of `scripts/scoreboard.py` had this problem with another number "
            f"of coefficients, {row['coefficients']}; the table on [the scoreboard]"
            "(../../benchmarks/scoreboard.md) is newer."
        )
    error = "error of the eigenvalues" if entry.group == "eigenvalues" else "L2 error"
    said = [f"relative {error} {row['error']}"] if row["error"] else []
    said += [f"relative H1 error {row['relative H1']}"] if row["relative H1"] else []
    return (
        f"The [scoreboard](../../benchmarks/index.md), seeds {row['seeds']}, median and range: "
        f"{', '.join(said)}, {row['seconds']}."
    )


def _published(entry: Entry) -> str:
    """Return the best errors that others have published."""
    rows = []
    for name, one in (("KAN code", entry.published.kan), ("neural code", entry.published.neural)):
        if one is not None:
            other = "" if one.same else " (not quite the same problem)"
            rows.append(f"- Best published error of a {name}: {plain(str(one))}{other}.")
    return "\n".join(rows)
