"""Components closed, row by row: where they are and how their output is replaced."""
