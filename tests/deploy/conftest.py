# SPDX-License-Identifier: Apache-2.0
"""What deploy/ holds, read once."""

from __future__ import annotations

import pathlib

import pytest
import yaml

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="session")
def config_directory() -> pathlib.Path:
    """What both deployments mount as /config."""
    return DEPLOY / "config"


@pytest.fixture(scope="session")
def readme() -> str:
    return (DEPLOY / "README.md").read_text("utf-8")


@pytest.fixture(scope="session")
def compose_service() -> dict:
    """The one service of compose.yaml."""
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"].values()
    return service


@pytest.fixture(scope="session")
def kubernetes_directory() -> pathlib.Path:
    return DEPLOY / "kubernetes"


@pytest.fixture(scope="session")
def manifests(kubernetes_directory) -> dict[tuple[str, str], dict]:
    """Every object of every manifest by kind and name, the publisher's too."""
    objects = {}
    for path in sorted(kubernetes_directory.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text("utf-8")):
            if manifest["kind"] != "Kustomization":
                key = manifest["kind"], manifest["metadata"]["name"]
                assert key not in objects, key
                objects[key] = manifest
    return objects


@pytest.fixture(scope="session")
def deployment(manifests) -> dict:
    return manifests["Deployment", "ds2"]


@pytest.fixture(scope="session")
def pod(deployment) -> dict:
    """The specification of the served pods."""
    return deployment["spec"]["template"]["spec"]


@pytest.fixture(scope="session")
def container(pod) -> dict:
    (container,) = pod["containers"]
    return container
