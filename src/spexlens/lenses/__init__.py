"""Lenses: what is ablated. Each turns masks over its players into interventions on a subject."""

from spexlens._support.doors import open_doors

_HOMES = {
    "spexlens.core.interventions": ("Interventions", "Needs"),
    "spexlens.lenses.base": (
        "CountsTokens",
        "Lens",
        "LensGame",
        "Subject",
    ),
    "spexlens.lenses.components.game": (
        "ComponentLens",
        "GatedSubject",
        "component_game",
        "sampling_error",
    ),
    "spexlens.lenses.components.probe_score": ("ProbeScore",),
    "spexlens.lenses.components.questions": (
        "Question",
        "read_questions",
    ),
    "spexlens.lenses.components.results": (
        "Edge",
        "LayerEnergy",
        "LayerMap",
        "edges",
        "groups",
        "layer_energy",
        "layer_map",
        "write_edges",
    ),
    "spexlens.lenses.components.scores": (
        "COMPONENT_SCORES",
        "AnswerAccuracy",
        "AnswerLogProbability",
        "AnswerMargin",
        "FullModelKL",
        "TextLoss",
    ),
    "spexlens.lenses.endpoint.game": ("endpoint_game",),
    "spexlens.lenses.endpoint.response": ("EchoedLogProbability",),
    "spexlens.lenses.endpoint.samples": (
        "Samples",
        "answer_share",
    ),
    "spexlens.lenses.endpoint.scores": (
        "NextTokenLogOdds",
        "Reading",
    ),
    "spexlens.lenses.endpoint.subject": ("EndpointSubject",),
    "spexlens.lenses.image": (
        "BACKGROUNDS",
        "ImageLens",
        "ScoredImage",
        "grid",
        "image_game",
        "superpixels",
    ),
    "spexlens.lenses.joint.game": (
        "JointGame",
        "JointLens",
        "joint_game",
    ),
    "spexlens.lenses.joint.gated_prompts": (
        "EncoderFeatures",
        "GatedPrompts",
        "gated_prompts",
    ),
    "spexlens.lenses.joint.trained_reader": (
        "TextFeatures",
        "TrainedReader",
    ),
    "spexlens.lenses.score": (
        "NamedScore",
        "ResolvedScore",
        "Score",
    ),
    "spexlens.lenses.score_tables": (
        "ENDPOINT_SCORES",
        "PROMPT_SCORES",
        "SCORES",
    ),
    "spexlens.lenses.tabular.background": ("Background",),
    "spexlens.lenses.tabular.fillings": ("FILLINGS", "Filling"),
    "spexlens.lenses.tabular.game": ("TabularLens", "TabularSubject", "tabular_game"),
    "spexlens.lenses.tabular.outputs": ("TabularOutput", "tabular_output"),
    "spexlens.lenses.text.ablations": (
        "ABLATIONS",
        "Ablation",
        "resampled",
    ),
    "spexlens.lenses.text.attention": ("AttentionLens", "Attending"),
    "spexlens.lenses.text.chat": (
        "ChatLens",
        "ChatModel",
        "Message",
        "chat_game",
    ),
    "spexlens.lenses.text.classifier": ("ClassMargin", "ScoredClassifier"),
    "spexlens.lenses.text.game": ("prompt_game",),
    "spexlens.lenses.text.prompt": (
        "PromptLens",
        "question_template",
        "with_slots",
    ),
    "spexlens.lenses.text.response_scores": (
        "FullPromptKL",
        "LogitFunction",
        "Perplexity",
        "ResponseLogProbability",
        "TextFunction",
    ),
    "spexlens.lenses.text.scores": (
        "LogProbability",
        "LogitDifference",
        "ScoredLM",
        "TokenScore",
    ),
    "spexlens.lenses.text.segmenters": (
        "SEGMENTERS",
        "NamedSegmenter",
        "Segmenter",
        "characters",
        "lines",
        "segmenter_of",
        "sentences",
        "tokens",
        "words",
    ),
    "spexlens.lenses.text.sequence_scores": (
        "AnswerLogOdds",
        "AnswerScore",
    ),
    "spexlens.lenses.text.structure": (
        "demonstrations",
        "documents",
        "json_fields",
        "list_items",
        "paragraphs",
        "turns",
    ),
    "spexlens.lenses.training.files": (
        "ExampleTable",
        "built_in",
        "read_csv",
    ),
    "spexlens.lenses.training.game": (
        "TrainingLens",
        "training_game",
    ),
    "spexlens.lenses.training.groups": (
        "clusters",
        "near_duplicates",
    ),
    "spexlens.lenses.training.metrics": (
        "Agreement",
        "Removals",
        "agreement",
        "auroc",
        "brittleness",
        "removal_path",
    ),
    "spexlens.lenses.training.pairs": (
        "PairDifferences",
        "PairEffects",
    ),
    "spexlens.lenses.training.scores": (
        "TRAINING_SCORES",
        "TrainingScore",
    ),
    "spexlens.lenses.training.screen": (
        "Screening",
        "screen",
    ),
    "spexlens.lenses.training.subject": ("TrainingSubject",),
    "spexlens.lenses.training.surrogates": ("surrogate_game",),
}
_MOVED = {
    "prompt": "spexlens.lenses.text.prompt",
    "scores": "spexlens.lenses.text.scores",
    "response_scores": "spexlens.lenses.text.response_scores",
    "segmenters": "spexlens.lenses.text.segmenters",
    "chat": "spexlens.lenses.text.chat",
    "classifier": "spexlens.lenses.text.classifier",
    "attention": "spexlens.lenses.text.attention",
    "questions": "spexlens.lenses.components.questions",
    "training_data": "spexlens.lenses.training.game",
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES, moved=_MOVED)
