"""The options of every script, --output and --smoke."""

import argparse
from pathlib import Path


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with --output and --smoke; `finish` sets the default of --output."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--output", type=Path, help=f"results/{name}")
    made.add_argument("--smoke", action="store_true", help="run all of the code at tiny sizes")
    return made


def finish(name: str, chosen: argparse.Namespace) -> argparse.Namespace:
    """Return the options with the folder to write to, which a smoke run has for itself."""
    folder = f"{name}_smoke" if chosen.smoke else name
    chosen.output = chosen.output or Path("results") / folder
    return chosen
