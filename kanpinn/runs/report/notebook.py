"""What a notebook shows of a study, and `Study.plot`."""

from collections.abc import Iterator
from typing import Any

from kanpinn._support.errors import InputError, one_of
from kanpinn.plotting.notebook import Card, CardTable, Drawing, panels
from kanpinn.plotting.notebook.panels import Given, returned
from kanpinn.plotting.style import STYLE, new_figure
from kanpinn.runs.report import summary
from kanpinn.runs.report.pictures import Picture, missing, pictures
from kanpinn.runs.study.columns import WAITING
from kanpinn.runs.study.table import Study


def plot(study: Study, over: str | None = None, error: str | None = None, ax: Given = None) -> Any:
    """Draw a study; the arguments are those of `Study.plot`."""
    picture = _picture_over(study, over)
    if error is not None:
        one_of("error", error, picture.errors)
    axes = panels(ax, 1, 1, _size(picture))
    picture.plot(axes.item(), picture.errors[0] if error is None else error)
    return returned(axes)


def _picture_over(study: Study, over: str | None) -> Picture:
    drawn = list(pictures(study))
    if not drawn:
        raise InputError(f"{study.path}: there is nothing to draw, no run has an error yet")
    if over is None:
        return drawn[0]
    chosen = {picture.over: picture for picture in drawn if picture.over}
    if over not in chosen:
        raise InputError(f"over must be one of {', '.join(chosen) or 'none'}, got {over!r}")
    return chosen[over]


def _size(picture: Picture) -> tuple[float, float]:
    """Return the width and height of a panel with its legend, in inches."""
    line = 0.145  # of the legend
    height = 2.4 + line * picture.rows if picture.curves else 0.8 + 0.2 * picture.rows
    return 4.4, max(height, 1.4)


def card(study: Study) -> Card:
    """Return the card of a study."""
    return Card(
        title=f"Study {study.name}",
        facts=_facts(study),
        draw=lambda: _picture(study),
        tables=_tables(study),
    )


def _facts(study: Study) -> Iterator[tuple[str, str]]:
    done = sum(row["status"] != WAITING for row in study.rows)
    yield "runs", " ".join([f"{done} of {len(study.rows)} are done.", *missing(study)])
    for key, _, values in summary.varied(study).rows:
        yield str(key), str(values)
    yield "folder", str(study.path)


def _tables(study: Study) -> Iterator[CardTable]:
    """Yield the table of runs without their folders, or that of the settings of many runs."""
    most = 20
    if len(study.rows) > most:
        settings = summary.settings(study)
        rows = [[str(cell) for cell in row] for row in settings.rows]
        more = f", {most} of {len(rows)}" if len(rows) > most else ""
        yield CardTable(settings.head, rows[:most], settings.caption + more)
    else:
        runs = summary.runs(study)
        yield CardTable(runs.head[:-1], [[str(cell) for cell in row[:-1]] for row in runs.rows])


def _picture(study: Study) -> Drawing:
    """Draw the main error of the first picture of the report."""
    picture = _picture_over(study, None)
    ax = picture.plot(new_figure(*_size(picture)).subplots(), picture.errors[0])
    ax.tick_params(labelsize=STYLE.letter)
    return Drawing(ax, f"{picture.title}: {summary.NAMES[picture.errors[0]]}.")
