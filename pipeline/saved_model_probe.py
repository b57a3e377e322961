# SPDX-License-Identifier: Apache-2.0
"""Runs recordings through a SavedModel as a server would: `python -m pipeline.saved_model_probe`.

It runs in a process of its own, which knows none of the operations and classes that the process
that exported the model has registered, and loads with the session loader, which refuses models that
`tf.saved_model.load` accepts. `ds2_tf.export.check` has seen to the signatures themselves.

Arguments: the SavedModel's directory, then 16-bit mono WAV files. Prints a `ProbeResult` as JSON.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
import wave
from collections.abc import Mapping, Sequence

import numpy as np

# Scores add up over hundreds of frames in float32.
_TOLERANCE_PER_FRAME = 1e-3


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What a probe found.

    Attributes:
        transcripts: by recording.
        problems: in words; none where the model can be served.
    """

    transcripts: dict[str, str]
    problems: list[str]


def probe_in_clean_process(saved_model: str, recordings: Mapping[str, str]) -> ProbeResult:
    """Runs this module in a new process.

    Args:
        saved_model: directory of the SavedModel.
        recordings: 16-bit mono WAV files, by name.
    """
    process = subprocess.run(
        [sys.executable, "-m", __name__, saved_model, json.dumps(dict(recordings))],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        last_lines = "\n".join(process.stderr.strip().splitlines()[-5:])
        return ProbeResult({}, [f"the probe ended with status {process.returncode}: {last_lines}"])
    return ProbeResult(**json.loads(process.stdout.splitlines()[-1]))


def probe(saved_model: str, recordings: Mapping[str, str]) -> ProbeResult:
    """Transcribes recordings alone, all in one batch, and from samples, and compares the scores.

    Args:
        saved_model: directory of the SavedModel.
        recordings: 16-bit mono WAV files, by name.
    """
    import tensorflow as tf

    transcripts, problems = {}, []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], saved_model).signature_def

        def call(name: str, **inputs) -> dict[str, np.ndarray]:
            signature = signatures[name]
            return session.run(
                {key: tensor.name for key, tensor in signature.outputs.items()},
                {signature.inputs[key].name: value for key, value in inputs.items()},
            )

        files = [pathlib.Path(path).read_bytes() for path in recordings.values()]
        batch = call("transcribe", wav=files)
        for i, (name, file) in enumerate(zip(recordings, files)):
            alone = call("transcribe", wav=[file])
            samples, sample_rate = _decode_wav(file)
            scored = call("serving_default", samples=[samples], num_samples=[len(samples)])
            transcripts[name] = alone["text"][0].decode("utf-8")
            frames, score = int(alone["num_frames"][0]), float(alone["score"][0])
            from_samples = float(scored["log_probs"][0, :frames].max(axis=-1).sum())
            found = {
                "in a batch": (int(batch["num_frames"][i]), float(batch["score"][i])),
                "from samples": (int(scored["num_frames"][0]), from_samples),
            }
            for how, (other_frames, other_score) in found.items():
                close = abs(other_score - score) <= _TOLERANCE_PER_FRAME * max(frames, 1)
                if other_frames != frames or not close:
                    problems.append(
                        f"{name} scores {score:.4f} over {frames} frames alone, and "
                        f"{other_score:.4f} over {other_frames} {how}"
                    )
            if alone["sample_rate"][0] != sample_rate:
                problems.append(
                    f"{name} has {sample_rate} Hz, and was read at {alone['sample_rate'][0]} Hz"
                )
    return ProbeResult(transcripts, problems)


def _decode_wav(file: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(file), "rb") as reader:
        integers = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        return integers.astype(np.float32) / 32768, reader.getframerate()


def main(arguments: Sequence[str]) -> None:
    """Probes the SavedModel and the recordings that the two arguments name."""
    saved_model, recordings = arguments
    print(json.dumps(dataclasses.asdict(probe(saved_model, json.loads(recordings)))))


if __name__ == "__main__":
    main(sys.argv[1:])
