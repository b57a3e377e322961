# SPDX-License-Identifier: Apache-2.0
"""What min-tfs-client hears from a server, as JSON: run in an environment of its own."""

import json
import sys

import numpy as np
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray


def main() -> None:
    """Argument: gRPC address."""
    host, port = sys.argv[1].rsplit(":", 1)
    client = TensorServingClient(host=host, port=int(port))
    samples = np.full((2, 1600), 0.5, np.float32)
    inputs = {"samples": samples, "num_samples": np.array([1600, 800], np.int32)}
    # It knows of no signatures: serving_default is all it can ask for.
    response = client.predict_request("ds2", inputs, model_version=4)
    outputs = {name: tensor_proto_to_ndarray(proto) for name, proto in response.outputs.items()}
    errors = []
    for name, bad in (("ds2", {"wav": np.array(["text"])}), ("nobody", inputs)):
        try:
            client.predict_request(name, bad)
        except Exception as error:
            errors.append([error.code().name, error.details()])
    scores = outputs["log_probs"]
    print(
        json.dumps(
            {
                "version": response.model_spec.version.value,
                "num_frames": outputs["num_frames"].tolist(),
                "log_probs": [
                    list(scores.shape),
                    float(scores[0, 2, 3]),
                ],
                "errors": errors,
            }
        )
    )


main()
