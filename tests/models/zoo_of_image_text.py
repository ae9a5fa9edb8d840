"""Tiny random chat models that read pictures, with processors of their own kind.

Run by hand: `python -m tests.models.zoo_of_image_text` prints what each kind can do.
"""

import sys

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models.pretrained.image_text import ImageTextLM

_WORDS = """<unk> <s> <pad> <image> <boi> <eoi> <video> <fake> <global> user assistant : a b c red
green blue is it the picture not very good yes no What colour shows ? Answer ."""
VOCABULARY = tuple(_WORDS.split())
CHAT = (
    "{% for message in messages %}{{ message['role'] + ' : ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ 'PLACE ' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{{ ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant :' }}{% endif %}"
)
_TEXT = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 256, "initializer_range": 0.4, "bos_token_id": 1, "eos_token_id": 1,
    "pad_token_id": 2, "head_dim": 8,
}  # fmt: skip
_VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 28, "patch_size": 7, "num_channels": 3, "initializer_range": 0.4,
}  # fmt: skip
_SIZE = {"height": 28, "width": 28}


def tokenizer_of(**names):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<s>", "<pad>", "<image>", "<boi>", "<eoi>", "<video>", "<fake>", "<global>"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>",
        eos_token="<s>", additional_special_tokens=special[2:], **names,
    )  # fmt: skip


def _id(word):
    return VOCABULARY.index(word)


def without_video(kind):
    """A kind of processor that takes no video part, which would need torchvision."""

    class Pictures(kind):
        def check_argument_for_proper_class(self, name, given):
            return (
                type(None) if name == "video_processor"
                else super().check_argument_for_proper_class(name, given)
            )  # fmt: skip

    Pictures.__name__ = kind.__name__
    return Pictures


def llava():
    config = AutoConfig.for_model(
        "llava", text_config={"model_type": "llama", **_TEXT},
        vision_config={"model_type": "clip_vision_model", **_VISION, "projection_dim": 32},
        image_token_index=_id("<image>"), image_seq_length=16,
    )  # fmt: skip
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessorPil(size=_SIZE, crop_size=_SIZE),
        tokenizer=tokenizer_of(), patch_size=7, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=CHAT.replace("PLACE", "<image>"),
    )  # fmt: skip
    return config, processor


def _qwen(kind, vision):
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    config = AutoConfig.for_model(
        kind, text_config={**_TEXT, "rope_parameters": rope}, vision_config=vision,
        image_token_id=_id("<image>"), video_token_id=_id("<video>"),
        vision_start_token_id=_id("<boi>"), vision_end_token_id=_id("<eoi>"),
    )  # fmt: skip
    tokens = tokenizer_of()
    tokens.image_token, tokens.video_token = "<image>", "<video>"
    tokens.image_token_id, tokens.video_token_id = _id("<image>"), _id("<video>")
    tokens.vision_start_token, tokens.vision_end_token = "<boi>", "<eoi>"
    tokens.vision_start_token_id, tokens.vision_end_token_id = _id("<boi>"), _id("<eoi>")
    kinds = {
        "qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor",
        "qwen3_vl": "Qwen3VLProcessor",
    }  # fmt: skip
    processor = without_video(getattr(transformers, kinds[kind]))(
        image_processor=transformers.Qwen2VLImageProcessorPil(
            patch_size=vision["patch_size"], merge_size=2,
            size={"shortest_edge": 28 * 28, "longest_edge": 28 * 28},
        ),
        tokenizer=tokens, video_processor=None,
        chat_template=CHAT.replace("PLACE", "<boi> <image> <eoi>"),
    )  # fmt: skip
    return config, processor


_QWEN = {"depth": 2, "num_heads": 4, "patch_size": 7, "spatial_merge_size": 2,
         "temporal_patch_size": 2, "in_channels": 3, "initializer_range": 0.4}  # fmt: skip


def qwen2_vl():
    return _qwen("qwen2_vl", {**_QWEN, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2})


def qwen2_5_vl():
    return _qwen("qwen2_5_vl", {
        **_QWEN, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48,
        "window_size": 28, "fullatt_block_indexes": [1],
    })  # fmt: skip


def qwen3_vl():
    return _qwen("qwen3_vl", {
        **_QWEN, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48,
        "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
    })  # fmt: skip


def gemma3():
    config = AutoConfig.for_model(
        "gemma3", text_config={**_TEXT, "sliding_window": 64},
        vision_config={**_VISION, "vision_use_head": False}, mm_tokens_per_image=4,
        boi_token_index=_id("<boi>"), eoi_token_index=_id("<eoi>"),
        image_token_index=_id("<image>"),
    )  # fmt: skip
    tokens = tokenizer_of()
    tokens.boi_token, tokens.eoi_token, tokens.image_token = "<boi>", "<eoi>", "<image>"
    tokens.image_token_id, tokens.boi_token_id = _id("<image>"), _id("<boi>")
    processor = transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessorPil(size=_SIZE), tokenizer=tokens,
        image_seq_length=4, chat_template=CHAT.replace("PLACE", "<boi>"),
    )  # fmt: skip
    return config, processor


def paligemma():
    config = AutoConfig.for_model(
        "paligemma", text_config={"model_type": "gemma", **_TEXT},
        vision_config={"model_type": "siglip_vision_model", **_VISION, "vision_use_head": False},
        image_token_index=_id("<image>"), projection_dim=32,
    )  # fmt: skip
    images = transformers.SiglipImageProcessorPil(size=_SIZE)
    images.image_seq_length = 16
    tokens = tokenizer_of()
    tokens.image_token, tokens.image_token_id = "<image>", _id("<image>")
    processor = transformers.PaliGemmaProcessor(
        image_processor=images, tokenizer=tokens, chat_template=CHAT.replace("PLACE", "<image>")
    )
    return config, processor


def _idefics(kind, processor, images):
    config = AutoConfig.for_model(
        kind, text_config={"model_type": "llama", **_TEXT}, vision_config=_VISION,
        image_token_id=_id("<image>"), scale_factor=2, pad_token_id=2,
    )  # fmt: skip
    tokens = tokenizer_of()
    tokens.fake_image_token, tokens.image_token = "<fake>", "<image>"
    tokens.global_image_token, tokens.end_of_utterance_token = "<global>", "<eoi>"
    tokens.image_token_id, tokens.fake_image_token_id = _id("<image>"), _id("<fake>")
    tokens.global_image_token_id = _id("<global>")
    more = {} if kind == "idefics3" else {"video_processor": None}
    made = processor(
        image_processor=images(
            size={"longest_edge": 28}, max_image_size={"longest_edge": 28},
            do_image_splitting=False,
        ),
        tokenizer=tokens, image_seq_len=4, chat_template=CHAT.replace("PLACE", "<image>"), **more,
    )  # fmt: skip
    return config, made


def idefics3():
    return _idefics(
        "idefics3", transformers.Idefics3Processor, transformers.Idefics3ImageProcessorPil
    )


def smolvlm():
    return _idefics(
        "smolvlm",
        without_video(transformers.SmolVLMProcessor),
        transformers.SmolVLMImageProcessorPil,
    )


KINDS = {made.__name__: made for made in (
    llava, qwen2_vl, qwen2_5_vl, qwen3_vl, gemma3, paligemma, idefics3, smolvlm
)}  # fmt: skip


def tiny_image_text(kind):
    """A random model of one kind and its processor."""
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        config, processor = KINDS[kind]()
        model = AutoModelForImageTextToText.from_config(config).eval()
        for weight in model.parameters():
            if weight.ndim == 2 and not weight.any():  # Gemma 3's way from pictures to words
                torch.nn.init.normal_(weight, std=0.4)
        return model, processor


def picture():
    """28 x 28 pixels: four quarters of different colours."""
    made = np.zeros((28, 28, 3), dtype=np.float32)
    made[:14, :14, 0], made[:14, 14:, 1], made[14:, :14, 2], made[14:, 14:] = 1, 1, 1, 0.7
    return made


def tiny_lm(kind):
    model, processor = tiny_image_text(kind)
    return ImageTextLM(model, processor.tokenizer, kind, processor=processor)


TEXT = "What colour shows the picture not very red"
TEMPLATE = "{text} Answer yes"
ANSWERS = ("red", "green")
REGIONS = sx.lenses.grid(28, 28, 2, 2)


def game_of(lm, **more):
    given = {"answers": ANSWERS, "absent_regions": "grey", **more}
    return sx.image_chat_game(lm, picture(), REGIONS, TEXT, TEMPLATE, **given)


def plain_logits(lm, words, quarters, new=()):
    """The definition: one plain pass, its prompt and picture written out by hand."""
    from PIL import Image

    shown = picture()
    for number, kept in enumerate(quarters):
        if not kept:
            row, column = divmod(number, 2)
            shown[row * 14 : row * 14 + 14, column * 14 : column * 14 + 14] = 0.5
    pixels = Image.fromarray(np.rint(shown * 255).astype(np.uint8))
    text = " ".join(word for word, kept in zip(TEXT.split(), words, strict=True) if kept)
    content = [{"type": "image"}, {"type": "text", "text": f"{text} Answer yes"}]
    message = {"role": "user", "content": content}
    prompt = lm.processor.apply_chat_template([message], add_generation_prompt=True)
    inputs = lm.processor(text=[prompt], images=[[pixels]], return_tensors="pt")
    inputs.pop("labels", None)
    if len(new):
        more = torch.tensor([list(new)])
        same = {name for name in inputs if inputs[name].shape == inputs["input_ids"].shape}
        for name in same:
            fill = {"input_ids": more, "attention_mask": torch.ones_like(more)}
            behind = fill.get(name, torch.zeros_like(more))
            inputs[name] = torch.cat([inputs[name], behind], dim=1)
    with torch.inference_mode():
        return lm.model(**inputs).logits[0, -1].double().numpy()


def checks(kind):
    """What a kind can do: differences as shares of the values' spread, or messages."""
    lm = tiny_lm(kind)
    game = game_of(lm)
    n, words = len(game.players), len(TEXT.split())
    masks = np.random.default_rng(0).random((12, n)) < 0.6
    masks[6:, :words] = masks[:6, :words]  # the same words with other quarters: one length
    red, green = (VOCABULARY.index(word) for word in ANSWERS)
    plain = []
    for mask in masks:
        logits = plain_logits(lm, mask[:words], mask[words:])
        plain.append(logits[red] - logits[green])
    values = game(masks)
    found = {
        "values": float(np.abs(values - plain).max() / np.ptp(plain)),
        "picture": float(np.abs(values[:6] - values[6:]).max()),
        "together": lm.passes.state.ways is not None and lm.passes.state.ways.together,
    }
    score = sx.lenses.ResponseLogProbability("blue green")
    try:
        told = np.ravel(game_of(lm, answers=None, score=score)(masks[:1]))[0]
    except InvalidInputError as error:
        found["response"] = str(error)
    else:
        expected, new = 0.0, []
        for word in ("blue", "green"):
            row = plain_logits(lm, masks[0, :words], masks[0, words:], new)
            new.append(VOCABULARY.index(word))
            expected += row[new[-1]] - np.log(np.exp(row - row.max()).sum()) - row.max()
        found["response"] = float(abs(told - expected))
    return found


if __name__ == "__main__":
    for name in sys.argv[1:] or KINDS:
        try:
            print(name, checks(name), flush=True)
        except (ImportError, AttributeError) as error:
            print(name, "cannot be made here:", str(error)[:160], flush=True)
