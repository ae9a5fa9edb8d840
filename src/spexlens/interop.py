"""Interactions in other libraries' terms: shapiq's `InteractionValues`, networkx graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spexlens.core.interactions import Interactions
from spexlens.core.spectrum import default_players
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.indices.table import INDICES

if TYPE_CHECKING:
    import networkx as nx


def to_shapiq(interactions: Interactions, *, baseline: float | None = None) -> Any:
    """Write the interactions as a `shapiq.InteractionValues`, for its plots and tools.

    Names and standard errors have no place there and are left behind.

    Parameters
    ----------
    interactions : Interactions
        Of an index that shapiq knows, by its row in `spexlens.INDICES`: not Fourier or Influence.
    baseline : float, optional
        Value of the empty input; by default the effect of the empty set, 0 where absent.

    Returns
    -------
    shapiq.InteractionValues
        With the same sets. At order 1 shapiq calls an interaction index by its values' name: FBII
        becomes BV, SII becomes SV.

    Raises
    ------
    InvalidInputError
        For an index that shapiq does not know.
    MissingExtraError
        Where shapiq is not installed.
    """
    shared = [name for name, row in INDICES.items() if row.in_shapiq]
    if interactions.index not in shared:
        raise InvalidInputError(
            f"shapiq has no index {interactions.index!r}; needed one of {', '.join(shared)}, such "
            "as explanation.interactions('FBII')."
        )
    try:
        from shapiq import InteractionValues
    except ImportError as error:
        raise MissingExtraError("to_shapiq", "shapiq", "interop") from error
    highest = max(int(interactions.supports.orders().max(initial=0)), 1)
    empty = interactions.get((), 0.0) if baseline is None else float(baseline)
    return InteractionValues(
        interactions.to_dict(), index=interactions.index, n_players=len(interactions.players),
        min_order=0 if () in interactions else 1, max_order=highest, baseline_value=empty,
    )  # fmt: skip


def from_shapiq(values: Any, players: Sequence[str] | None = None) -> Interactions:
    """Read interactions from a `shapiq.InteractionValues`.

    Parameters
    ----------
    values : shapiq.InteractionValues
    players : sequence of str, optional
        Names of its players; default `"0", "1", …`.

    Returns
    -------
    Interactions
    """
    names = default_players(values.n_players) if players is None else tuple(players)
    if len(names) != values.n_players:
        raise InvalidInputError(
            f"{len(names)} player names given; needed {values.n_players}, one a player."
        )
    effects = {
        tuple(int(player) for player in members): float(effect)
        for members, effect in values.interactions.items()
    }
    return Interactions.from_dict(effects, values.index, names)


def to_networkx(interactions: Interactions) -> nx.Graph[Any]:
    """Write the interactions as a networkx graph: nodes are players and larger sets, edges pairs.

    Parameters
    ----------
    interactions : Interactions

    Returns
    -------
    networkx.Graph
        Node i is player i, with `name`, and `effect` where it has one of its own. A pair is an edge
        with `effect` and `weight = |effect|`. A set of three or more players is a node, the tuple
        of its players, with `effect` and an edge to each member, so that nothing is lost.

    Raises
    ------
    MissingExtraError
        Where networkx is not installed.

    Examples
    --------
    >>> effects = Interactions.from_dict({(0,): 1.0, (0, 1): -2.0}, "FBII", ["not", "good"])
    >>> graph = to_networkx(effects)
    >>> graph.nodes[0], graph.edges[0, 1]
    ({'name': 'not', 'effect': 1.0}, {'effect': -2.0, 'weight': 2.0})
    """
    try:
        import networkx as nx
    except ImportError as error:
        raise MissingExtraError("to_networkx", "networkx", "plots") from error
    graph = nx.Graph(index=interactions.index)
    graph.add_nodes_from((i, {"name": name}) for i, name in enumerate(interactions.players))
    for members, effect in interactions.items():
        if len(members) == 1:
            graph.nodes[members[0]]["effect"] = effect
        elif len(members) == 2:
            graph.add_edge(*members, effect=effect, weight=abs(effect))
        elif len(members) > 2:
            graph.add_node(members, effect=effect)
            graph.add_edges_from(
                ((members, player) for player in members), effect=effect, weight=abs(effect)
            )
    return graph
