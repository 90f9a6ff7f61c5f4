"""Reports of runs and studies in a browser: they fit a phone, show all pictures, and fetch nothing.

What: a study of two solves is made, with the report of the study and of a run, or the pages of
--pages are taken. Chromium opens each in a frame as wide as a phone, without a window, once in
light and once in dark colours. Measured are pictures that do not load, the width that the page
needs, what it fetches besides itself, and the contrast of its text (WCAG 2.2 asks for 4.5).
screenshot_NAME.png shows the first screen of each.

How long: half a minute; --smoke: ten seconds, with smaller solves. Without a browser it says so; a
smoke run then ends well, any other with exit code 1. Writes to --output: the pages, screenshots and
browser_check.json.
"""

import argparse
import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import script
from common.script import PROBLEMS

import kanpinn as kp

NAME = Path(__file__).stem
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
WIDTH, HEIGHT = 390, 844  # of a phone, in CSS pixels
# The page is in a frame that may not be touched by its own rules: it forbids all scripts.
FRAME = """<!DOCTYPE html><html><head><meta charset="utf-8"><title></title></head>
<body style="margin:0"><iframe id="page" style="border:0;width:{width}px;height:{height}px"
srcdoc="{page}"></iframe><script>
onload = () => {{
  const inner = document.getElementById("page"), page = inner.contentDocument;
  const style = inner.contentWindow.getComputedStyle(page.body);
  document.title = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    pictures: page.images.length + page.querySelectorAll("figure svg").length,
    broken: [...page.images].filter(one => !one.naturalWidth).length,
    fetched: inner.contentWindow.performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !name.startsWith("data:")),
    ink: style.color, paper: style.backgroundColor,
  }});
}};
</script></body></html>
"""


def main() -> None:
    chosen = script.options(
        NAME,
        __doc__,
        pages=dict(nargs="+", type=Path, help="reports to check in place of those"),
        browser=dict(help=f"the browser, by default one of {', '.join(BROWSERS)}"),
    )
    pages = chosen.pages or reports(chosen)
    browser = chosen.browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    figures: dict[str, script.Verdict] = {}
    for page in pages:
        figures |= judged(page, browser, chosen.output)
    script.write_verdicts(chosen.output / f"{NAME}.json", figures)
    for name, figure in figures.items():
        print(f"{name}: {figure['value']} (target: {figure['target']})")
    if browser is None:
        print(f"there is none of the browsers {', '.join(BROWSERS)}: nothing was measured")
        sys.exit(0 if chosen.smoke else 1)
    sys.exit(any(figure["met"] is False for figure in figures.values()))


def reports(chosen: argparse.Namespace) -> list[Path]:
    """Make a small study with its figures, and return the reports of a run and of the study."""
    sizes = [8, 12] if chosen.smoke else [32, 64]
    study = kp.sweep(
        PROBLEMS / "poisson2d.toml",
        {"network.hidden": [[size] for size in sizes]},
        output=chosen.output,
    )
    run = study.run(study.rows[-1])
    kanpinn("plot", str(run))
    pages = [chosen.output / "run.html", chosen.output / "study.html"]
    for folder, page in zip((run, study.path), pages, strict=True):
        kanpinn("report", str(folder), "--output", str(page))
    return pages


def kanpinn(*arguments: str) -> None:
    """Do a command of kanpinn in a process of its own."""
    subprocess.run([sys.executable, "-m", "kanpinn", *arguments], check=True)


def judged(page: Path, browser: str | None, output: Path) -> dict[str, script.Verdict]:
    """Return the figures of a page, with values None without a browser."""
    found = {colours: measured(page, browser, output, colours) for colours in ("light", "dark")}
    light = found["light"]
    values: dict[str, tuple[Any, str, Any]] = {
        "pictures": (light.get("pictures"), "told", None),
        "pictures that do not load": (light.get("broken"), "0", light.get("broken") == 0),
        "pixels that it is wide": (
            light.get("width"), f"at most {WIDTH}", light.get("width", WIDTH + 1) <= WIDTH
        ),
        "files that it fetches": (light.get("fetched"), "[]", light.get("fetched") == []),
    }  # fmt: skip
    for colours, facts in found.items():
        ratio = contrast(facts)
        values[f"contrast of {colours} text"] = (ratio, "at least 4.5", (ratio or 0) >= 4.5)
    return {
        f"{page.name}: {name}": script.verdict(value, target, met if browser else None)
        for name, (value, target, met) in values.items()
    }


def measured(page: Path, browser: str | None, output: Path, colours: str) -> dict[str, Any]:
    """Return what a browser finds on a page, {} without a browser; write a screenshot."""
    text = html.escape(page.read_text(encoding="utf-8"))
    frame = output / f"frame_{page.stem}.html"
    frame.write_text(FRAME.format(width=WIDTH, height=HEIGHT, page=text), encoding="utf-8")
    picture = output / f"screenshot_{page.stem}_{colours}.png"
    found = re.search(r"<title>(.+?)</title>", opened(browser, frame, colours, picture))
    frame.unlink()
    facts: dict[str, Any] = {} if found is None else json.loads(html.unescape(found[1]))
    return facts


def opened(browser: str | None, page: Path, colours: str, picture: Path) -> str:
    """Return a page as the browser has it and write a screenshot; "" without a browser."""
    if browser is None:
        return ""
    preferred = {"dark": 0, "light": 1}[colours]  # blink::mojom::PreferredColorScheme
    settings = [f"--window-size={WIDTH},{HEIGHT}", "--disable-gpu", "--hide-scrollbars"]
    settings += [f"--blink-settings=preferredColorScheme={preferred}"]
    settings += ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses root otherwise
    command = [browser, "--headless", *settings, "--dump-dom", f"--screenshot={picture.absolute()}"]
    command.append(page.absolute().as_uri())
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout


def contrast(facts: dict[str, Any]) -> float | None:
    """Return the contrast of text and background (WCAG 2.2), None without a browser."""
    lights = sorted(luminances(facts.get("ink", ""), facts.get("paper", "")))
    return round((lights[1] + 0.05) / (lights[0] + 0.05), 1) if len(lights) == 2 else None


def luminances(*colours: str) -> Iterator[float]:
    """Yield the relative luminance of each colour "rgb(r, g, b)"."""
    for colour in colours:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        if linear:
            yield sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


if __name__ == "__main__":
    main()
