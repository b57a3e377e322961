# SPDX-License-Identifier: Apache-2.0
"""RecordSchema: what TFX is to expect of the records.

TFX's ImportSchemaGen is given a path: a schema that changed under it would be served from the
cache, and a path of the machine that compiles a pipeline means nothing in a container.
"""

import os

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts


@component
def RecordSchema(schema: OutputArtifact[standard_artifacts.Schema], text: Parameter[str]):
    """Writes the schema.

    Args:
        schema: gets `schema.pbtxt`.
        text: its content.
    """
    with open(os.path.join(schema.uri, "schema.pbtxt"), "w", encoding="utf-8") as file:
        file.write(text)
