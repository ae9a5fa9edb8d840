"""Models of transformers, loaded from a package, a folder or a hub."""
