"""The command line: thin, each command is a verb of the library."""

from spexlens.cli.app import main

__all__ = ["main"]
