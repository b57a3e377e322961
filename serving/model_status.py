# SPDX-License-Identifier: Apache-2.0
"""What GetModelStatus answers: the state of each version, past ones included."""

from __future__ import annotations

from tensorflow_serving.apis import get_model_status_pb2, status_pb2

from serving import errors
from serving.core import ServerCore
from serving.errors import ServingError
from serving.states import VersionState


def model_status(
    core: ServerCore, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """The state of the named version, or of all versions of the model, the highest first.

    Raises:
        ServingError: no model_spec, an unknown label, or nothing known of what was asked for.
    """
    if not request.HasField("model_spec"):
        raise errors.invalid_argument("Missing ModelSpec")
    name = request.model_spec.name
    version = core.requested_version(request.model_spec)
    response = get_model_status_pb2.GetModelStatusResponse()
    if version is None:
        states = core.monitor.version_states(name)
        if not states:
            raise errors.not_found(f"Could not find any versions of model {name}")
        for version, state in states.items():
            _add(response, version, state)
    else:
        state = core.monitor.version_state(name, version)
        if state is None:
            raise errors.not_found(f"Could not find version {version} of model {name}")
        _add(response, version, state)
    return response


def status_proto(error: ServingError | None) -> status_pb2.StatusProto:
    """An error, or None for success, as the message that replies carry."""
    proto = status_pb2.StatusProto()
    if error:
        proto.error_code = error.code.value[0]
        proto.error_message = error.message
    return proto


def _add(
    response: get_model_status_pb2.GetModelStatusResponse, version: int, state: VersionState
) -> None:
    entry = response.model_version_status.add(version=version, state=int(state.state))
    entry.status.CopyFrom(status_proto(state.error))
    entry.status.SetInParent()
