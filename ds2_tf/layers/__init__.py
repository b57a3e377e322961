# SPDX-License-Identifier: Apache-2.0
"""Keras layers of Deep Speech 2: every one respects the mask, none depends on padding."""

from ds2_tf.layers.activations import clipped_relu
from ds2_tf.layers.convolution import SequenceConvolution
from ds2_tf.layers.feature_normalization import FeatureNormalization
from ds2_tf.layers.padding_blank import PaddingToBlank
from ds2_tf.layers.recurrent import Recurrent
from ds2_tf.layers.row_convolution import RowConvolution
from ds2_tf.layers.sequence_batch_normalization import SequenceBatchNormalization

__all__ = [
    "FeatureNormalization",
    "PaddingToBlank",
    "Recurrent",
    "RowConvolution",
    "SequenceBatchNormalization",
    "SequenceConvolution",
    "clipped_relu",
]
