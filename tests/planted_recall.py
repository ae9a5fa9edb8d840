"""A small transformer in which one known head carries one known demonstration to the answer.

A demonstration is a word such as `k7=1`; the prompt ends in `k7?` and the answer is `1` or `0`. The
head is trained alone and then stands among others whose weights are small and random.
"""

from functools import cache

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spexlens.lenses.components.game import ComponentLens
from spexlens.lenses.joint.game import JointGame, joint_game
from spexlens.lenses.joint.gated_prompts import gated_prompts
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.scores import LogitDifference
from spexlens.models.gating import sites
from spexlens.models.pretrained.causal_lm import CausalLM

Pair = tuple[int, int]
KEYS = 24
LAYERS, HEADS, HEAD_SIZE, WIDTH = 2, 40, 16, 80
PLANTED_LAYER, PLANTED_HEAD = 1, 17
DEMONSTRATIONS = 20


@cache
def recalling_model(seed: int, steps: int = 1500, rate: float = 3e-3) -> CausalLM:
    """A model of 80 heads around the trained one; some 10 seconds of one core."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    small = _trained_head(tokenizer, seed, steps, rate)
    large = _model(len(tokenizer), LAYERS, HEADS)
    with torch.no_grad():
        for name in ("model.embed_tokens", "lm_head", "model.norm"):
            large.get_submodule(name).load_state_dict(small.get_submodule(name).state_dict())
        own = slice(PLANTED_HEAD * HEAD_SIZE, (PLANTED_HEAD + 1) * HEAD_SIZE)
        source = small.model.layers[0].self_attn
        target = large.model.layers[PLANTED_LAYER].self_attn
        for name in ("q_proj", "k_proj", "v_proj"):
            getattr(target, name).weight[own] = getattr(source, name).weight
        target.o_proj.weight[:, own] = source.o_proj.weight
    return CausalLM(large.eval(), tokenizer, f"recall-{seed}", prepacked=False)


def _trained_head(
    tokenizer: PreTrainedTokenizerFast, seed: int, steps: int, rate: float
) -> LlamaForCausalLM:
    """A model of one layer and one head that answers by looking up the asked key."""
    model = _model(len(tokenizer), 1, 1)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    model.model.layers[0].mlp.requires_grad_(False).down_proj.weight.zero_()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    answers = torch.tensor(tokenizer.convert_tokens_to_ids(["0", "1"]))
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        ids, present, bits = _training_batch(tokenizer, rng)
        logits = model(input_ids=ids, attention_mask=present, logits_to_keep=1).logits
        loss = torch.nn.functional.cross_entropy(logits[:, -1, answers], bits)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model


def _model(words: int, layers: int, heads: int) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=words, hidden_size=WIDTH, intermediate_size=8, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=heads, head_dim=HEAD_SIZE,
            max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=0,
            tie_word_embeddings=False,
            # angles so small that a head compares contents, not positions
            rope_parameters={"rope_type": "default", "rope_theta": 1e12},
        )
    )  # fmt: skip


def _training_batch(
    tokenizer: PreTrainedTokenizerFast, rng: np.random.Generator, size: int = 64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, which of them are there, and answers: the asked demonstration always is."""
    first = tokenizer.convert_tokens_to_ids("k0=0")
    keys = np.argsort(rng.random((size, KEYS)), axis=1)[:, :DEMONSTRATIONS]
    bits = rng.integers(2, size=keys.shape)
    asked = rng.integers(DEMONSTRATIONS, size=size)
    rows = np.arange(size)
    question = first + 3 * keys[rows, asked] + 2
    present = rng.random((size, DEMONSTRATIONS + 1)) < rng.random((size, 1))
    present[rows, asked] = present[:, -1] = True
    ids = np.column_stack([first + 3 * keys + bits, question])
    return tuple(map(torch.from_numpy, (ids, present.astype(np.int64), bits[rows, asked])))


def demonstrations(rng: np.random.Generator) -> str:
    """Twenty demonstrations as a text."""
    keys = rng.permutation(KEYS)[:DEMONSTRATIONS]
    bits = rng.integers(2, size=DEMONSTRATIONS)
    return " ".join(f"k{key}={bit}" for key, bit in zip(keys, bits, strict=True))


def best_recalled(model: CausalLM, text: str) -> int:
    """The demonstration of a 1 without which the answer to its own question changes most.

    The trained head answers some nine questions in ten: so the truth is measured, not hoped for.
    """
    parts = text.split()
    ones = [i for i, part in enumerate(parts) if part.endswith("=1")]
    asked = [parts[i].split("=")[0] + "?" for i in ones]
    prompts = [f"{text} {key}" for key in asked]
    prompts += [
        " ".join([*parts[:i], *parts[i + 1 :], key]) for i, key in zip(ones, asked, strict=True)
    ]
    answers = model.tokenizer.convert_tokens_to_ids(["1", "0"])
    with_it, without = np.split(model.next_token_logits(prompts, answers) @ [1.0, -1.0], 2)
    return ones[int(np.argmax(with_it - without))]


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "0", "1"]
    words += [f"k{key}{end}" for key in range(KEYS) for end in ("=0", "=1", "?")]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<pad>", eos_token="<pad>"
    )


def recall_game(
    seed: int, *, absent: bool = False, steps: int = 1500, rate: float = 3e-3
) -> tuple[JointGame, Pair]:
    """Demonstrations × heads, and the planted pair of players.

    With `absent` the question is about a key that no demonstration has: a control, in which the
    pair named is that of the first demonstration.
    """
    model = recalling_model(seed, steps, rate)
    text = demonstrations(np.random.default_rng(1000 + seed))
    asked = best_recalled(model, text)
    keys = [part.split("=")[0] for part in text.split()]
    key = next(f"k{i}" for i in range(KEYS) if f"k{i}" not in keys) if absent else keys[asked]
    words = PromptLens(text, f"{{text}} {key}?")
    heads = ComponentLens(sites.heads(model.model))
    subject = gated_prompts(model, words.prompt, LogitDifference("1", "0"), heads.sites)
    game = joint_game({"demonstrations": words, "heads": heads}, subject, p={"heads": 0.9})
    head = DEMONSTRATIONS + PLANTED_LAYER * HEADS + PLANTED_HEAD
    return game, (0 if absent else asked, head)
