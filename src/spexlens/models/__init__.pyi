from spexlens.models.base import Classifier as Classifier
from spexlens.models.base import LanguageModel as LanguageModel
from spexlens.models.endpoint.client import Endpoint as Endpoint
from spexlens.models.endpoint.retry import RetryPolicy as RetryPolicy
from spexlens.models.gating.replacement import REPLACEMENTS as REPLACEMENTS
from spexlens.models.gating.sites import SITES as SITES
from spexlens.models.gating.sites import Site as Site
from spexlens.models.gating.sites import heads as heads
from spexlens.models.gating.sites import kv_groups as kv_groups
from spexlens.models.gating.sites import layers as layers
from spexlens.models.gating.sites import mlps as mlps
from spexlens.models.gating.sites import modules as modules
from spexlens.models.gating.sites import named as named
from spexlens.models.gating.sites import neurons as neurons
from spexlens.models.gating.sites import positions as positions
from spexlens.models.pretrained.causal_lm import CausalLM as CausalLM
from spexlens.models.pretrained.classifier import ProbedEncoder as ProbedEncoder
from spexlens.models.pretrained.classifier import SequenceClassifier as SequenceClassifier
from spexlens.models.pretrained.classifier import embeddings as embeddings
from spexlens.models.pretrained.classifier import fit_probe as fit_probe
from spexlens.models.pretrained.encoder import Encoder as Encoder
from spexlens.models.pretrained.encoder import pooled as pooled
from spexlens.models.pretrained.vision import VisionClassifier as VisionClassifier
from spexlens.models.pretrained.vision import efficientnet_lite0 as efficientnet_lite0
from spexlens.models.pretrained.weights import MODELS as MODELS
from spexlens.models.zoo import load_model as load_model

__all__: list[str]
