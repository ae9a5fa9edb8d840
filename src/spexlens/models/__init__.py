"""Models that a lens can intervene on."""
