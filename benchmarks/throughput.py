"""Ablations a second of SmolLM2: `CausalLM` against a plain loop over padded batches.

    python benchmarks/throughput.py [--masks 512] [--rounds 3] [--batch-tokens 512]

A review of 100 words stands in an instruction of 100 tokens. Every mask removes half of the words
at random; the value is the logit of " positive" minus that of " negative" as the next token.

- plain: `model(**tokenizer(batch, padding=True))`, 32 prompts a batch, in float32.
- spexlens: one call of `CausalLM.next_token_logits`, in float32 with and without prepacked weights,
  and in bfloat16. Its first call, which also packs, is not timed.
- GEMM: the time that the model's linear layers alone would take for the tokens that must be
  computed, at the rate of oneDNN's prepacked linear on batches of the same size, measured in every
  round. The share says how much of a run it would be.

The plain loop is cut into as many parts as there are rounds, and every round runs a part of it and
the others in full, so that a change in the machine's load meets all alike. Times are wall clock;
the least of the rounds is shown for all but the plain loop, which is the sum of its parts.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

import spexlens as sx
from spexlens.models.running.batching import common_prefix

REVIEW = """I went into this film with low expectations after reading several lukewarm notices and I
came out pleasantly surprised by almost everything in it The plot is thin and the middle act drags
badly yet the two leads are so warm and funny together that you forgive every lazy turn The camera
work is gorgeous the score never shouts and the final scene made half of the audience around me cry
quietly It is not a great film and nobody will remember the villain but as an honest small story
about losing a friend it works far better than most"""
INSTRUCTION = """You are a careful assistant who judges how people felt about the films they saw.
Read the whole review before you decide. Weigh praise against complaint, do not be misled by irony
or by a single strong word, and ignore what is said about other films, about the cinema, or about
the audience. If a review is mixed, decide by the impression that remains at its end. Some words of
the review may be missing; judge by those that are left, and never ask for more. Answer with one
word only, without quotes."""
WORDS, INSTRUCTION_TOKENS, PLAIN_BATCH = 100, 100, 32


def prompts_of(lm: sx.models.CausalLM, count: int) -> list[str]:
    head = lm.tokenizer.decode(lm.encode(INSTRUCTION)[:INSTRUCTION_TOKENS])
    review = " ".join(REVIEW.split()[:WORDS])
    lens = sx.lenses.PromptLens(review, head + "\n\nReview: {text}\nSentiment:")
    masks = np.zeros((count, WORDS), dtype=bool)
    masks[:, : WORDS // 2] = True
    masks = np.random.default_rng(0).permuted(masks, axis=1)
    return list(lens.intervene(masks).inputs or ())


def plain_values(lm: sx.models.CausalLM, prompts: list[str], answers: list[int]) -> np.ndarray:
    """What a careful user writes without a library: padding before the prompts, no gradients."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(prompts), PLAIN_BATCH):
            batch = lm.tokenizer(
                prompts[start : start + PLAIN_BATCH],
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
            parts.append(lm.model(**batch).logits[:, -1, answers].numpy())
    return np.concatenate(parts).astype(float)


def needed_tokens(lm: sx.models.CausalLM, prompts: list[str]) -> int:
    sequences = [tuple(lm.encode(prompt)) for prompt in dict.fromkeys(prompts)]
    shared = common_prefix(sequences)
    return shared + sum(len(ids) - shared for ids in sequences)


def gemm_seconds_per_token(lm: sx.models.CausalLM, rows: int) -> float:
    """Seconds of all linear layers below the unembedding, for one token of a batch of `rows`."""
    head = lm.model.get_output_embeddings()
    shapes = Counter(
        tuple(module.weight.shape)
        for module in lm.model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    total = 0.0
    with torch.inference_mode():
        for (outputs, inputs), layers in shapes.items():
            x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)

            def multiply(x: torch.Tensor = x, packed: torch.Tensor = packed) -> None:
                torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")

            multiply()
            total += layers * min(seconds(multiply)[0] for _ in range(10))
    return total / rows


def seconds(run: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-tokens", type=int, default=None)
    arguments = parser.parse_args()

    lm = sx.models.CausalLM.load("smollm2", batch_tokens=arguments.batch_tokens)
    ways = {
        "float32, prepacked": lm,
        "float32": replace(lm, prepacked=False),
        "bfloat16, prepacked": sx.models.CausalLM.load(
            "smollm2", dtype="bfloat16", batch_tokens=arguments.batch_tokens
        ),
    }
    prompts = prompts_of(lm, arguments.masks)
    answers = [lm.encode(word, special_tokens=False)[0] for word in (" positive", " negative")]
    lengths = lm.count_tokens(prompts)
    needed = needed_tokens(lm, prompts)
    print(
        f"{len(prompts)} prompts of {lengths.min()} to {lengths.max()} tokens, {lengths.sum()} in "
        f"all, of which {needed} must be computed; {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}\n"
    )
    for way in ways.values():
        way.next_token_logits(prompts[:8], answers)

    plain, plain_time = [], 0.0
    times: dict[str, list[float]] = {name: [] for name in ways}
    values = {}
    gemm = []
    parts = max(1, min(arguments.rounds, len(prompts) // PLAIN_BATCH))
    for part in np.array_split(np.arange(len(prompts)), parts):
        taken, logits = seconds(
            lambda rows=part: plain_values(lm, [prompts[i] for i in rows], answers)
        )
        plain_time += taken
        plain.append(logits)
        for name, way in ways.items():
            taken, values[name] = seconds(lambda way=way: way.next_token_logits(prompts, answers))
            times[name].append(taken)
        gemm.append(gemm_seconds_per_token(lm, 512) * needed)

    scores = np.subtract(*np.concatenate(plain).T)
    print(f"{'':22}{'seconds':>9}{'ablations/s':>13}{'ratio':>8}{'largest difference':>20}")
    print(f"{'plain loop, float32':22}{plain_time:9.1f}{len(prompts) / plain_time:13.2f}{1:8.2f}")
    for name, taken in times.items():
        difference = np.abs(np.subtract(*values[name].T) - scores).max()
        print(
            f"{name:22}{min(taken):9.1f}{len(prompts) / min(taken):13.2f}"
            f"{plain_time / min(taken):8.2f}{difference:20.1e}"
        )
    fast = times["float32, prepacked"]
    shares = ", ".join(f"{alone / whole:.0%}" for alone, whole in zip(gemm, fast, strict=True))
    print(f"\nGEMM alone {min(gemm):.1f} s; share of the float32 run, round by round: {shares}")


if __name__ == "__main__":
    main()
