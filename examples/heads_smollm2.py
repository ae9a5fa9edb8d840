"""Which of SmolLM2's 270 heads act together when it names capitals, and which it can do without.

    python examples/heads_smollm2.py

About three minutes on a laptop: 900 ablations of six prompts. The pairs go to heads_smollm2.csv.
"""

import spexlens as sx

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo",
    "Greece": "Athens", "Germany": "Berlin", "Russia": "Moscow", "Austria": "Vienna",
    "Poland": "Warsaw", "Ireland": "Dublin", "Norway": "Oslo", "Cuba": "Havana", "Peru": "Lima",
    "China": "Beijing", "Iran": "Tehran", "Hungary": "Budapest", "Turkey": "Ankara",
}  # fmt: skip
SHOWN = 6  # of them are explained, the others are for the pruned model


def questions() -> list[sx.Question]:
    cities = list(CAPITALS.values())
    return [
        sx.Question(f"The capital of {country} is", city, (cities[i - 1], cities[i - 5]))
        for i, (country, city) in enumerate(CAPITALS.items())
    ]


def main() -> None:
    lm = sx.models.CausalLM.load("smollm2")
    shown, unseen = questions()[:SHOWN], questions()[SHOWN:]
    references = [question.prompt for question in shown]
    game = sx.component_game(lm, shown, "heads", absent="mean", references=references)
    keep = sx.keep_probability(game)
    print(f"keep probability {keep.p}\n{keep.to_frame().round(2)}\n")

    ex = sx.explain(game, budget=800, algorithm="kernelspex", rng=0, p=keep.p)
    print(ex)
    pairs = sx.lenses.edges(ex.pairs(), game.lens.sites)
    for kind in ("cooperative", "redundant"):
        print(kind, [f"{e.source} {e.target} {e.effect:+.2f}" for e in pairs if e.kind == kind][:5])
    energy = sx.lenses.layer_energy(ex.spectrum, game.lens.sites)
    print(f"within layers {energy.within_share:.0%}, by chance {energy.expected_within:.0%}")
    print("groups", sx.lenses.groups(ex.pairs(), top=10))
    print(
        "strongest layers",
        sx.lenses.layer_map(ex.interactions(), game.lens.sites).effects.sum(1).round(1),
    )
    print("written", sx.lenses.write_edges("heads_smollm2.csv", pairs))

    judge = sx.component_game(
        lm, unseen, "heads", score="accuracy", absent="mean", references=references
    )
    print(sx.pruning_curve(ex, judge, shares=(0.9, 0.8, 0.7)).to_frame().round(2))


if __name__ == "__main__":
    main()
