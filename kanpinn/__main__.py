"""`python -m kanpinn` is the command line."""

from kanpinn.cli import app

app(prog_name="kanpinn")
