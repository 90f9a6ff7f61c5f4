"""The page of the command line, from the commands' own help."""

from collections.abc import Iterator
from typing import Any

import typer.main
from myst_text import code, fence, plain, table

from kanpinn.cli import app

CODES = (
    ("0", "A usable solution, also where a limit of steps or seconds has ended it."),
    ("1", "A numerical failure, or overfitting."),
    ("2", "Bad input: a file, an option or a value. The message says what was expected."),
    ("130", "Interrupted by Ctrl-C."),
)


def page() -> str:
    """Return the page of all commands."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("kanpinn", [], resilient_parsing=True)
    parts = ["# Command line", plain(group.help or "")]
    parts.append(
        "`kanpinn COMMAND --help` prints what follows here. Tables and figures go into the run "
        "folder, messages to the standard error; `--json` prints `run.json` alone."
    )
    parts += ["## Exit codes", table(("code", "meaning"), CODES)]
    parts += ["## kanpinn", _options(group, context)]
    for name in group.list_commands(context):
        parts += [f"## kanpinn {name}", *_command(group.get_command(context, name), context, name)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _command(command: Any, parent: Any, name: str) -> Iterator[str]:
    """Yield usage, meaning, arguments and options of a command."""
    context = type(parent)(command, info_name=name, parent=parent)
    usage = " ".join(["kanpinn", name, *command.collect_usage_pieces(context)])
    yield fence("text", usage)
    for part in (command.help or "").split("\n\n"):
        yield plain(" ".join(part.split()))
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    if arguments:
        records = [one.get_help_record(context) for one in arguments]
        rows = [(code(written), plain(meaning)) for written, meaning in records]
        yield table(("argument", "meaning"), rows)
    yield _options(command, context)


def _options(command: Any, context: Any) -> str:
    """Return the table of the options of a command."""
    rows = []
    for one in command.get_params(context):
        record = one.get_help_record(context) if one.param_type_name == "option" else None
        if record is not None:
            written, meaning = record
            rows.append((code(written), plain(" ".join(meaning.split()))))
    return table(("option", "meaning"), rows)
