# SPDX-License-Identifier: Apache-2.0
"""What TFX is told in a container of open-source Kubeflow Pipelines."""

from __future__ import annotations

import copy

import pytest

from ds2_tf.errors import UserError
from pipeline.kubeflow.entrypoint import for_tfx
from pipeline.kubeflow.uris import ROOT_VARIABLE, local_path

_MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
_INTERFACE = {
    "artifacts": {"model": {"artifactType": _MODEL}, "baseline_model": {"artifactType": _MODEL}}
}


def _input(**baseline_metadata) -> dict:
    # Inputs as KFP's driver writes them: a number for a name, and no type.
    return {
        "inputs": {
            "artifacts": {
                "model": {"artifacts": [{"name": "7", "uri": "minio://b/model", "metadata": {}}]},
                "baseline_model": {
                    "artifacts": [
                        {"name": "8", "uri": "minio://b/base", "metadata": baseline_metadata}
                    ]
                },
            },
            "parameterValues": {"recipe": "{}"},
        },
        "outputs": {
            "artifacts": {
                "blessing": {"artifacts": [{"uri": "gs://c/blessing", "type": {"x": "y"}}]}
            },
            "outputFile": "/tmp/out.json",
        },
    }


def test_types_names_and_paths_are_filled_in():
    given = _input()
    translated = for_tfx(copy.deepcopy(given), _INTERFACE)
    assert translated["inputs"]["artifacts"]["model"]["artifacts"] == [
        {"name": "7", "uri": "/minio/b/model", "metadata": {}, "type": _MODEL}
    ]
    (blessing,) = translated["outputs"]["artifacts"]["blessing"]["artifacts"]
    assert blessing == {"name": "gs://c/blessing", "uri": "/gcs/c/blessing", "type": {"x": "y"}}
    assert translated["inputs"]["parameterValues"] == given["inputs"]["parameterValues"]
    assert translated["outputs"]["outputFile"] == given["outputs"]["outputFile"]


def test_a_stand_in_is_taken_away():
    translated = for_tfx(_input(absent=1.0), _INTERFACE)
    assert list(translated["inputs"]["artifacts"]) == ["model"]


def test_a_step_without_inputs():
    translated = for_tfx({"inputs": {}, "outputs": {"outputFile": "o"}}, {})
    assert translated == {"inputs": {"artifacts": {}}, "outputs": {"outputFile": "o"}}


@pytest.mark.parametrize("uri", ["/plain/path", "hdfs://host/path"])
def test_other_stores_are_named(uri):
    with pytest.raises(UserError, match="gs://, minio://, s3://"):
        local_path(uri)


def test_the_store_of_a_dry_run_lies_elsewhere(monkeypatch):
    assert local_path("s3://b/key") == "/s3/b/key"
    monkeypatch.setenv(ROOT_VARIABLE, "/here")
    assert local_path("s3://b/key") == "/here/s3/b/key"
