from spexlens.studies.inputs import InputEffects as InputEffects
from spexlens.studies.inputs import over_inputs as over_inputs
from spexlens.studies.keep_probability import KeepProbability as KeepProbability
from spexlens.studies.keep_probability import keep_probability as keep_probability
from spexlens.studies.levels import CoarseToFine as CoarseToFine
from spexlens.studies.levels import LEVELS as LEVELS
from spexlens.studies.levels import explain_by_levels as explain_by_levels
from spexlens.studies.pruning import KeptSet as KeptSet
from spexlens.studies.pruning import PruningCurve as PruningCurve
from spexlens.studies.pruning import best_kept_set as best_kept_set
from spexlens.studies.pruning import linear_effects as linear_effects
from spexlens.studies.pruning import pruning_curve as pruning_curve
from spexlens.studies.removal import Curve as Curve
from spexlens.studies.removal import Flip as Flip
from spexlens.studies.removal import edited_texts as edited_texts
from spexlens.studies.removal import flips as flips
from spexlens.studies.removal import measured_curve as measured_curve
from spexlens.studies.selection import GreedySelection as GreedySelection
from spexlens.studies.selection import greedy as greedy
from spexlens.studies.selection import verify_minimal_set as verify_minimal_set
from spexlens.studies.stability import Stability as Stability
from spexlens.studies.stability import stability as stability

__all__: list[str]
