# SPDX-License-Identifier: Apache-2.0
"""Makes the padding of the logits harmless to CTC."""

import keras
from keras import ops

from ds2_tf.text.alphabet import BLANK

# exp(-1e4) is zero in every float type, and still finite in float16.
_IMPOSSIBLE = -1e4


@keras.saving.register_keras_serializable(package="ds2_tf")
class PaddingToBlank(keras.layers.Layer):
    """Replaces the logits of padding frames by a certain blank.

    A frame that is certainly blank adds a factor of 1 to every alignment, so that CTC's loss and
    its decoders give the same result with the padding as without it and need not know the lengths.

    Call arguments:
        inputs: [batch, frames, labels].
        mask: bool [batch, frames].

    Returns:
        float32 [batch, frames, labels].

    Masking: ends the mask, since Keras would weigh the loss by it.
    """

    def __init__(self, **kwargs):
        # The softmax and the loss above are computed in float32 whatever the policy. `call` makes
        # the cast, since a tensor that Keras casts for a layer arrives there without its mask.
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        inputs = ops.cast(inputs, "float32")
        if mask is None:
            return inputs
        labels = ops.arange(inputs.shape[-1])
        blank = ops.where(labels == BLANK, 0.0, _IMPOSSIBLE)
        return ops.where(mask[:, :, None], inputs, ops.cast(blank, "float32"))

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        del config["dtype"]
        return config
