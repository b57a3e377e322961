# SPDX-License-Identifier: Apache-2.0
"""CorpusFingerprint: what the manifests and their recordings hold, as one hash.

For orchestrators whose cache sees nothing but parameters: this step is never cached, takes seconds
where little changed, and hands its finding to AudioExampleGen as a parameter.
"""

import json
from typing import TypedDict

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.component.experimental.decorators import component

from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.sources import ManifestSource, corpus_fingerprint, expand_manifests


@component
def CorpusFingerprint(manifests: Parameter[str], memory: Parameter[str]) -> TypedDict(
    "Fingerprint", {"fingerprint": str}
):
    """Reads what has changed since it last looked.

    Args:
        manifests: JSON list of [path or file pattern, split].
        memory: a file in which hashes are kept from run to run.

    Returns:
        The `fingerprint`.
    """
    sources = expand_manifests(ManifestSource(*source) for source in json.loads(manifests))
    hashes = ContentHashes(memory)
    fingerprint = corpus_fingerprint(sources, hashes)
    hashes.save()
    return {"fingerprint": fingerprint}
