"""The options that every script takes: where it writes, and the quick check of itself."""

import argparse
from pathlib import Path


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser with --output and --smoke; `finish` gives --output its default."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--output", type=Path, help=f"results/{name}")
    made.add_argument("--smoke", action="store_true", help="a quick check of the script itself")
    return made


def finish(name: str, chosen: argparse.Namespace) -> argparse.Namespace:
    """The options with a folder to write to, for a smoke run one of its own."""
    folder = f"{name}_smoke" if chosen.smoke else name
    chosen.output = chosen.output or Path("results") / folder
    return chosen
