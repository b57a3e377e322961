# SPDX-License-Identifier: Apache-2.0
"""CorpusFingerprint: what the manifests and their recordings hold, as one hash; and the splits.

For orchestrators whose cache sees nothing but parameters: this step is never cached, takes seconds
where little changed, and hands its finding to AudioExampleGen as a parameter.
"""

import json
from typing import TypedDict

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.component.experimental.decorators import component

from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.corpus_scan import require_splits, scan_corpus
from pipeline.ingestion.sources import ManifestSource, expand_manifests


@component
def CorpusFingerprint(
    manifests: Parameter[str],
    ingestion: Parameter[str],
    splits: Parameter[str],
    memory: Parameter[str],
) -> TypedDict("Fingerprint", {"fingerprint": str}):
    """Reads what has changed since it last looked.

    Args:
        manifests: JSON list of [path or file pattern, split].
        ingestion: an IngestionConfig as JSON, for the rule that divides utterances.
        splits: the splits that later steps use, as JSON: use -> name.
        memory: a file in which hashes are kept from run to run.

    Returns:
        The `fingerprint`.

    Raises:
        UserError: no utterance is in one of the splits.
    """
    sources = expand_manifests(ManifestSource(*source) for source in json.loads(manifests))
    config = IngestionConfig.from_json(ingestion)
    hashes = ContentHashes(memory)
    scan = scan_corpus(sources, config, hashes)
    hashes.save()
    require_splits(scan.splits, json.loads(splits), config.split_by)
    return {"fingerprint": scan.fingerprint}
