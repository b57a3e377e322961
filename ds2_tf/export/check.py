# SPDX-License-Identifier: Apache-2.0
"""Loads a SavedModel as TensorFlow Serving does and tries its signatures.

Run as `python -m ds2_tf.export.check DIR`, in a process of its own that has imported nothing but
TensorFlow: ops that another library registers would be missing on the server. If the model cannot
be served, prints the reasons and exits with status 1.
"""

from __future__ import annotations

import sys

import numpy as np

from ds2_tf.audio.wav import wav_bytes

SIGNATURES = {
    "serving_default": ({"samples", "num_samples"}, {"log_probs", "num_frames"}),
    "transcribe": ({"wav"}, {"text", "score", "num_frames", "sample_rate"}),
    "eval_examples": ({"examples"}, {"hypothesis", "log_probs", "num_frames"}),
}
_SAMPLE_RATE = 16000
_TOLERANCE = 1e-3


def problems(path: str) -> list[str]:
    """Everything that is wrong with a SavedModel, as sentences; empty for a good one.

    Args:
        path: the SavedModel's directory.
    """
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], path)
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
            return [f"it does not load: {error}"]
        found = _missing(meta_graph.signature_def)
        return found or _behavior(_caller(session, meta_graph.signature_def))


def _missing(signatures) -> list[str]:
    found = []
    for name, (inputs, outputs) in SIGNATURES.items():
        if name not in signatures:
            found.append(f"signature {name} is missing; found {sorted(signatures)}")
            continue
        for kind, expected, actual in (
            ("inputs", inputs, set(signatures[name].inputs)),
            ("outputs", outputs, set(signatures[name].outputs)),
        ):
            if expected != actual:
                found.append(f"{name} has {kind} {sorted(actual)}, expected {sorted(expected)}")
    return found


def _caller(session, signatures):
    def call(name, **inputs):
        signature = signatures[name]
        return session.run(
            {key: tensor.name for key, tensor in signature.outputs.items()},
            {signature.inputs[key].name: value for key, value in inputs.items()},
        )

    return call


def _behavior(call) -> list[str]:
    found = []
    generator = np.random.default_rng(0)
    noise = (0.1 * generator.standard_normal(_SAMPLE_RATE)).astype(np.float32)
    alone = call("serving_default", samples=noise[None], num_samples=[len(noise)])
    if not np.isfinite(alone["log_probs"]).all():
        found.append("serving_default gives scores that are no numbers")
    elif np.abs(np.exp(alone["log_probs"]).sum(-1) - 1).max() > _TOLERANCE:
        found.append("serving_default gives scores that are no log probabilities")
    batch = np.stack([np.pad(noise, (0, len(noise)), constant_values=1), np.tile(noise, 2)])
    padded = call("serving_default", samples=batch, num_samples=[len(noise), 2 * len(noise)])
    frames = int(alone["num_frames"][0])
    difference = np.abs(padded["log_probs"][0, :frames] - alone["log_probs"][0, :frames]).max()
    if padded["num_frames"][0] != frames or difference > _TOLERANCE:
        found.append(f"scores change by {difference:.2e} with the batch that a request came in")
    wavs = [wav_bytes(noise, _SAMPLE_RATE), b"not a WAV file", wav_bytes(noise, 44100)]
    rates = call("transcribe", wav=wavs)["sample_rate"].tolist()
    if rates != [_SAMPLE_RATE, 0, 44100]:
        found.append(f"transcribe read sample rates {rates}, expected [{_SAMPLE_RATE}, 0, 44100]")
    for name, inputs in (
        ("serving_default", {"samples": np.zeros((0, 0), np.float32), "num_samples": []}),
        ("transcribe", {"wav": np.zeros(0, object)}),
        ("eval_examples", {"examples": np.zeros(0, object)}),
    ):
        rows = {key: len(value) for key, value in call(name, **inputs).items()}
        if any(rows.values()):
            found.append(f"{name} gives rows for an empty batch: {rows}")
    return found


def main(arguments: list[str]) -> int:
    """Prints the problems of the SavedModel named by the only argument."""
    (path,) = arguments
    found = problems(path)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
