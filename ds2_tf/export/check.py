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
    "model_info": ({"query"}, {"labels", "sample_rate", "frame_samples"}),
}
# A model for streams has all of these, any other none.
STREAMING_SIGNATURES = {
    "stream_step": (
        {"samples", "num_samples", "state"},
        {"log_probs", "skip", "num_frames", "next_state"},
    ),
    "stream_finish": ({"state"}, {"log_probs", "skip"}),
    "stream_info": ({"query"}, {"labels", "sample_rate", "frame_samples", "lookahead_frames"}),
}
_SAMPLE_RATE = 16000
# Neither of hops nor of frames a whole number.
_CHUNK = 1717
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
        signatures = meta_graph.signature_def
        streams = any(name in signatures for name in STREAMING_SIGNATURES)
        expected = SIGNATURES | STREAMING_SIGNATURES if streams else SIGNATURES
        found = _missing(signatures, expected)
        if found:
            return found
        call = _caller(session, signatures)
        found = _behavior(call)
        if streams:
            found += _streaming_behavior(call, signatures["stream_step"].inputs["state"])
        return found


def _missing(signatures, expected_signatures) -> list[str]:
    found = []
    for name, (inputs, outputs) in expected_signatures.items():
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
    noise = _noise()
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
    claimed = call("serving_default", samples=noise[None], num_samples=[10 * len(noise)])
    if claimed["num_frames"][0] != frames:
        found.append(
            f"serving_default gives {claimed['num_frames'][0]} frames for audio of {frames} when "
            "num_samples exceeds it"
        )
    found += _wrong_labels("model_info", call, alone["log_probs"].shape[-1])
    for name, inputs in (
        ("serving_default", {"samples": np.zeros((0, 0), np.float32), "num_samples": []}),
        ("transcribe", {"wav": np.zeros(0, object)}),
        ("eval_examples", {"examples": np.zeros(0, object)}),
        ("model_info", {"query": []}),
    ):
        rows = {key: len(value) for key, value in call(name, **inputs).items()}
        if any(rows.values()):
            found.append(f"{name} gives rows for an empty batch: {rows}")
    return found


def _streaming_behavior(call, state_info) -> list[str]:
    """Streams noise beside another row, in chunks, and compares with the whole utterance."""
    sizes = [dim.size for dim in state_info.tensor_shape.dim]
    if len(sizes) != 2 or sizes[1] < 1:
        return [f"the state of stream_step has shape {sizes}: clients cannot know its size"]
    noise, pieces = _noise(), []
    state = np.zeros((2, sizes[1]), np.float32)
    for start in range(0, len(noise), _CHUNK):
        samples = np.full((2, _CHUNK), np.nan, np.float32)
        piece = noise[start : start + _CHUNK]
        samples[0, : len(piece)] = piece
        samples[1, : start % 1000] = 1.0
        told = call(
            "stream_step", samples=samples, num_samples=[len(piece), start % 1000], state=state
        )
        state = told["next_state"]
        pieces.append(told["log_probs"][0, told["skip"][0] : told["num_frames"][0]])
    told = call("stream_finish", state=state)
    pieces.append(told["log_probs"][0, told["skip"][0] :])
    whole = call("serving_default", samples=noise[None], num_samples=[len(noise)])["log_probs"][0]
    streamed, found = np.concatenate(pieces), []
    if streamed.shape != whole.shape:
        found.append(f"a stream gives {len(streamed)} frames, the whole utterance {len(whole)}")
    elif not np.abs(streamed - whole).max() < _TOLERANCE:
        found.append(
            f"a stream's scores differ by {np.abs(streamed - whole).max():.2e} from those of the "
            "whole utterance"
        )
    rows = call(
        "stream_step",
        samples=np.zeros((0, 0), np.float32),
        num_samples=[],
        state=np.zeros((0, sizes[1]), np.float32),
    )
    if any(len(value) for value in rows.values()):
        found.append("stream_step gives rows for an empty batch")
    return found + _wrong_labels("stream_info", call, whole.shape[1])


def _wrong_labels(name, call, expected: int) -> list[str]:
    labels = call(name, query=[0])["labels"][0].tolist()
    if labels[0] != b"" or not len(labels) == len(set(labels)) == expected:
        return [f"{name} names the labels {labels}, expected a blank first and {expected} in all"]
    return []


def _noise():
    generator = np.random.default_rng(0)
    return (0.1 * generator.standard_normal(_SAMPLE_RATE)).astype(np.float32)


def main(arguments: list[str]) -> int:
    """Prints the problems of the SavedModel named by the only argument."""
    (path,) = arguments
    found = problems(path)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
