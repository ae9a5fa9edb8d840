"""What everything speaks: masks, games, spectra, interactions."""
