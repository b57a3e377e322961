# SPDX-License-Identifier: Apache-2.0
"""The clipped rectifier of Deep Speech."""

import keras
from keras import ops

CLIP = 20.0


@keras.saving.register_keras_serializable(package="ds2_tf")
def clipped_relu(x):
    """min(max(x, 0), 20), the non-linearity of Sections 3.1 and 3.5. Keeps shape and dtype."""
    return ops.clip(x, 0.0, CLIP)
