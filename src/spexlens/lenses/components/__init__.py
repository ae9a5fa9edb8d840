"""The parts of a model as players: heads, MLPs, neurons, layers."""
