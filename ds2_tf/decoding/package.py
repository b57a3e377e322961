# SPDX-License-Identifier: Apache-2.0
"""The decoder package: everything that decoding needs besides the network, in one file.

A zip archive without compression, so that the language model is read in place:

decoder.json     format version, alphabet, options of the search, checksums
lm.binary        the language model, KenLM's binary format
vocabulary.txt   the known words, a line each, where they are not those of the language model
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import struct
import zipfile
from collections.abc import Iterable, Mapping

from ds2_tf.config import from_dict
from ds2_tf.decoding.beam_search import BeamOptions, BeamSearch
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

FORMAT_VERSION = 1
_DESCRIPTION, _MODEL, _VOCABULARY = "decoder.json", "lm.binary", "vocabulary.txt"


@dataclasses.dataclass(frozen=True)
class DecoderPackage:
    """An opened package.

    Attributes:
        path: where it lies.
        alphabet: the labels of the network that it decodes.
        options: of the search.
        model: the language model.
        vocabulary: the known words; None for those of the language model.
    """

    path: str
    alphabet: Alphabet
    options: BeamOptions
    model: NgramModel
    vocabulary: tuple[str, ...] | None

    def search(
        self,
        *,
        alphabet: Alphabet | None = None,
        options: BeamOptions | None = None,
        hot_words: Mapping[str, float] | None = None,
    ) -> BeamSearch:
        """Makes the search.

        Args:
            alphabet: that of the network, to be checked against the package's. Defaults to the
                package's.
            options: others than the package's.
            hot_words: see `BeamSearch`.

        Raises:
            UserError: the package is for a network with another alphabet.
        """
        if alphabet is not None and alphabet != self.alphabet:
            raise UserError(
                f"The decoder package {self.path} is for "
                f"{self.alphabet.describe_mismatch(alphabet)}: make a package for this model with "
                "ds2 lm package."
            )
        return BeamSearch(
            self.alphabet,
            options or self.options,
            model=self.model,
            vocabulary=self.vocabulary,
            hot_words=hot_words,
        )


def write_package(
    path: str | os.PathLike,
    alphabet: Alphabet,
    options: BeamOptions,
    model: NgramModel,
    vocabulary: Iterable[str] | None = None,
) -> DecoderPackage:
    """Writes a package, which appears under its name only when it is whole.

    Args:
        path: the file; an existing one is replaced.
        alphabet: the labels of the network.
        options: of the search.
        model: the language model.
        vocabulary: the known words. Defaults to those of the language model.

    Returns:
        The package, opened.

    Raises:
        UserError: alphabet, language model, vocabulary and options do not belong together.
    """
    vocabulary = None if vocabulary is None else tuple(vocabulary)
    BeamSearch(alphabet, options, model=model, vocabulary=vocabulary)
    members = {_MODEL: model.data}
    if vocabulary is not None:
        members[_VOCABULARY] = "".join(word + "\n" for word in vocabulary).encode("utf-8")
    description = {
        "format_version": FORMAT_VERSION,
        "alphabet": alphabet.to_config(),
        "options": dataclasses.asdict(options),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    text = json.dumps(description, ensure_ascii=False, indent=1).encode("utf-8")
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, data in {_DESCRIPTION: text, **members}.items():
                # Without the time, so that the same content is the same file.
                archive.writestr(zipfile.ZipInfo(name), data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return load_package(path)


def load_package(path: str | os.PathLike) -> DecoderPackage:
    """Opens a package and checks all of it.

    Raises:
        UserError: it cannot be read, is no package, is cut short or damaged, or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if _DESCRIPTION not in members:
                raise UserError(f"{path} is not a decoder package: it has no {_DESCRIPTION}.")
            description = json.loads(archive.read(_DESCRIPTION))
            _check_version(path, description)
            for name, expected in description["sha256"].items():
                if name not in members:
                    raise UserError(f"The decoder package {path} lacks {name}.")
                digest = hashlib.sha256()
                with archive.open(name) as file:
                    while block := file.read(1 << 20):
                        digest.update(block)
                if digest.hexdigest() != expected:
                    raise UserError(
                        f"The decoder package {path} is damaged: the checksum of {name} is "
                        f"{digest.hexdigest()[:12]}..., it should be {expected[:12]}...."
                    )
            vocabulary = None
            if _VOCABULARY in description["sha256"]:
                vocabulary = tuple(archive.read(_VOCABULARY).decode("utf-8").splitlines())
            info = members[_MODEL]
            # The name and the extra field of the local header may differ from the directory's.
            archive.fp.seek(info.header_offset + 26)
            offset = info.header_offset + 30 + sum(struct.unpack("<HH", archive.fp.read(4)))
    except OSError as error:
        raise UserError(f"The decoder package {path} cannot be read: {error.strerror}.") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"{path} is not a decoder package, or is cut short or damaged: {error}. Copy it again, "
            "or make it with ds2 lm package."
        ) from error
    except (ValueError, KeyError) as error:
        raise UserError(f"The decoder package {path} is damaged: {error!r}.") from error
    return DecoderPackage(
        os.fspath(path),
        Alphabet(description["alphabet"]),
        from_dict(BeamOptions, description["options"], source=str(path)),
        NgramModel(path, offset, info.file_size),
        vocabulary,
    )


def _check_version(path, description) -> None:
    version = description.get("format_version") if isinstance(description, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"The decoder package {path} has format version {version}, this release reads version "
            f"{FORMAT_VERSION}."
        )
