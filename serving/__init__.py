# SPDX-License-Identifier: Apache-2.0
"""Serving Deep Speech 2: a client, and a model server that speaks TensorFlow Serving's API.

The production server is `tensorflow_model_server`. The server in this package answers the same
gRPC and REST calls with the same results, codes and texts, for machines that lack that binary;
`serving.client.Client` works with both. This module imports nothing, so that the command line
stays fast.
"""
