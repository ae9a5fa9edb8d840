"""What knows nothing of games: files and notebooks."""
