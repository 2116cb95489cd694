"""The values of the configuration that name a class or function, with the dictionary each is looked up in."""

from collections.abc import Mapping

from bayescope.calibration import CALIBRATIONS
from bayescope.config import Config
from bayescope.diffusion.networks import NETWORKS
from bayescope.diffusion.schedules import SCHEDULES
from bayescope.errors import ConfigError, lookup
from bayescope.evidence.level_weights_fit import LEVEL_WEIGHTS
from bayescope.inference.likelihood import SOLVERS, TRACES
from bayescope.training.augmentation import AUGMENTATIONS
from bayescope.training.learning_rate import DECAYS
from bayescope.training.losses import LOSS_WEIGHTS, NOISE_LEVELS
from bayescope.training.optimizers import OPTIMIZERS

WORDS: dict[str, Mapping[str, object]] = {
    "net.kind": NETWORKS,
    "net.schedule": SCHEDULES,
    "training.optimizer": OPTIMIZERS,
    "training.decay": DECAYS,
    "training.loss": LOSS_WEIGHTS,
    "training.noise_levels": NOISE_LEVELS,
    "training.augmentation": AUGMENTATIONS,
    "evidence.level_weights": LEVEL_WEIGHTS,
    "evidence.calibration": CALIBRATIONS,
    "flow.solver": SOLVERS,
    "flow.trace": TRACES,
}
"""By key of the configuration, ``section.name``: the dictionary whose keys are the words it may be set to."""


def check_words(config: Config) -> None:
    """Raise ConfigError naming each setting whose word does not exist, what was found and the words expected."""
    wrong = []
    for key, table in WORDS.items():
        section, name = key.split(".")
        try:
            lookup(table, getattr(getattr(config, section), name), key)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))
