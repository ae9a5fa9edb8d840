"""What every stopping rule of the table must do."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.explanation.stopping import RULES, as_rule, find_rule


def game():
    """A sum of few players: more ablations soon add nothing."""
    return sx.FunctionGame(lambda x: 3.0 * x[:, 0] + 2.0 * x[:, 1] + 1.0 * x[:, 2], 12)


def check_it_is_found_by_name_with_its_usual_number_or_another(row):
    assert row.description
    usual = as_rule(row.make(row.usual))
    assert type(find_rule(row.name)) is type(usual)
    assert type(find_rule(f"{row.name}={row.usual}")) is type(usual)
    with pytest.raises(sx.InvalidInputError, match=f"needed {row.name}={row.usual}"):
        find_rule(f"{row.name}=soon")


def check_it_stops_a_run_and_tells_why(row):
    explanation = sx.explain(game(), 900, "lasso", rng=0, until=row.name)
    assert explanation.calls < 900
    (told,) = (note for note in explanation.notes if note.startswith("stopped at "))
    assert told.split(": ", 1)[1]
    assert explanation.curve.steps


def check_it_looks_at_rounds_and_changes_nothing(row):
    seen = []

    def record(rounds):
        seen.append([as_rule(row.name)(rounds), as_rule(row.name)(rounds)])

    sx.explain(game(), 300, "lasso", rng=0, until=record)
    assert seen
    for first, second in seen:
        assert first == second
        assert first is None or (isinstance(first, str) and first)


def check_unknown_names_list_it(row):
    with pytest.raises(sx.errors.UnknownNameError, match=row.name):
        find_rule("nonsense")
    assert row.name in RULES
    assert np.isfinite(row.usual)
