"""Made-up labels: which demonstrations act through which of SmolLM2's 270 heads?

    python examples/joint_smollm2.py [--ablations 1600] [--seconds 150]

"foo" stands for animals and "bar" for plants, which only the eight demonstrations tell. The score
is how far "bar" is ahead for "pine". Values are kept in joint_smollm2.db: a run whose seconds are
over goes on when it is called again. Writes joint_smollm2.json and joint_smollm2.png.
"""

import argparse

import spexlens as sx
from spexlens.core.cross_lens import energy_by_lenses, paths
from spexlens.lenses.components import ComponentLens
from spexlens.lenses.joint import JointGame, joint_game
from spexlens.lenses.joint_subjects import gated_prompts
from spexlens.lenses.prompt import PromptLens
from spexlens.lenses.scores import LogitDifference
from spexlens.models import zoo
from spexlens.models.sites import heads
from spexlens.plots.bipartite import bipartite

DEMONSTRATIONS = """dog: foo
rose: bar
cat: foo
oak: bar
horse: foo
tulip: bar
cow: foo
wheat: bar"""


def demonstrations_and_heads() -> JointGame:
    model = zoo.load("smollm2")
    words = PromptLens(DEMONSTRATIONS, "{text}\npine:", "lines")
    components = ComponentLens(heads(model.model))
    subject = gated_prompts(
        model, words.prompt, LogitDifference("bar", "foo"), components.sites, replacement="mean"
    )
    lenses = {"demonstrations": words, "heads": components}
    return joint_game(lenses, subject, p={"demonstrations": 0.5, "heads": 0.9})


def main(ablations: int, seconds: float) -> None:
    game = demonstrations_and_heads()
    found = sx.explain(
        game, sx.Budget(calls=ablations, seconds=seconds), "kernelspex", rng=0, p=game.p,
        store=sx.Store("joint_smollm2.db"), progress=lambda done, of: print(f"{done} of {of}"),
    )  # fmt: skip
    print(found)
    found.save("joint_smollm2.json")
    blocks = game.lens.blocks
    for energy in energy_by_lenses(found.spectrum, blocks):
        print(energy)
    pairs = found.interactions("FBII")
    for player in game.players_of("demonstrations"):
        print(game.players[player])
        for path in paths(pairs, blocks, player, through="heads")[:3]:
            print(f"  {path}")
    bipartite(pairs, blocks).figure.savefig("joint_smollm2.png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ablations", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=150)
    given = parser.parse_args()
    main(given.ablations, given.seconds)
