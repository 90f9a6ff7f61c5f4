"""`kanpinn` and `python -m kanpinn`: the command line."""

import signal

from kanpinn._support.interrupts import leave


def main() -> None:
    """Run the command line; outside of its commands Ctrl-C ends the process quietly."""
    signal.signal(signal.SIGINT, leave)
    from kanpinn.cli import app

    try:
        app(prog_name="kanpinn")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: the exit code stands


if __name__ == "__main__":
    main()
