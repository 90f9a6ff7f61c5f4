"""kanpinn completion: the script by which a shell completes commands, options and files."""

import os
from enum import Enum
from typing import Annotated

import typer


class Shell(Enum):
    """The names of the supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion_command(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print a script that completes commands and options in a shell.

    bash: a line eval "$(kanpinn completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc,
    after compinit. fish: kanpinn completion fish > ~/.config/fish/completions/kanpinn.fish
    """
    from kanpinn.cli import app

    # The protocol of typer: with this variable an application prints the script and ends.
    os.environ["_KANPINN_COMPLETE"] = f"source_{shell.value}"
    app([], prog_name="kanpinn")
