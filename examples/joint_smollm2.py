"""Made-up labels: which demonstrations act through which of SmolLM2's 270 heads?

    python examples/joint_smollm2.py [--ablations 1600] [--seconds 150]

"foo" stands for animals and "bar" for plants, which only the eight demonstrations tell. The score
is how far "bar" is ahead for "pine". Values are kept in joint_smollm2.db: a run whose seconds are
over goes on when it is called again. A second game, of the demonstrations and the 16 heads that do
most in the first one, measures anew. Writes joint_smollm2_all and joint_smollm2, .json and .png.
"""

import argparse
from collections.abc import Sequence

import spexlens as sx

HEADS = 16  # of the second game
DEMONSTRATIONS = """dog: foo
rose: bar
cat: foo
oak: bar
horse: foo
tulip: bar
cow: foo
wheat: bar"""


def demonstrations_and_heads(
    names: Sequence[str] | None = None, p: float = 0.9
) -> sx.lenses.JointGame:
    """Eight demonstrations and all heads, or those of the given names."""
    model = sx.load_model("smollm2")
    words = sx.lenses.PromptLens(DEMONSTRATIONS, "{text}\npine:", "lines")
    sites = sx.models.heads(model.model) if names is None else sx.models.named(model.model, names)
    subject = sx.lenses.gated_prompts(
        model, words.prompt, sx.lenses.LogitDifference("bar", "foo"), sites, absent="mean"
    )
    lenses = {"demonstrations": words, "heads": sx.lenses.ComponentLens(sites)}
    return sx.joint_game(lenses, subject, p={"demonstrations": 0.5, "heads": p})


def run(game: sx.lenses.JointGame, ablations: int, seconds: float, name: str) -> sx.Explanation:
    found = sx.explain(
        game, sx.Budget(calls=ablations, seconds=seconds), "kernelspex", rng=0,
        store=sx.Store("joint_smollm2.db"), progress=lambda done, of: print(f"{done} of {of}"),
    )  # fmt: skip
    print(found)
    found.save(f"{name}.json")
    blocks = game.lens.blocks
    for energy in sx.energy_by_lenses(found.spectrum, blocks):
        print(energy)
    pairs = found.pairs()
    for player in game.players_of("demonstrations"):
        print(game.players[player])
        for path in sx.paths(pairs, blocks, player, through="heads")[:3]:
            print(f"  {path}")
    sx.plots.bipartite(pairs, blocks).figure.savefig(f"{name}.png", dpi=110)
    return found


def main(ablations: int, seconds: float) -> None:
    game = demonstrations_and_heads()
    wide = run(game, ablations, seconds, "joint_smollm2_all")
    own = wide.pairs().top(len(game.players), order=1)
    strongest = [i for (i,) in own if i in game.players_of("heads")][:HEADS]
    few = demonstrations_and_heads([game.players[i] for i in sorted(strongest)], p=0.5)
    run(few, ablations // 2, seconds, "joint_smollm2")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ablations", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=150)
    given = parser.parse_args()
    main(given.ablations, given.seconds)
