"""Runs the command line: `python -m xaiaug`."""

from .cli import main

if __name__ == "__main__":
    main()
