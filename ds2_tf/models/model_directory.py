# SPDX-License-Identifier: Apache-2.0
"""The directory in which a trained model is kept.

config.yaml   format version, features, alphabet and network
model.keras   the network and its weights
README.md     the model card
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile

from ds2_tf.audio.spectrogram import FEATURE_VERSION, SpectrogramConfig
from ds2_tf.config import ModelConfig, Recipe, from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

FORMAT_VERSION = 1
CONFIG_NAME = "config.yaml"
MODEL_NAME = "model.keras"
CARD_NAME = "README.md"


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """What must be known to use a model, apart from its weights.

    Attributes:
        model: the network.
        alphabet: its outputs, without the blank: characters in a string, or a list with bigrams.
        features: the spectrogram that it was trained on.
        feature_version: version of the code that computes it.
        format_version: version of this directory's layout.
    """

    model: ModelConfig
    alphabet: str | tuple[str, ...]
    features: SpectrogramConfig
    feature_version: int = FEATURE_VERSION
    format_version: int = FORMAT_VERSION

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> ModelDescription:
        """That of the network which a recipe makes."""
        return cls(recipe.model, recipe.alphabet, recipe.features)


def save_model(
    directory: str | os.PathLike, network, description: ModelDescription, card: str = ""
) -> None:
    """Writes a model directory.

    Args:
        directory: created where it is missing; a model in it is replaced.
        network: a `ds2_tf.models.deep_speech_2.DeepSpeech2`.
        description: see `ModelDescription`.
        card: the text of the model card, Markdown. Defaults to an empty one.

    Raises:
        UserError: the description is another network's.
    """
    import yaml

    _check_match(network, description, directory)
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # The description comes last: a directory without it is not yet a model.
    (directory / CONFIG_NAME).unlink(missing_ok=True)
    # A network in training would be saved with its optimizer, which is twice as large as itself.
    alone = type(network).from_config(network.get_config())
    alone.set_weights(network.get_weights())
    alone.save(directory / MODEL_NAME)
    (directory / CARD_NAME).write_text(card, "utf-8")
    text = yaml.safe_dump(to_dict(description), allow_unicode=True, sort_keys=False)
    (directory / CONFIG_NAME).write_text(text, "utf-8")


def load_description(directory: str | os.PathLike) -> ModelDescription:
    """Reads what a model is, without its weights.

    Raises:
        UserError: the directory holds no model, or one of another version.
    """
    import yaml

    path = pathlib.Path(directory) / CONFIG_NAME
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(
            f"{directory} is not a model directory: {CONFIG_NAME} cannot be read "
            f"({error.strerror})."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged, it is not YAML: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}, this release reads version {FORMAT_VERSION}."
        )
    description = from_dict(ModelDescription, content, source=str(path))
    if description.feature_version != FEATURE_VERSION:
        raise UserError(
            f"{directory} was trained on features of version {description.feature_version}, this "
            f"release computes version {FEATURE_VERSION}: train again, or use the older release."
        )
    return description


def load_model(directory: str | os.PathLike):
    """Reads a model directory.

    Returns:
        A pair: the network, and its `ModelDescription`.

    Raises:
        UserError: the directory holds no model, a damaged one, or one of another version.
    """
    import keras

    from ds2_tf.models import deep_speech_2  # noqa: F401  registers the classes for loading

    description = load_description(directory)
    path = pathlib.Path(directory) / MODEL_NAME
    if not path.exists():
        raise UserError(f"{directory} is not a whole model directory: {MODEL_NAME} is missing.")
    try:
        network = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged, or of another release of Keras: {error}") from error
    _check_match(network, description, directory)
    return network, description


def _check_match(network, description: ModelDescription, directory: str | os.PathLike) -> None:
    """Sees that a description is the network's: labels are told apart by their place alone."""
    described = (len(alphabet_of(description).labels), description.features.num_bins)
    found = (network.num_labels, network.num_bins)
    for what, wanted, there in zip(("labels", "frequency bins"), described, found):
        if wanted != there:
            raise UserError(
                f"{directory}: the description is of a network with {wanted} {what}, and this one "
                f"has {there}. Describe it by the recipe that it was made from."
            )
    if network.config != description.model:
        raise UserError(
            f"{directory}: the description's `model` is not that of this network. Describe it by "
            "the recipe that it was made from."
        )


def alphabet_of(description: ModelDescription) -> Alphabet:
    """The alphabet of a described model."""
    return Alphabet(description.alphabet)
