from spexlens.trainers.base import Retrainer as Retrainer
from spexlens.trainers.base import Task as Task
from spexlens.trainers.base import Trained as Trained
from spexlens.trainers.base import Trainer as Trainer
from spexlens.trainers.base import TrainingData as TrainingData
from spexlens.trainers.estimator import Estimator as Estimator
from spexlens.trainers.influence import Influence as Influence
from spexlens.trainers.kernel_ridge import KernelRidge as KernelRidge
from spexlens.trainers.logistic import Logistic as Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours as NearestNeighbours
from spexlens.trainers.network import Network as Network
from spexlens.trainers.ridge import Ridge as Ridge
from spexlens.trainers.sentence_features import hashed_words as hashed_words
from spexlens.trainers.sentence_features import kept_features as kept_features
from spexlens.trainers.sentence_features import minilm as minilm
from spexlens.trainers.table import NamedTrainer as NamedTrainer
from spexlens.trainers.table import TRAINERS as TRAINERS
from spexlens.trainers.text_pipeline import text_pipeline as text_pipeline

__all__: list[str]
