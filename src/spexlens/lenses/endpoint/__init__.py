"""Text games that a server answers."""
