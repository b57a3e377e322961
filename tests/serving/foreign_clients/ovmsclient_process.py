# SPDX-License-Identifier: Apache-2.0
"""What ovmsclient hears from a server, as JSON: run in an environment of its own."""

import json
import sys

import numpy as np
import ovmsclient


def main() -> None:
    """Arguments: "grpc" or "http", and the address."""
    make = {"grpc": ovmsclient.make_grpc_client, "http": ovmsclient.make_http_client}[sys.argv[1]]
    client = make(sys.argv[2])
    samples = np.full((2, 1600), 0.5, np.float32)
    # Without a version it asks for version 0, which TensorFlow Serving takes at its word.
    inputs = {"samples": samples, "num_samples": np.array([1600, 800], np.int32)}
    outputs = client.predict(inputs, "ds2", model_version=4)
    errors = []
    for call in (
        lambda: client.predict({"samples": samples}, "ds2", model_version=4),
        lambda: client.get_model_status("nobody"),
    ):
        try:
            call()
        except Exception as error:
            errors.append(type(error).__name__)
    status = client.get_model_status("ds2", model_version=4)
    metadata = client.get_model_metadata("ds2", model_version=4)
    if "inputs" not in metadata:
        # Over HTTP it knows OpenVINO's names, and hands TensorFlow Serving's JSON on as it is.
        raw = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
        metadata = {
            kind: {
                name: {"shape": [int(dim["size"]) for dim in info["tensor_shape"]["dim"]]}
                for name, info in raw[kind].items()
            }
            for kind in ("inputs", "outputs")
        }
    print(
        json.dumps(
            {
                "num_frames": np.asarray(outputs["num_frames"]).tolist(),
                "log_probs": [
                    list(np.shape(outputs["log_probs"])),
                    float(np.asarray(outputs["log_probs"])[0, 2, 3]),
                ],
                "status": {str(version): of["state"] for version, of in status.items()},
                "inputs": {name: of["shape"] for name, of in metadata["inputs"].items()},
                "outputs": sorted(metadata["outputs"]),
                "errors": errors,
            }
        )
    )


main()
