"""From a game to an explanation: what is run, how it is judged, what is kept."""
