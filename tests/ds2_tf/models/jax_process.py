# SPDX-License-Identifier: Apache-2.0
"""What `jax_test` runs in a process of its own, with Keras on JAX and TensorFlow out of reach.

    python jax_process.py DIRECTORY

Loads DIRECTORY/network.keras, and its weights from DIRECTORY/network.weights.h5 into a new network;
writes both networks' outputs for DIRECTORY/inputs.npz, losses of some training steps on it, and the
weights after them, to DIRECTORY/outputs.npz and DIRECTORY/trained.weights.h5.
"""

import os
import pathlib
import sys


def main(directory: pathlib.Path) -> None:
    """See the module's docstring."""
    os.environ["KERAS_BACKEND"] = "jax"
    # An import of TensorFlow fails as it does where it is not installed.
    sys.modules["tensorflow"] = None

    import keras
    import numpy as np

    from ds2_tf.models.deep_speech_2 import DeepSpeech2
    from ds2_tf.training.loss import CTCLoss

    assert keras.config.backend() == "jax"
    with np.load(directory / "inputs.npz") as saved:
        inputs = {key: saved[key] for key in ("spectrogram", "num_frames")}
        labels = saved["labels"]
    whole = keras.saving.load_model(directory / "network.keras")
    network = DeepSpeech2(whole.config, whole.num_labels)
    network.load_weights(directory / "network.weights.h5")
    outputs = {
        "of_whole": np.asarray(whole(inputs)),
        "of_weights": np.asarray(network(inputs)),
    }
    network.compile(optimizer=keras.optimizers.SGD(0.001), loss=CTCLoss())
    history = network.fit(
        inputs, labels, batch_size=len(labels), epochs=3, shuffle=False, verbose=0
    )
    np.savez(directory / "outputs.npz", losses=history.history["loss"], **outputs)
    network.save_weights(directory / "trained.weights.h5")
    assert sys.modules["tensorflow"] is None


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
