# SPDX-License-Identifier: Apache-2.0
"""The compiled spec, as the KFP SDK and a cluster would read it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from ds2_tf import cli
from ds2_tf.errors import UserError
from pipeline.configs import StepsConfig
from pipeline.kubeflow.compile import compile_pipeline, paths_outside_volumes, write_spec
from pipeline.kubeflow.config import KubeflowConfig, ResourcesConfig
from pipeline.language_model_config import LanguageModelConfig

_STEPS = {
    "CorpusFingerprint",
    "AudioExampleGen",
    "StatisticsGen",
    "RecordSchema",
    "ExampleValidator",
    "AnomalyGate",
    "CorpusStatistics",
    "Trainer",
    "LastPushedVersion",
    "PushedBaseline",
    "Evaluator",
    "EvaluationReport",
    "SavedModelCheck",
    "ModelPusher",
}


@pytest.fixture
def documents(config) -> list[dict]:
    return compile_pipeline(config)


def _container(spec: dict, step: str) -> dict:
    label = spec["components"][step]["executorLabel"]
    return spec["deploymentSpec"]["executors"][label]["container"]


def test_kfp_loads_it_with_its_parameter(configuration, tmp_path, capsys):
    output = tmp_path / "deep" / "spec.yaml"
    assert cli.main(["pipeline", "compile", str(configuration), "--output", str(output)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{output}: 14 steps for kubeflow\n"
    assert f"root is {tmp_path / 'run'}, which is on none of kubeflow.volumes" in printed.err
    loaded = components.load_component_from_file(str(output))
    assert loaded.name == "tiny"
    assert json.loads(loaded.component_spec.inputs["recipe"].default)["training"]["epochs"] == 1
    spec, platform = yaml.safe_load_all(output.read_text())
    # Fields that KFP does not know would raise.
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert loaded.platform_spec.platforms["kubernetes"]
    assert spec["root"]["dag"]["tasks"].keys() == _STEPS


def test_steps_wait_for_tasks_that_exist_and_values_come_from_them(documents):
    tasks = documents[0]["root"]["dag"]["tasks"]
    for task in tasks.values():
        assert set(task.get("dependentTasks", [])) <= _STEPS
    parameters = tasks["AudioExampleGen"]["inputs"]["parameters"]
    assert parameters["corpus_fingerprint"] == {
        "taskOutputParameter": {
            "producerTask": "CorpusFingerprint",
            "outputParameterKey": "fingerprint",
        }
    }
    version = tasks["PushedBaseline"]["inputs"]["parameters"]["version"]
    assert version["taskOutputParameter"]["producerTask"] == "LastPushedVersion"


def test_what_looks_at_the_world_is_not_cached(documents):
    tasks = documents[0]["root"]["dag"]["tasks"]
    uncached = {
        name
        for name, task in tasks.items()
        if not task.get("cachingOptions", {}).get("enableCache")
    }
    assert uncached == {"CorpusFingerprint", "LastPushedVersion", "ModelPusher"}


def test_steps_get_their_resources(documents):
    spec = documents[0]
    assert _container(spec, "Trainer")["resources"] == {
        "cpuLimit": 8.0,
        "cpuRequest": 8.0,
        "memoryLimit": 30.0,
        "memoryRequest": 30.0,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert _container(spec, "AudioExampleGen")["resources"]["cpuLimit"] == 4
    assert "accelerator" not in _container(spec, "Evaluator")["resources"]
    assert all(
        _container(spec, step)["image"] == "registry/ds2-tf:0.1.0"
        and _container(spec, step)["command"][:2] == ["python", "-m"]
        and spec["root"]["dag"]["tasks"][step]["retryPolicy"]["maxRetryCount"] == 2
        for step in _STEPS
    )
    assert spec["defaultPipelineRoot"] == "minio://speech/runs"


def test_kubernetes_mounts_volumes_and_chooses_nodes(documents):
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == documents[0]["deploymentSpec"]["executors"].keys()
    assert executors["AudioExampleGen_executor"] == {
        "pvcMount": [{"constant": "speech", "mountPath": "/speech"}]
    }
    assert executors["Trainer_executor"]["nodeSelector"] == {"labels": {"pool": "gpu"}}


def test_with_a_language_model(config):
    changed = dataclasses.replace(
        config,
        steps=StepsConfig(language_model=True),
        language_model=LanguageModelConfig(texts=("/speech/text.gz",)),
    )
    tasks = compile_pipeline(changed)[0]["root"]["dag"]["tasks"]
    assert tasks.keys() == _STEPS | {"LanguageModel", "DecoderTuner"}
    producers = {
        name: value["taskOutputArtifact"]["producerTask"]
        for name, value in tasks["Evaluator"]["inputs"]["artifacts"].items()
    }
    assert producers["decoder"] == "DecoderTuner"
    assert producers["baseline_model"] == producers["baseline_decoder"] == "PushedBaseline"


def test_the_corpus_need_not_be_here(config):
    elsewhere = dataclasses.replace(config, manifest="/speech/manifest.jsonl", root="/speech/run")
    spec = compile_pipeline(elsewhere)[0]
    parameters = spec["root"]["dag"]["tasks"]["CorpusFingerprint"]["inputs"]["parameters"]
    values = {name: value["runtimeValue"]["constant"] for name, value in parameters.items()}
    assert json.loads(values.pop("ingestion"))["split_by"] == "column"
    assert values == {
        "manifests": '[["/speech/manifest.jsonl", null]]',
        "splits": '{"train": "train", "dev": "dev", "evaluation": "dev"}',
        "memory": "/speech/run/work/ingestion/hashes.tsv",
    }


def test_paths_that_no_volume_holds_are_named(config):
    on_volumes = dataclasses.replace(
        config, manifest="/speech/m.jsonl", root="/speech/run", serving="/speechless/models"
    )
    assert paths_outside_volumes(on_volumes) == {"serving": "/speechless/models"}
    texts = LanguageModelConfig(texts=("/speech/a.txt", "/elsewhere/b.txt"))
    with_texts = dataclasses.replace(
        on_volumes, steps=StepsConfig(language_model=True), language_model=texts
    )
    assert paths_outside_volumes(with_texts) == {
        "serving": "/speechless/models",
        "language_model.texts[1]": "/elsewhere/b.txt",
    }


def test_vertex_gets_a_job_with_tfx_commands(config, tmp_path):
    (job,) = compile_pipeline(config, "vertex")
    assert job["runtimeConfig"]["gcsOutputDirectory"] == config.root
    container = _container(job["pipelineSpec"], "AudioExampleGen")
    assert container["command"][-1].startswith("tfx.orchestration")
    assert container["resources"]["cpuLimit"] == 4
    assert "preCacheCheck" in container["lifecycle"]
    write_spec([job], tmp_path / "job.json")
    assert json.loads((tmp_path / "job.json").read_text()) == job


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"kubeflow": None}, "needs a key kubeflow"),
        ({"name": "Tiny_pipeline"}, "lower-case letters.*'Tiny_pipeline'"),
        (
            {"kubeflow": KubeflowConfig("i", resources={"Trayner": ResourcesConfig()})},
            "names Trayner; the steps .*Trainer",
        ),
    ],
)
def test_what_cannot_be_compiled_is_explained(config, changes, problem):
    with pytest.raises(UserError, match=problem):
        compile_pipeline(dataclasses.replace(config, **changes))


def test_json_has_no_room_for_volumes(documents, tmp_path):
    with pytest.raises(UserError, match="name spec.yaml instead of spec.json"):
        write_spec(documents, tmp_path / "spec.json")
    write_spec(documents[:1], tmp_path / "spec.json")
    assert json.loads(pathlib.Path(tmp_path / "spec.json").read_text()) == documents[0]


def test_impossible_resources_are_an_error():
    with pytest.raises(UserError, match="cpu: 0"):
        ResourcesConfig(cpu=0)
