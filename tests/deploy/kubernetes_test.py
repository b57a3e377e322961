# SPDX-License-Identifier: Apache-2.0
"""The manifests: against the API's own schema, against each other, and against the server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
import yaml


def test_manifests_are_all_there(manifests):
    assert set(manifests) == {
        ("Deployment", "ds2"),
        ("Service", "ds2"),
        ("Service", "ds2-headless"),
        ("HorizontalPodAutoscaler", "ds2"),
        ("PersistentVolumeClaim", "ds2-models"),
        ("Pod", "ds2-publisher"),
    }


def schema_errors(value, kind: str, path: str) -> list[str]:
    """Fields of `value` that the Kubernetes client's models do not know, or know otherwise."""
    models = pytest.importorskip("kubernetes.client.models")
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{path}: not a list"]
        return [
            error
            for index, item in enumerate(value)
            for error in schema_errors(item, listed[1], f"{path}[{index}]")
        ]
    if mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        if not isinstance(value, dict):
            return [f"{path}: not a mapping"]
        return [
            error
            for key, item in value.items()
            for error in schema_errors(item, mapped[1], f"{path}.{key}")
        ]
    scalars = {"str": str, "int": int, "bool": bool, "object": object}
    if kind in scalars:
        right = isinstance(value, scalars[kind]) and (kind != "int" or value is not True)
        return [] if right else [f"{path}: {value!r} is no {kind}"]
    model = getattr(models, kind)
    if not isinstance(value, dict):
        return [f"{path}: not a {kind}"]
    attributes = {field: attribute for attribute, field in model.attribute_map.items()}
    errors = [f"{path}.{field}: unknown" for field in value if field not in attributes]
    known = {field: item for field, item in value.items() if field in attributes}
    try:
        model(**{attributes[field]: item for field, item in known.items()})
    except ValueError as error:  # a required field is missing
        errors.append(f"{path}: {error}")
    for field, item in known.items():
        errors += schema_errors(item, model.openapi_types[attributes[field]], f"{path}.{field}")
    return errors


MODELS = {
    ("apps/v1", "Deployment"): "V1Deployment",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "V2HorizontalPodAutoscaler",
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("v1", "Pod"): "V1Pod",
    ("v1", "Service"): "V1Service",
}


def test_manifests_fit_the_schema_of_the_api(manifests):
    for (kind, name), manifest in manifests.items():
        model = MODELS[manifest["apiVersion"], kind]
        assert schema_errors(manifest, model, f"{kind} {name}") == []


def test_schema_finds_a_misspelled_a_mistyped_and_a_missing_field():
    wrong = {"spec": {"containers": [{"image": "a", "port": 1, "command": "sleep"}]}}
    found = " | ".join(schema_errors(wrong, "V1Pod", "Pod"))
    assert "containers[0].port: unknown" in found
    assert "containers[0].command: not a list" in found
    assert "`name`, must not be `None`" in found


def test_selectors_match_the_pods_and_only_them(manifests, deployment):
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    publisher = manifests["Pod", "ds2-publisher"]["metadata"].get("labels", {})
    for name in ("ds2", "ds2-headless"):
        selector = manifests["Service", name]["spec"]["selector"]
        assert selector.items() <= labels.items()
        assert not selector.items() <= publisher.items()


def test_ports_exist(manifests, container, deployment):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {f"--port={ports['grpc']}", f"--rest_api_port={ports['http']}"} <= set(container["args"])
    for name in ("ds2", "ds2-headless"):
        for port in manifests["Service", name]["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    # Probes over gRPC cannot name a port.
    assert container["livenessProbe"]["grpc"]["port"] == ports["grpc"]
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["http"])


def test_probes_ask_what_the_server_answers(container):
    from serving.health import HealthService

    assert container["livenessProbe"]["grpc"]["service"] in HealthService.services
    assert "--enable_grpc_healthcheck_service=true" in container["args"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/v1/models/ds2"


def test_mounts_have_volumes_and_volumes_have_sources(manifests, pod, container, config_directory):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert mounts["config"] == "/config" and mounts["models"] == "/models"
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert ("PersistentVolumeClaim", claim) in manifests
    publisher = manifests["Pod", "ds2-publisher"]["spec"]
    assert publisher["volumes"] == [volumes["models"]]
    config = yaml.safe_load((config_directory / "kustomization.yaml").read_text("utf-8"))
    (generator,) = config["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generator["name"]
    flags = re.findall(r"=/config/(\S+)", " ".join(container["args"]))
    assert sorted(flags) == sorted(generator["files"])
    assert all((config_directory / file).is_file() for file in generator["files"])


def test_autoscaler_aims_at_the_deployment(manifests, deployment, container):
    spec = manifests["HorizontalPodAutoscaler", "ds2"]["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert spec["minReplicas"] <= spec["maxReplicas"]
    assert "replicas" not in deployment["spec"]
    # A share of the CPU is a share of what is requested.
    assert spec["metrics"][0]["resource"]["name"] in container["resources"]["requests"]


def test_both_deployments_run_the_same(container, compose_service):
    assert container["args"] == compose_service["command"]
    assert container["command"] == compose_service["entrypoint"]
    assert container["image"] == compose_service["image"] == "tensorflow/serving:2.16.1"


def test_threads_fit_the_cores(container, compose_service):
    cores = container["resources"]["requests"]["cpu"]
    assert f"--tensorflow_session_parallelism={cores}" in container["args"]
    assert str(compose_service["cpus"]) == cores


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, but no cluster")
def test_kustomize_renders_everything_with_the_files_as_they_are(
    kubernetes_directory, config_directory, manifests
):
    rendered = subprocess.run(
        ["kubectl", "kustomize", str(kubernetes_directory)],
        env={**os.environ, "KUBECONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    objects = {
        (item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(rendered)
    }
    (name,) = [name for kind, name in objects if kind == "ConfigMap"]
    assert re.fullmatch(r"ds2-config-\w+", name)
    content = objects["ConfigMap", name]["data"]
    assert content == {
        path.name: path.read_text("utf-8") for path in config_directory.glob("*.config")
    }
    volumes = objects["Deployment", "ds2"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "config", "configMap": {"name": name}} in volumes
    assert set(objects) - {("ConfigMap", name)} == set(manifests) - {("Pod", "ds2-publisher")}
    for (kind, _), item in objects.items():
        assert schema_errors(item, MODELS[item["apiVersion"], kind], kind) == []
