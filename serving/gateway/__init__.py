# SPDX-License-Identifier: Apache-2.0
"""A web page that hears the microphone: WebSocket in, gRPC out to a model server."""
