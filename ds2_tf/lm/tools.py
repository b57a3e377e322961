# SPDX-License-Identifier: Apache-2.0
"""KenLM's programs, which estimate language models."""

from __future__ import annotations

import os
import pathlib
import shutil

import ds2_tf
from ds2_tf.errors import UserError

# A directory that has the programs, before all others.
DIRECTORY_VARIABLE = "DS2_KENLM_BIN"


def kenlm_program(name: str) -> str:
    """The path of one of KenLM's programs, such as "lmplz".

    Looks in $DS2_KENLM_BIN, where scripts/build_kenlm.sh puts them, and on the PATH.

    Raises:
        UserError: it is in none of these.
    """
    checkout = pathlib.Path(ds2_tf.__file__).parent.parent
    places = [os.environ.get(DIRECTORY_VARIABLE), str(checkout / ".tools" / "kenlm" / "bin")]
    for place in (*places, None):
        program = shutil.which(name, path=place) if place else shutil.which(name)
        if program:
            return program
    raise UserError(
        f"KenLM's program {name} is missing. Run scripts/build_kenlm.sh, or name the directory "
        f"that has it in {DIRECTORY_VARIABLE}."
    )
