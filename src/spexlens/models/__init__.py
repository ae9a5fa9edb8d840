"""Models that a lens can intervene on."""

import warnings
from contextlib import suppress
from importlib import import_module

from spexlens._support.doors import open_doors
from spexlens._support.notebooks import in_notebook

if in_notebook():  # transformers imports tqdm's notebook bars, which warn where widgets are missing
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.filterwarnings("ignore", message="IProgress not found")
        import_module("tqdm.auto")

_HOMES = {
    "spexlens.models.base": ("Classifier", "LanguageModel"),
    "spexlens.models.endpoint.apis": ("APIS",),
    "spexlens.models.endpoint.client": ("Endpoint",),
    "spexlens.models.endpoint.embeddings": ("EndpointEmbeddings",),
    "spexlens.models.endpoint.retry": ("RetryPolicy",),
    "spexlens.models.gating.replacement": ("REPLACEMENTS",),
    "spexlens.models.gating.sites": (
        "SITES",
        "NamedSites",
        "Site",
        "heads",
        "kv_groups",
        "layers",
        "mlps",
        "modules",
        "named",
        "neurons",
        "positions",
    ),
    "spexlens.models.pretrained.base": ("Pretrained",),
    "spexlens.models.pretrained.causal_lm": ("CausalLM",),
    "spexlens.models.pretrained.classifier": (
        "ProbedEncoder",
        "SequenceClassifier",
        "fit_probe",
    ),
    "spexlens.models.pretrained.encoder": (
        "Encoder",
        "embeddings",
        "pooled",
    ),
    "spexlens.models.pretrained.seq2seq": ("Seq2SeqLM",),
    "spexlens.models.pretrained.vision": (
        "VisionClassifier",
        "efficientnet_lite0",
    ),
    "spexlens.models.pretrained.weights": ("MODELS",),
    "spexlens.models.zoo": ("load_model",),
}
_MOVED = {
    "causal_lm": "spexlens.models.pretrained.causal_lm",
    "encoder": "spexlens.models.pretrained.encoder",
    "sites": "spexlens.models.gating.sites",
    "openai_api": "spexlens.models.endpoint.client",
    "vision": "spexlens.models.pretrained.vision",
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES, moved=_MOVED)
