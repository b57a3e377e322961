# SPDX-License-Identifier: Apache-2.0
"""Deep Speech 2 on TensorFlow.

The names below are what a training script needs; they are imported when they are first used, so
that `import ds2_tf` costs nothing.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Alphabet": "ds2_tf.text.alphabet",
    "AudioData": "ds2_tf.training.data",
    "CTCLoss": "ds2_tf.training.loss",
    "ConvolutionConfig": "ds2_tf.config",
    "Decoder": "ds2_tf.decoding.decoder",
    "DeepSpeech2": "ds2_tf.models.deep_speech_2",
    "ModelConfig": "ds2_tf.config",
    "ModelDescription": "ds2_tf.models.model_directory",
    "Recipe": "ds2_tf.config",
    "Recognizer": "ds2_tf.recognizer",
    "RecordData": "ds2_tf.training.data",
    "SpectrogramConfig": "ds2_tf.audio.spectrogram",
    "StreamingRecognizer": "ds2_tf.streaming.recognizer",
    "TrainingConfig": "ds2_tf.config",
    "UserError": "ds2_tf.errors",
    "align_words": "ds2_tf.decoding.forced_alignment",
    "endless": "ds2_tf.training.data",
    "export_saved_model": "ds2_tf.export.saved_model",
    "greedy_decode": "ds2_tf.decoding.greedy",
    "load_model": "ds2_tf.models.model_directory",
    "load_recipe": "ds2_tf.recipes",
    "log_spectrogram": "ds2_tf.audio.spectrogram",
    "make_optimizer": "ds2_tf.training.optimizer",
    "make_strategy": "ds2_tf.training.strategy",
    "preset": "ds2_tf.models.presets",
    "read_audio": "ds2_tf.audio.reading",
    "read_manifest": "ds2_tf.corpora.manifest",
    "save_model": "ds2_tf.models.model_directory",
    "train": "ds2_tf.training.trainer",
    "validate": "ds2_tf.training.validation",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return __all__
