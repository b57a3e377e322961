# SPDX-License-Identifier: Apache-2.0
"""Normalization of the features by statistics of the training split."""

import keras
import numpy as np
from keras import ops

from ds2_tf.layers.masking import mask_of_lengths, zero_padding


@keras.saving.register_keras_serializable(package="ds2_tf")
class FeatureNormalization(keras.layers.Layer):
    """Subtracts a mean and divides by a standard deviation per frequency bin.

    The statistics are weights that no training step changes, so that offline, streamed and served
    audio are normalized alike (Section 7: a deployed system cannot know a whole utterance's power).

    Call arguments:
        inputs: a pair of float32 [batch, frames, bins] and int32 [batch], the number of valid
            frames of each row.

    Returns:
        [batch, frames, bins] in the layer's compute dtype, zero in the padding.

    Masking: starts a mask, bool [batch, frames], true on the valid frames.
    """

    def __init__(self, **kwargs):
        # Computed in float32 whatever the policy: the cast comes after the normalization.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        def weight(name, initializer):
            # Keras would cast weights to the compute dtype even where it does not cast inputs.
            return self.add_weight(
                name=name,
                shape=(input_shape[0][-1],),
                initializer=initializer,
                trainable=False,
                dtype="float32",
                autocast=False,
            )

        self.mean = weight("mean", "zeros")
        self.standard_deviation = weight("standard_deviation", "ones")

    def set_statistics(self, mean: np.ndarray, standard_deviation: np.ndarray) -> None:
        """Sets the statistics of the training split.

        Args:
            mean: float [bins].
            standard_deviation: float [bins]; a bin that never changes is left unscaled.
        """
        self.mean.assign(mean)
        self.standard_deviation.assign(np.where(standard_deviation > 1e-5, standard_deviation, 1.0))

    def call(self, inputs):
        features, lengths = inputs
        normalized = (features - self.mean) / self.standard_deviation
        normalized = zero_padding(normalized, mask_of_lengths(features, lengths))
        return ops.cast(normalized, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        return mask_of_lengths(*inputs)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)
