"""The picture of docs/develop/architecture.md: the rooms in layers, and which imports which.

What: the import statements of the package are read. A room stands above all rooms that
it imports. An arrow from a room points to a room that it imports; where it also imports that room's
own imports, those further arrows are left out, so that every import goes along arrows. Every room
may import `_support`, which lies below all of them without arrows.

How long: seconds. Writes to --output (docs/develop): architecture.svg, and
architecture_picture.json, how many rooms and imports there are and that none of them goes upward;
--smoke: the same.
"""

import ast
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from common import script
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Route

from kanpinn.plotting.style import BLUE, GREY, new_figure, save

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "kanpinn"
GROUND = "_support"
Imports = Mapping[str, frozenset[str]]
# `import kanpinn.ROOM`, `from kanpinn.ROOM import ...` and `from kanpinn import ROOM, ...`.
IMPORT = re.compile(r"^\s*(?:from|import) kanpinn(?:\.(\w+)| import (.+))", re.MULTILINE)


def main() -> None:
    name = Path(__file__).stem
    chosen = script.options(name, __doc__)
    found = imports()
    levels = levels_of(found)
    picture = draw(found, levels)
    for suffix in ("svg", "png"):
        save(picture, chosen.output / f"architecture.{suffix}")
    upward = sum(levels[low] >= levels[room] for room, lows in found.items() for low in lows)
    figures: dict[str, script.Verdict] = {
        "rooms": script.verdict(len(found), "as many as there are folders"),
        "pairs of rooms of which one imports the other": script.verdict(
            sum(map(len, found.values())), "told"
        ),
        "imports of a room by a room that is not above it": script.verdict(
            upward, "0", upward == 0
        ),
    }
    script.write_verdicts(chosen.output / f"{name}.json", figures)


def imports() -> Imports:
    """Return the rooms, each with the other rooms that its modules import."""
    rooms = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    return {room: frozenset(imported_by(room) & {*rooms} - {room}) for room in rooms}


def imported_by(room: str) -> set[str]:
    """Return the names after `kanpinn.` in the import statements of a room."""
    texts = (path.read_text(encoding="utf-8") for path in (PACKAGE / room).rglob("*.py"))
    found = [match for text in texts for match in IMPORT.findall(text)]
    return {name for pair in found for names in pair for name in re.findall(r"\w+", names)}


def levels_of(found: Imports) -> dict[str, int]:
    """Return the layer of each room, right below the lowest room that imports it; the ground is 0.

    Raises:
        ValueError: if rooms import each other.
    """
    above = {room: {high for high, lows in found.items() if room in lows} for room in found}
    depths: dict[str, int] = {}
    while len(depths) < len(found):
        ready = [room for room in found if room not in depths and above[room] <= {*depths}]
        if not ready:
            raise ValueError(f"these rooms import each other: {sorted({*found} - {*depths})}")
        depths |= {r: max((depths[high] + 1 for high in above[r]), default=0) for r in ready}
    return {room: max(depths.values()) - depth for room, depth in depths.items()}


def arrows(found: Imports) -> list[tuple[str, str]]:
    """Return the imports that no chain of other imports replaces, without those of the ground."""
    below: dict[str, set[str]] = {}

    def reach(room: str) -> set[str]:
        if room not in below:
            below[room] = set(found[room]).union(*map(reach, found[room]))
        return below[room]

    return [
        (room, low)
        for room, lows in found.items()
        for low in sorted(lows - {GROUND})
        if not any(low in reach(other) for other in lows - {low})
    ]


WIDTH, HEIGHT, SPACE = 3.1, 0.66, 0.5  # of a box, and between two; units of an inch and a layer


def draw(found: Imports, levels: Mapping[str, int]) -> Figure:
    """Draw rows of boxes, the highest layer at the top, each room with its own sentence."""
    top = max(levels.values())
    figure = new_figure(10.4, 0.82 * (top + 1), layout=None)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    places = places_of(found, levels)
    for room, (x, y) in places.items():
        _box(ax, room, x, y, 9.8 if room == GROUND else WIDTH)
    for room, low in arrows(found):
        _arrow(ax, places[room], places[low], places)
    ax.set_xlim(-0.2, 10.2)
    ax.set_ylim(-0.45, top + 0.45)
    return figure


def places_of(found: Imports, levels: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return the middle of each box; a room stands as near as possible to those that import it."""
    places: dict[str, tuple[float, float]] = {}
    for level in range(max(levels.values()), -1, -1):
        rooms = [room for room, own in levels.items() if own == level]

        def wanted(room: str) -> float:
            above = [places[high][0] for high, low in arrows(found) if low == room]
            return sum(above) / len(above) if above else 5.0

        rooms.sort(key=wanted)
        for i, room in enumerate(rooms):
            places[room] = (5.0 + (i - (len(rooms) - 1) / 2) * (WIDTH + SPACE), float(level))
    return places


def _box(ax: Axes, room: str, x: float, y: float, width: float) -> None:
    low = (x - width / 2, y - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(low, width, HEIGHT, style, facecolor="white", edgecolor=BLUE, linewidth=1.1)
    )
    ax.text(x, y + 0.17, f"{room}/", ha="center", va="center", fontsize=9, weight="bold")
    said = textwrap.fill(sentence(room), int(17 * width), max_lines=2, placeholder=" …")
    ax.text(x, y - 0.1, said, ha="center", va="center", fontsize=6.4, linespacing=1.25)


def _arrow(
    ax: Axes,
    high: tuple[float, float],
    low: tuple[float, float],
    places: Mapping[str, tuple[float, float]],
) -> None:
    """Draw an arrow from the lower side of a box to the upper side of another, around others."""
    aside = 0.15 * (low[0] - high[0])
    points = [(high[0] + aside, high[1] - HEIGHT / 2)]
    for level in range(int(high[1]) - 1, int(low[1]), -1):
        x = _gap(points[-1][0], level, places)
        points += [(x, level + HEIGHT / 2), (x, level - HEIGHT / 2)]
    if len(points) > 1:  # it ends on the side from which it comes
        aside = 0.25 if points[-1][0] <= low[0] else -0.25
    points.append((low[0] - aside, low[1] + HEIGHT / 2))
    ax.add_patch(
        FancyArrowPatch(
            path=Route(points), arrowstyle="-|>", mutation_scale=8, linewidth=0.8, color=GREY
        )
    )


def _gap(x: float, level: int, places: Mapping[str, tuple[float, float]]) -> float:
    """Return the place nearest to x in a layer that no box covers; of two, the outer one."""
    middles = [place[0] for place in places.values() if place[1] == level]
    reach = WIDTH / 2 + SPACE / 2
    sides = [side for middle in middles for side in (middle - reach, middle + reach)]
    free = [s for s in [x, *sides] if all(abs(s - m) >= reach - 1e-9 for m in middles)]
    return min(free, key=lambda side: abs(side - x) - 1e-3 * abs(side - 5.0))


def sentence(room: str) -> str:
    """Return the first sentence of a room's docstring."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
    words = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    return words.split(". ")[0].rstrip(".").replace("`", "")


if __name__ == "__main__":
    main()
