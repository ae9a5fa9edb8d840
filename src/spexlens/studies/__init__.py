"""What one does with a game or an explanation by further ablations."""
