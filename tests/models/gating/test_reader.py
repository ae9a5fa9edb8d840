"""Rows with a prompt and gates each equal plain passes of one prompt under its own hooks."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

import spexlens as sx
from spexlens.models.gating import sites
from spexlens.models.gating.reader import GatedReader
from spexlens.models.gating.runner import gated_runner
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder, pooled
from spexlens.models.running.passes import Passes
from tests.tiny_models import POSITIONS, VOCABULARY, tiny_model, tiny_tokenizer

PROMPTS = ("good film", "a b c d e was not very good", "bad", "good film", "the plot was fun yes")
GATED = {
    **dict.fromkeys(
        ["llama", "gpt2", "qwen2", "gemma2", "gemma3", "mistral", "gpt_neox", "bloom", "opt"],
        sites.heads,
    ),
    **dict.fromkeys(["phi3", "bert"], sites.heads),
    **dict.fromkeys(["mamba", "lfm2"], sites.layers),
}
TARGETS = [3, 9, 12]


def made(architecture, batch_tokens=None, **options):
    lm = CausalLM(tiny_model(architecture), tiny_tokenizer())
    chosen = GATED[architecture](lm.model)
    probe = lm.encode(PROMPTS[1])
    return lm, gated_runner(lm.passes.alone(batch_tokens), chosen, [probe], **options)


def random_gates(rows, count, seed=0):
    return (np.random.default_rng(seed).random((count, len(rows.sites))) < 0.6).astype(float)


def by_hand(model, ids, chosen, gates, means=None):
    """One plain pass with a hook a closed site, written without the library."""

    def hooked(site):
        module = model.get_submodule(site.module)
        if site.side == sites.UPDATE:

            def skip(_, args, kwargs, output):
                given = args[0] if args else kwargs["hidden_states"]
                return (given, *output[1:]) if isinstance(output, tuple) else given

            return module.register_forward_hook(skip, with_kwargs=True)

        def close(_, args):
            x = args[0].clone()
            own = slice(site.columns.start, site.columns.stop)
            x[..., own] = 0 if means is None else means[site.module][own]
            return (x, *args[1:])

        return module.register_forward_pre_hook(close)

    with ExitStack() as hooks, torch.inference_mode():
        for site, gate in zip(chosen, gates, strict=True):
            if gate == 0:
                hooks.callback(hooked(site).remove)
        return model(input_ids=torch.tensor([ids]))[0][0]


@pytest.mark.parametrize("architecture", GATED)
def test_every_row_is_a_plain_pass_with_its_own_hooks(architecture):
    lm, rows = made(architecture, batch_tokens=24)
    gates = random_gates(rows, len(PROMPTS))
    logits = lm.read_by(GatedReader(rows, gates)).next_token_logits(PROMPTS, TARGETS)
    for prompt, gate, row in zip(PROMPTS, gates, logits, strict=True):
        plain = by_hand(lm.model, lm.encode(prompt), rows.sites, gate)[-1, TARGETS]
        assert row == pytest.approx(plain.numpy(), abs=2e-4)
    assert np.abs(logits[0] - logits[3]).max() > 1e-3  # one prompt, other gates
    assert not any(module._forward_pre_hooks for module in lm.model.modules())


def test_open_gates_leave_the_model_as_it_is():
    lm, rows = made("llama")
    opened = lm.read_by(GatedReader(rows, np.ones((len(PROMPTS), len(rows.sites)))))
    same = lm.next_token_log_probabilities(PROMPTS, TARGETS)
    assert opened.next_token_log_probabilities(PROMPTS, TARGETS) == pytest.approx(same, abs=1e-4)
    same = lm.continuation_log_probabilities(PROMPTS, [5, 6, 7])
    assert opened.continuation_log_probabilities(PROMPTS, [5, 6, 7]) == pytest.approx(
        same, abs=1e-4
    )


def test_a_continuation_is_read_under_the_gates_of_its_row():
    lm, rows = made("llama")
    gates = random_gates(rows, len(PROMPTS), seed=1)
    found = lm.read_by(GatedReader(rows, gates)).continuation_log_probabilities(PROMPTS, [5, 6])
    for prompt, gate, row in zip(PROMPTS, gates, found, strict=True):
        ids = lm.encode(prompt)
        logs = by_hand(lm.model, [*ids, 5], rows.sites, gate).log_softmax(-1)[len(ids) - 1 :]
        assert row == pytest.approx(logs[[0, 1], [5, 6]].numpy(), abs=1e-4)


def test_absent_heads_become_their_mean_over_the_references():
    lm = CausalLM(tiny_model("llama"), tiny_tokenizer())
    chosen = sites.heads(lm.model)
    references = [lm.encode(text) for text in PROMPTS[:3]]
    seen = {site.module: [] for site in chosen}
    with ExitStack() as hooks, torch.inference_mode():
        for name, kept in seen.items():
            record = lm.model.get_submodule(name).register_forward_pre_hook(
                lambda _, args, kept=kept: kept.append(args[0][0])
            )
            hooks.callback(record.remove)
        for ids in references:
            lm.model(input_ids=torch.tensor([ids]))
    means = {name: torch.cat(kept).mean(dim=0) for name, kept in seen.items()}
    rows = gated_runner(lm.passes, chosen, references[:1], absent="mean", references=references)
    gates = random_gates(rows, len(PROMPTS))
    logits = lm.read_by(GatedReader(rows, gates)).next_token_logits(PROMPTS, TARGETS)
    for prompt, gate, row in zip(PROMPTS, gates, logits, strict=True):
        plain = by_hand(lm.model, lm.encode(prompt), chosen, gate, means)[-1, TARGETS]
        assert row == pytest.approx(plain.numpy(), abs=2e-4)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3"])
def test_layers_below_the_first_site_are_run_once_a_prompt(architecture):
    lm = CausalLM(tiny_model(architecture), tiny_tokenizer())
    chosen = sites.heads(lm.model, [1])
    rows = gated_runner(lm.passes.alone(24), chosen, [lm.encode(PROMPTS[1])])
    prompts = [prompt for prompt in PROMPTS[:3] for _ in range(10)]
    gates = random_gates(rows, len(prompts))
    lm.passes.ways(rows.sequences * 2)  # the first call tries things out
    passed = []
    inside = sites.heads(lm.model, [0])[0].module
    watch = lm.model.get_submodule(inside).register_forward_hook(lambda *_: passed.append(1))
    logits = lm.read_by(GatedReader(rows, gates)).next_token_logits(prompts, TARGETS)
    below = len(passed)
    watch.remove()
    for prompt, gate, row in zip(prompts, gates, logits, strict=True):
        plain = by_hand(lm.model, lm.encode(prompt), chosen, gate)[-1, TARGETS]
        assert row == pytest.approx(plain.numpy(), abs=2e-4)
    assert below <= 4  # one a distinct prompt, and one that tests that it may be left out


def tiny_encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2,
                num_attention_heads=4, intermediate_size=48, max_position_embeddings=POSITIONS,
                initializer_range=0.4,
            )
        )  # fmt: skip
    return Encoder(model.eval(), tiny_tokenizer(), "tiny-bert")


def test_embeddings_of_every_row_have_gates_of_their_own():
    encoder = tiny_encoder()
    chosen = sites.heads(encoder.model)
    rows = gated_runner(encoder.passes, chosen, [[3, 4, 5]])
    gates = random_gates(rows, len(PROMPTS))
    found = rows.run_rows(
        encoder.token_ids(PROMPTS), gates, lambda model, ids, _: pooled(model, ids)
    )
    for text, gate, row in zip(PROMPTS, gates, found, strict=True):
        hidden = by_hand(encoder.model, encoder.tokenizer(text)["input_ids"], chosen, gate)
        mean = hidden.mean(dim=0)
        assert row == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_calls_from_several_threads_do_not_mix_their_gates():
    lm, rows = made("llama")
    gates = [random_gates(rows, len(PROMPTS), seed) for seed in range(8)]

    def run(own):
        # Plain calls of the model come between: they must not meet the hooks.
        plain = lm.next_token_logits(PROMPTS, TARGETS)
        gated = lm.read_by(GatedReader(rows, own)).next_token_logits(PROMPTS, TARGETS)
        return np.stack([plain, gated])

    alone = [run(own) for own in gates]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, gates))
    assert np.allclose(alone, together, atol=1e-4)
    assert np.ptp([plain for plain, _ in together], axis=0).max() < 1e-4


def test_gates_and_plain_passes_share_what_was_learnt_of_a_model():
    lm, rows = made("llama", batch_tokens=24)
    assert rows.passes.state is lm.passes.state
    assert (rows.passes.tokens, lm.passes.tokens) == (24, 512)
    unpacked = CausalLM(lm.model, lm.tokenizer, prepacked=False)
    runner = gated_runner(unpacked.passes, rows.sites, rows.sequences)
    unpacked.read_by(GatedReader(runner, random_gates(rows, 2))).last_hidden(PROMPTS[:2])
    assert unpacked.passes.state.packed is None


def test_hooks_are_gone_after_an_error():
    lm, rows = made("llama")

    def broken(model, ids, numbers):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        rows.run_rows([[3, 4]], np.zeros((1, len(rows.sites))), broken, padded=True)
    assert not any(module._forward_pre_hooks for module in lm.model.modules())


def test_what_does_not_fit_is_told():
    lm, rows = made("llama")
    view = lm.read_by(GatedReader(rows, random_gates(rows, 2)))
    with pytest.raises(sx.InvalidInputError, match="3 texts given for 2 rows"):
        view.next_token_logits(PROMPTS[:3], TARGETS)
    with pytest.raises(sx.InvalidInputError, match="for 8 sites; needed one column a site"):
        lm.read_by(GatedReader(rows, np.ones((2, 5)))).next_token_logits(PROMPTS[:2], TARGETS)
    with pytest.raises(sx.InvalidInputError, match="generated text"):
        view.generate(PROMPTS[:2], 3)
    sampled = made("llama", absent="resample", references=[lm.encode(PROMPTS[1])])[1]
    with pytest.raises(sx.InvalidInputError, match="resample"):
        lm.read_by(GatedReader(sampled, np.ones((1, 8)))).next_token_logits(PROMPTS[:1], TARGETS)
    with pytest.raises(sx.InvalidInputError, match="batch_tokens = 0"):
        made("llama", batch_tokens=0)
    with pytest.raises(sx.InvalidInputError, match="training mode"):
        gated_runner(Passes((tiny_encoder().model.train(),)), rows.sites, [[3, 4]])


def test_a_model_that_looks_ahead_is_not_read_at_several_tokens():
    lm, rows = made("bert")
    view = lm.read_by(GatedReader(rows, np.ones((1, len(rows.sites)))))
    with pytest.raises(sx.InvalidInputError, match="needed a causal model"):
        view.continuation_log_probabilities(["good film"], [5, 6])
