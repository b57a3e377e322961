# SPDX-License-Identifier: Apache-2.0
"""Points for TensorBoard: each once, however often a run is taken up again."""

import tensorflow as tf

from ds2_tf.training.checkpoint import Place
from ds2_tf.training.history import EpochResult
from ds2_tf.training.step import StepResult
from ds2_tf.training.tensorboard import TensorBoard


def points(directory):
    """Values by name and step; a list, so that none hides another."""
    found = {}
    for path in directory.iterdir():
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                tensor = tf.make_ndarray(value.tensor)
                found.setdefault((value.tag, event.step), []).append(tensor.ravel()[0])
    return found


def train(tensorboard, first, last, loss):
    """Batches from `first` to `last`, of 2 utterances, 25 to an epoch."""
    for batch in range(first, last + 1):
        tensorboard.batch(batch, 2, StepResult(loss, 3.0, True, True), 0.5)
        if batch % 25 == 0:
            result = EpochResult(
                batch // 25, loss=1.0, wer=loss, cer=0.2, learning_rate=0.5, seconds=1.0
            )
            tensorboard.epoch(result, 100.0, [("a b", "a c")] * 20)
    tensorboard.flush()


def test_points(tmp_path):
    train(TensorBoard(tmp_path, Place()), 1, 50, 8.0)
    found = points(tmp_path)
    for name, value in (("loss", 4.0), ("gradient_norm", 3.0), ("learning_rate", 0.5)):
        steps = {step: values for (tag, step), values in found.items() if tag == f"batch/{name}"}
        assert steps == {step: [value] for step in (10, 20, 30, 40, 50)}
    assert found["epoch/dev_wer", 2] == [8.0] and found["epoch/loss", 1] == [1.0]
    assert found["epoch/audio_seconds_per_second", 1] == [100.0]
    (text,) = found["epoch/dev_transcripts", 2]
    assert text.decode().count("| a b | a c |") == 10
    # There is no average here.
    assert ("epoch/dev_wer_averaged", 1) not in found


def test_taken_up_again(tmp_path):
    """Killed after batch 50 and the results of epoch 2, with the last checkpoint at batch 20."""
    train(TensorBoard(tmp_path, Place()), 1, 50, 8.0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    train(TensorBoard(tmp_path, Place(epoch=0, step=20, batches=20)), 21, 50, 6.0)
    found = points(tmp_path)
    assert all(len(values) == 1 for values in found.values())
    losses = {step: values[0] for (tag, step), values in found.items() if tag == "batch/loss"}
    assert losses == {10: 4.0, 20: 4.0, 30: 3.0, 40: 3.0, 50: 3.0}
    assert found["epoch/dev_wer", 1] == found["epoch/dev_wer", 2] == [6.0]


def test_taken_up_between_an_epochs_last_batch_and_its_end(tmp_path):
    """The results of epoch 1 were written, and the checkpoint is that of its last batch."""
    train(TensorBoard(tmp_path, Place()), 1, 25, 8.0)
    tensorboard = TensorBoard(tmp_path, Place(epoch=0, step=25, batches=25))
    assert [key for key in points(tmp_path) if key[0].startswith("epoch/")] == []
    train(tensorboard, 25, 25, 6.0)
    assert points(tmp_path)["epoch/dev_wer", 1] == [6.0]
