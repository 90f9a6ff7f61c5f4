"""Pages of the tables of problem files, from the JSON schema that `kanpinn schema` prints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from myst_text import code, plain, table
from reference_parts.toml_types import Schema, default_words, type_words

import kanpinn
from kanpinn.runs.config import document_schema
from kanpinn.runs.config.tables import EQUATIONS, NETWORKS, OPTIMIZERS, SHAPES


@dataclass(frozen=True)
class Page:
    """A page of tables: the beginnings of their names in the schema.

    head: text above the tables.
    """

    key: str
    title: str
    head: str
    models: tuple[str, ...]


PAGES = (
    Page(
        "files",
        "Sections of files",
        "A file is a problem file, a file of an eigenvalue problem (with `[eigen]`), or a fit file "
        "(with `[data]`). These are the sections of each. Unknown keys and values of a wrong type "
        "are refused, with the path of the key and the nearest right spelling. Any key can be "
        "overridden on the command line: `--set optimizer[0].steps=50`.",
        ("SolveFile", "EigenFile", "FitFile"),
    ),
    Page(
        "problem",
        "[problem]",
        "A problem is a class of your own, or one of the common equations with its data. "
        "[Problem files without a class](/howto/files.md) has examples, also of conditions on "
        "single pieces of the boundary.",
        ("ClassTable", "equation_", "EigenClassTable", "EigenTable"),
    ),
    Page(
        "domain",
        "Domains",
        'A domain is a table such as `{ type = "box", x = [0, 1], y = [0, 1] }`, the value of '
        "`domain` in `[problem]` and in `[data]`.",
        ("domain_", "CombinationTable"),
    ),
    Page(
        "network",
        "[network]",
        "The key `type` says which network represents the solution. A network of your own is named "
        'as `"file.py:Class"`. In fit files and in the parts of a network `beside` the same tables '
        "are without the key `boundary`.",
        ("network_", "ProblemBeside", "AutoNetwork", "OwnProblemNetwork"),
    ),
    Page(
        "optimizer",
        "[[optimizer]]",
        "Methods are run in the order of their tables. The key `type` says which one it is; one of "
        'your own is named as `"file.py:Class"`.',
        ("optimizer_", "AutoTable", "OwnOptimizer"),
    ),
    Page(
        "settings",
        "[points], [loss], [reference] and [run]",
        "Points, weights, what errors are measured against, and settings of the whole run.",
        ("points", "LossTable", "WeightTable", "reference_", "OwnReference", "RunTable"),
    ),
    Page(
        "fit",
        "[data] and [fit]",
        "The rows of a fit, how they are divided, and how a network is fitted to them.",
        ("FileTable", "FormulaTable", "FitTable", "sparsity"),
    ),
)
SAME = ("part_", "OwnNetwork", "BesideTable")  # those of [network] without the key `boundary`
FIXED = {  # the sections whose tables have no name in the file
    "LossTable": "[loss]",
    "WeightTable": "[loss] of an eigenvalue problem",
    "RunTable": "[run]",
    "EigenTable": "[eigen]",
    "FileTable": "[data] from a file",
    "FormulaTable": "[data] from formulas",
    "FitTable": "[fit]",
    "points": "[points]",
    "sparsity": "sparsity in [fit]",
    "ClassTable": "A problem class",
    "EigenClassTable": "A class of an eigenvalue problem",
    "SolveFile": "Problem files",
    "EigenFile": "Files of eigenvalue problems",
    "FitFile": "Fit files",
    "CombinationTable": 'type = "union", "difference" or "intersection"',
}
SECTIONS = {"EigenTable": "[eigen]", "FileTable": "[data]", "FormulaTable": "[data]"}
SECTIONS |= {"FitTable": "[fit]"}  # on pages that have another section as their title


def models() -> Schema:
    """Return all tables of problem and fit files, by their names in the schemas."""
    found: Schema = {}
    for kind in ("problem", "fit"):
        schema = document_schema(kind)
        found |= schema["$defs"]
        if schema.get("type") == "object":
            found.setdefault("FitFile", schema)
    return found


def pages() -> Iterator[tuple[str, str]]:
    """Yield the names and the texts of the pages."""
    known = models()
    placed = assigned(known)
    links = _links(known, placed)
    for page, names in placed.items():
        parts = [f"# {page.title}", page.head]
        parts += [_model(name, known[name], links) for name in names]
        yield f"toml_{page.key}", "\n\n".join(parts) + "\n"


def overview() -> str:
    """Return the list of the pages for the index."""
    rows = [f"[{plain(page.title)}](generated/toml_{page.key}.md)\n: {page.head}" for page in PAGES]
    listed = "\n".join(f"generated/toml_{page.key}" for page in PAGES)
    toc = f"```{{toctree}}\n:hidden:\n:caption: Problem files\n\n{listed}\n```"
    return "\n\n".join([*rows, toc]) + "\n"


def assigned(known: Schema) -> dict[Page, list[str]]:
    """Return the tables of each page.

    Raises:
        ValueError: for a table that belongs to no page.
    """
    left = {name for name in known if not name.startswith(SAME)}
    found: dict[Page, list[str]] = {}
    for page in PAGES:
        chosen = [n for start in page.models for n in known if n.startswith(start) and n in left]
        found[page] = list(dict.fromkeys(chosen))
        left -= {*chosen}
    if left:
        raise ValueError(f"tables of files that are on no page of the reference: {sorted(left)}")
    return found


def _links(known: Schema, placed: Mapping[Page, Sequence[str]]) -> dict[str, str]:
    """Return links to the tables by their names, each with the kind of what it describes."""
    network = f"[{plain('[network]')}](toml_network.md)"
    links = {name: network for name in known if name.startswith(SAME)}
    for page, names in placed.items():
        for name in names:
            said = SECTIONS.get(name, _short(page))
            links[name] = f"[{plain(said)}](toml_{page.key}.md)"
    return links


def _short(page: Page) -> str:
    """Return what a key of another page's kind is called."""
    return {"domain": "domain", "settings": "table"}.get(page.key, page.title)


def _model(name: str, schema: Schema, links: Mapping[str, str]) -> str:
    """Return the section of a table: what it is, and its keys.

    links: to the tables, by their names.
    """
    parts = [f"## {_title(name, schema)}", plain(schema.get("description", "")), _python(name)]
    rows = []
    required = schema.get("required", [])
    for key, one in schema.get("properties", {}).items():
        if "const" in one and key in ("type", "equation"):
            continue  # the title says it
        default = "required" if key in required else default_words(one.get("default"))
        kind = type_words(one, links)
        rows.append((code(key), kind, default, plain(one.get("description", ""))))
    if rows:
        parts.append(table(("key", "type", "default", "meaning"), rows))
    if schema.get("additionalProperties") not in (None, False):
        parts.append(_further(name))
    return "\n\n".join(filter(None, parts))


def _python(name: str) -> str:
    """Return a link to the class of a table, whose page says more; "" if it is not public."""
    kind, _, key = name.partition("_")
    known = {"network": NETWORKS, "optimizer": OPTIMIZERS, "domain": SHAPES, "equation": EQUATIONS}
    found = getattr(known.get(kind, {}).get(key), "__name__", "")
    return f"More: [`kanpinn.{found}`](kanpinn.{found}.md)." if found in kanpinn.__all__ else ""


def _further(name: str) -> str:
    if name.startswith("Own"):
        return "All other keys are arguments of the class."
    return "Further keys are the coordinates, such as `x = [0, 1]`."


def _title(name: str, schema: Schema) -> str:
    if name in FIXED:
        return FIXED[name]
    for key in ("type", "equation"):
        one = schema.get("properties", {}).get(key, {})
        if "const" in one:
            return f'{key} = "{one["const"]}"'
    if name.startswith("Own"):
        return 'type = "file.py:Class"'
    return schema.get("title", name)
