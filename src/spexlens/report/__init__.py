"""One self-contained HTML page for an explanation."""
