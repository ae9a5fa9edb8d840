"""Players of several lenses in one game."""
