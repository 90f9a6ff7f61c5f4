"""Pages of the tables of problem files, from the JSON schema that `kanpinn schema` prints."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from myst_text import code, plain, table

import kanpinn
from kanpinn.runs.config import document_schema
from kanpinn.runs.config.domains import SHAPES
from kanpinn.runs.config.named import NETWORKS, OPTIMIZERS
from kanpinn.runs.config.problems import EQUATIONS

Schema = dict[str, Any]


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
    for page, names in assigned(known).items():
        parts = [f"# {page.title}", page.head]
        parts += [_model(name, known[name], known) for name in names]
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


def _model(name: str, schema: Schema, known: Schema) -> str:
    """Return the section of a table: what it is, and its keys."""
    parts = [f"## {_title(name, schema)}", plain(schema.get("description", "")), _python(name)]
    rows = []
    required = schema.get("required", [])
    for key, one in schema.get("properties", {}).items():
        if "const" in one and key in ("type", "equation"):
            continue  # the title says it
        default = "required" if key in required else _default(one.get("default"))
        rows.append((code(key), _type(one, known), default, plain(one.get("description", ""))))
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


def _default(value: Any) -> str:
    """Return a default; that of a whole table has the defaults of its own keys."""
    return "its defaults" if isinstance(value, dict) and value else code(_value(value))


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _type(one: Schema, known: Schema) -> str:
    """Return the type of a key in words."""
    if "$ref" in one:
        return _ref(one["$ref"].rpartition("/")[2], known)
    if "const" in one:
        return code(_value(one["const"]))
    if "enum" in one:
        return " or ".join(code(_value(value)) for value in one["enum"])
    for several in ("anyOf", "oneOf"):
        if several in one:
            said = dict.fromkeys(_type(each, known) for each in one[several])
            if "number" in said:
                said.pop("integer", None)
            return " or ".join(said)
    kind = one.get("type")
    if kind == "array":
        return _list(one, known)
    if kind == "object":
        inner = one.get("additionalProperties")
        return f"table of {_type(inner, known)}" if isinstance(inner, dict) and inner else "table"
    return _number(one) if kind in ("integer", "number") else _plain_kind(kind)


def _plain_kind(kind: Any) -> str:
    names = {"string": "text", "boolean": "true or false", "null": "none"}
    return names.get(str(kind), "any value")


def _number(one: Schema) -> str:
    """Return the type of a number with its limits."""
    said = {"integer": "integer", "number": "number"}[one["type"]]
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {one[key]}" for key, sign in limits.items() if key in one]
    return plain(" ".join([said, ", ".join(found)]).strip())


def _list(one: Schema, known: Schema) -> str:
    if "prefixItems" in one:
        return "list of " + ", ".join(_type(each, known) for each in one["prefixItems"])
    return f"list of {_type(one['items'], known)}" if one.get("items") else "list"


def _ref(name: str, known: Schema) -> str:
    """Return a link to a table of another page, with the kind of what it describes."""
    for page, names in assigned(known).items():
        if name in names:
            said = SECTIONS.get(name, _short(page))
            return f"[{plain(said)}](toml_{page.key}.md)"
    return f"[{plain('[network]')}](toml_network.md)"


def _short(page: Page) -> str:
    return {"domain": "domain", "settings": "table"}.get(page.key, page.title)
