"""Pure mathematics on spectra and masks."""
