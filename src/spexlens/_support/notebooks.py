"""Whether code runs in a notebook, where pictures and progress are shown otherwise."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Tell whether this is a Jupyter kernel; a script and IPython in a terminal are none.

    >>> in_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
