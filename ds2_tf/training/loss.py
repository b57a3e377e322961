# SPDX-License-Identifier: Apache-2.0
"""The CTC loss."""

import keras
from keras import ops

from ds2_tf.text.alphabet import BLANK

# Stands past the end of a row of labels.
LABEL_PADDING = -1

# exp(-80) is about the least normal float32.
_LEAST_LOG_PROB = -80.0


@keras.saving.register_keras_serializable(package="ds2_tf")
class CTCLoss(keras.losses.Loss):
    """-log p(labels | logits), summed over all alignments (connectionist temporal classification).

    Frames of padding must be certainly blank (`ds2_tf.layers.PaddingToBlank`), which makes the
    lengths of the logits superfluous. Computed in float32. An utterance with fewer frames than its
    labels need has no alignment: on TensorFlow that is an InvalidArgumentError, elsewhere a loss
    that is very large or infinite. Such are to be found when a corpus is prepared (`ds2 corpus
    check`); `ds2_tf.AudioData` leaves out those that speeding up has made so.

    Args:
        reduction: as in Keras. Defaults to the mean over the batch; None gives float32 [batch].
        name: of the loss.

    Call arguments:
        y_true: int32 [batch, labels], each row padded with -1.
        y_pred: logits, float [batch, frames, labels of the alphabet], label 0 the blank.
    """

    def __init__(self, reduction="sum_over_batch_size", name="ctc_loss"):
        super().__init__(reduction=reduction, name=name, dtype="float32")

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        logits = ops.cast(y_pred, "float32")
        if keras.config.backend() == "tensorflow":
            return _sparse_ctc_loss(labels, logits)
        frames = ops.full((ops.shape(logits)[0],), ops.shape(logits)[1], dtype="int32")
        lengths = ops.sum(ops.cast(labels != LABEL_PADDING, "int32"), axis=1)
        return ops.ctc_loss(ops.maximum(labels, 0), logits, lengths, frames, mask_index=BLANK)

    def get_config(self):
        return {"reduction": self.reduction, "name": self.name}


def _sparse_ctc_loss(labels, logits):
    """The C++ kernel: five times as fast on a CPU as the loss written in ops."""
    import tensorflow as tf

    # The kernel works in probabilities, and a probability that underflows makes the loss infinite.
    # The bound holds for the values alone: gradients pass, or a network that is wrong and sure of
    # it could not learn.
    log_probs = tf.nn.log_softmax(logits)
    bounded = log_probs + tf.stop_gradient(tf.maximum(log_probs, _LEAST_LOG_PROB) - log_probs)
    # It takes no row without labels: such a one gets any label, and its own loss afterwards.
    empty = tf.reduce_all(labels == LABEL_PADDING, axis=1)
    labels = tf.where(empty[:, None] & (tf.range(tf.shape(labels)[1]) == 0), BLANK + 1, labels)
    present = tf.where(labels != LABEL_PADDING)
    loss = tf.nn.ctc_loss(
        tf.SparseTensor(present, tf.gather_nd(labels, present), tf.shape(labels, tf.int64)),
        tf.transpose(bounded, [1, 0, 2]),
        label_length=None,
        logit_length=tf.fill([tf.shape(logits)[0]], tf.shape(logits)[1]),
        blank_index=BLANK,
    )
    return tf.where(empty, -tf.reduce_sum(log_probs[:, :, BLANK], axis=1), loss)
