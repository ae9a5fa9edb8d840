"""Lenses: what is ablated. Each turns masks over its players into interventions on a subject."""
