"""Texts for pages of MyST Markdown: escaped words, tables, docstrings, and files written if new."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~@])")


def plain(text: str) -> str:
    """Return a text as Markdown that shows it as it is; what is between backticks stays code."""
    parts = re.split(r"(`+[^`]+`+)", text)
    shown = [part if part.startswith("`") else SPECIAL.sub(r"\\\1", part) for part in parts]
    return re.sub(r"^([-+]|\d+\.)(?=\s)", r"\\\1", "".join(shown))


def code(text: str) -> str:
    """Return a text as code in a line."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def paragraphs(doc: str) -> list[str]:
    """Return the paragraphs of a docstring, each as its lines."""
    return [part for part in re.split(r"\n\s*\n", doc.strip("\n")) if part.strip()]


def paragraph(text: str) -> str:
    """Return a paragraph of a docstring as Markdown: indented lines are formulas or code."""
    if all(line.startswith("    ") for line in text.splitlines()):
        return fence("text", text)
    return plain(" ".join(line.strip() for line in text.splitlines()))


def arguments(text: str) -> list[tuple[str, str]]:
    """Return the names and the meanings of an "Args:" section, whose entries are indented."""
    entries: list[list[str]] = []
    for line in text.splitlines()[1:]:
        found = re.match(r"^ {4}([\w, *]+): (.*)", line)
        if found:
            entries.append([found[1], found[2]])
        elif entries:
            entries[-1][1] += " " + line.strip()
    return [(name, meaning) for name, meaning in entries]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are Markdown already; a bar in code does not end its cell."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = [re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fence(language: str, text: str) -> str:
    """Return a code block."""
    return f"```{{code-block}} {language}\n{text.rstrip()}\n```"


def write_if_new(path: Path, text: str) -> None:
    """Write a page; one that has the same text stays, so that Sphinx does not read it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def remove_others(folder: Path, kept: Iterable[Path]) -> None:
    """Remove the pages of a folder that are not made any more."""
    for path in set(folder.glob("*")) - set(kept):
        path.unlink()
