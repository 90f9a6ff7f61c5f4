"""The page of a problem, and the overview of all of them, as MyST Markdown."""

import re
from collections.abc import Iterator

import myst_text
from gallery_parts import measurements, pictures
from gallery_parts.entries import GROUPS, Entry
from myst_text import code, fence, plain

HARD = re.compile(r"(?<=[.;:]) (?=Hard(?: about it)?(?: is| are|:))")
SECTIONS = ("Args:", "Reference:")


def page(entry: Entry) -> str:
    """Return the page of a problem."""
    about, hard, meanings, sources = _parts(entry.doc)
    equation, *rest = about
    parts = [f"# {entry.name}", plain(entry.module)]
    if entry.source is not None:
        parts.append(f"> {equation}")
    parts += rest
    if entry.record is None:
        parts.append("*No run of this problem is kept, so there are no pictures.*")
    parts += [pictures.figures(entry)]
    parts += ["## What is hard", *hard] if hard else []
    parts += ["## What was measured", measurements.measured(entry)]
    parts += ["## Run it", _run(entry), "## Change it", *_change(entry, meanings)]
    parts += ["## The problem file", fence("toml", entry.path.read_text(encoding="utf-8"))]
    if entry.source is not None:
        parts += ["## The class file", _class_file(entry)]
    parts += ["## References", *sources] if sources else []
    return "\n\n".join(filter(None, parts)) + "\n"


def overview(entries: list[Entry]) -> str:
    """Return the thumbnails by groups, and the list of pages."""
    parts = []
    for group, title in GROUPS.items():
        found = [one for one in entries if one.group == group]
        cards = "\n\n".join(map(_card, found))
        parts.append(f"## {title}\n\n::::{{grid}} 2 2 3 3\n:gutter: 3\n\n{cards}\n::::")
        pages = "\n".join(f"generated/{one.name}" for one in found)
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```")
    return "\n\n".join(parts) + "\n"


def sets(entry: Entry) -> list[tuple[str, str]]:
    """Return overrides of keys that the problem file takes, and what each of them does."""
    found = []
    given = (entry.settings.get("problem") or {}).get("parameters", {})
    numbers = {name: text for name, text in entry.parameters.items() if _is_number(text)}
    for name, text in list(numbers.items())[:1]:
        value = given.get(name, text)
        found.append((f"problem.parameters.{name}={value}", "its present value, to be changed"))
    if "tolerance" in (entry.settings.get("run") or {}):
        value = entry.settings["run"]["tolerance"] * 10
        found.append((f"run.tolerance={value:g}", "a tenfold tolerance"))
    optimizers = entry.settings.get("optimizer", [])
    for index, one in enumerate(optimizers):
        if "tolerance" in one:
            value = one["tolerance"] * 10
            found.append((f"optimizer[{index}].tolerance={value:g}", "a tenfold tolerance"))
            break
    network = entry.settings.get("network", {})
    match network.get("hidden", []):
        case [units] if units >= 16:
            found.append((f"network.hidden=[{units // 2}]", "half of the hidden units"))
    if not found:
        found.append(("run.seed=1", "other random numbers"))
    return found


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None


def _parts(doc: str) -> tuple[list[str], list[str], list[tuple[str, str]], list[str]]:
    """Return the paragraphs of a docstring: the problem, what is hard, arguments, references."""
    about, hard, meanings, sources = [], [], [], []
    for part in myst_text.paragraphs(doc):
        if part.startswith("Args:"):
            meanings = myst_text.arguments(part)
        elif part.startswith("Reference:"):
            sources.append(myst_text.paragraph(part.removeprefix("Reference:").strip()))
        elif part.startswith("Hard"):
            hard.append(_hard(part))
        else:
            joined = part if part.startswith("    ") else part.replace("\n", " ")
            before, *after = HARD.split(joined, maxsplit=1)
            about.append(myst_text.paragraph(before))
            hard += map(_hard, after)
    return about, hard, meanings, sources


def _hard(text: str) -> str:
    """Return a paragraph below the title "What is hard", without that word and a colon."""
    said = text.removeprefix("Hard: ")
    return myst_text.paragraph(said[0].upper() + said[1:])


def _run(entry: Entry) -> str:
    file, command = f"{entry.name}.toml", entry.file.command
    lines = [
        f"$ kanpinn new {entry.name} --from {entry.name}",
        f"$ kanpinn {command} {file}",
    ]
    return (
        f"{fence('console', chr(10).join(lines))}\n\nThe first command copies the problem and all "
        "files that it needs into the present folder, under the name that is given. In a checkout "
        f"of the repository, {code(f'kanpinn {command} problems/{file}')} runs it where it is."
    )


def _change(entry: Entry, meanings: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the arguments of the class, and overrides that work."""
    if entry.parameters:
        told = dict(meanings)
        rows = [
            (code(name), code(default), plain(_meaning(name, told)))
            for name, default in entry.parameters.items()
        ]
        yield "Arguments of the class, which `parameters` in `[problem]` sets:"
        yield myst_text.table(("argument", "default", "meaning"), rows)
    yield "Any key of the file can be set on the command line:"
    lines = [
        f"$ kanpinn {entry.file.command} problems/{entry.name}.toml --set '{pair}'"
        for pair, _ in sets(entry)
    ]
    yield fence("console", "\n".join(lines))
    yield "\n".join(f"- {code(pair)}: {said}." for pair, said in sets(entry))


def _meaning(name: str, told: dict[str, str]) -> str:
    """Return the meaning of an argument; several may be explained together."""
    return next((text for names, text in told.items() if name in names.split(", ")), "")


def _class_file(entry: Entry) -> str:
    """Return the class file as a whole, which is shown when it is asked for."""
    path = f"problems/{entry.source.name}" if entry.source else ""
    lines = [f":::{{dropdown}} {path}", f"```{{literalinclude}} ../../../{path}"]
    return "\n".join([*lines, ":language: python", "```", ":::"])


def _card(entry: Entry) -> str:
    """Return the card of a problem in the overview."""
    lines = [f":::{{grid-item-card}} {entry.name}"]
    lines += [f":link: generated/{entry.name}", ":link-type: doc"]
    if entry.record is not None:
        thumb = f"../../results/reference/gallery/{entry.name}/thumb.png"
        lines += [f":img-top: {thumb}", f":img-alt: Picture of the solution of {entry.name}"]
    text = plain(entry.file.about)
    if entry.record is None:
        text += "\n\n*No run is kept.*"
    return "\n".join([*lines, "", text, ":::"])
