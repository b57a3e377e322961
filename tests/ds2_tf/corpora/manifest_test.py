# SPDX-License-Identifier: Apache-2.0
"""The manifest: round trips, and lines that are not utterances."""

import dataclasses
import itertools
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_tf.corpora import manifest
from ds2_tf.corpora.manifest import (
    FIELDS,
    EmptyManifest,
    ManifestError,
    Utterance,
    manifest_lines,
    parse_utterance,
    read_manifest,
    require_splits,
    resolve_audio,
    split_order,
    write_manifest,
)
from ds2_tf.errors import UserError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
utterances = st.builds(
    Utterance,
    id=st.text(min_size=1),
    audio=st.text(),
    transcript=st.text(),
    duration=st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False),
    speaker=st.none() | st.text(),
    split=st.none() | st.text(),
    extra=st.dictionaries(st.text().filter(lambda name: name not in FIELDS), json_values),
)

GOOD = '{"id": "a", "audio": "a.wav", "transcript": "hello"}'


@given(st.lists(utterances, max_size=5))
def test_round_trip(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("manifest") / "manifest.jsonl"
    write_manifest(path, written)
    assert list(read_manifest(path)) == written
    # Line by line it is what any JSON reader sees, and nothing unknown is written out.
    lines = path.read_text("utf-8").split("\n")
    assert lines.pop() == ""
    for line, utterance in zip(lines, written, strict=True):
        fields = json.loads(line)
        assert fields.pop("id") == utterance.id
        assert ("speaker" in fields) == (utterance.speaker is not None)
        assert None not in (fields.get(name, "") for name in FIELDS)


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"\n{GOOD}\n\n  \n".encode())
    assert [utterance.id for utterance in read_manifest(path)] == ["a"]


@pytest.mark.parametrize(
    "line, problem",
    [
        ("hello", "not JSON"),
        (GOOD[:-1], "not JSON"),
        ("[1, 2]", "expected a JSON object, got list"),
        ("[" * 100_000, "nested too deeply"),
        ('{"id": "a", "audio": "a.wav"}', "lacks transcript; found id, audio"),
        ("{}", "lacks id, audio, transcript; found nothing"),
        (GOOD.replace('"a"', '""'), "id is empty"),
        (GOOD.replace('"a"', "7"), "id must be text, got 7"),
        (GOOD.replace('"hello"', "null"), "transcript must be text, got null"),
        (GOOD[:-1] + ', "speaker": 12}', "speaker must be text, got 12"),
        (GOOD[:-1] + ', "split": ["käse"]}', 'split must be text, got ["käse"]'),
        (GOOD[:-1] + ', "duration": "1.5"}', 'duration must be a number of seconds, got "1.5"'),
        (GOOD[:-1] + ', "duration": true}', "duration must be a number of seconds, got true"),
        (GOOD[:-1] + ', "duration": NaN}', "duration must be a number of seconds, got NaN"),
        (GOOD[:-1] + ', "duration": -1}', "duration must be a number of seconds, got -1"),
        (GOOD[:-1] + ', "note": "\\ud800"}', "not UTF-8"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path, line, problem):
    path = tmp_path / "manifest.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n", "utf-8")
    with pytest.raises(ManifestError) as caught:
        list(read_manifest(path))
    assert caught.value.line_number == 3
    assert problem in caught.value.problem
    assert str(path) in str(caught.value)


def test_null_is_what_is_not_known(tmp_path):
    path = tmp_path / "manifest.jsonl"
    nulls = ', "duration": null, "speaker": null, "split": null, "note": null}'
    path.write_text(f"{GOOD[:-1]}{nulls}\n", "utf-8")
    (utterance,) = read_manifest(path)
    known = dataclasses.asdict(parse_utterance(GOOD))
    assert dataclasses.asdict(utterance) == {**known, "extra": {"note": None}}
    assert json.loads(utterance.to_json()).keys() == {"id", "audio", "transcript", "note"}


class TestRequireSplits:
    @pytest.fixture
    def write(self, tmp_path):
        def write(name, *splits):
            write_manifest(
                tmp_path / name,
                [Utterance(str(n), "a.wav", "a", split=split) for n, split in enumerate(splits)],
            )
            return tmp_path / name

        return write

    def test_splits_that_are_there(self, write):
        path = write("a.jsonl", "dev", "train", "dev")
        require_splits(["dev"], path)
        require_splits(["train", "dev"], path)
        require_splits(["train", "test"], path, write("b.jsonl", "test"))

    def test_a_misspelled_name_is_answered_with_those_there_are(self, write):
        path = write("a.jsonl", "dev", "train", None)
        with pytest.raises(UserError, match=r"a.jsonl has no split 'trian'; found \['dev', 'tr"):
            require_splits(["dev", "trian"], path)
        with pytest.raises(UserError, match=r"a.jsonl, .*b.jsonl have no split 'x'; found \['d"):
            require_splits(["x"], path, write("b.jsonl", "test"))
        with pytest.raises(UserError, match="no split 'dev'; no utterance is assigned to a split"):
            require_splits(["dev"], write("none.jsonl", None))

    def test_an_empty_manifest(self, write):
        with pytest.raises(EmptyManifest, match="a.jsonl is empty"):
            require_splits(["dev"], write("a.jsonl"))

    def test_no_more_is_read_than_needed(self, write):
        path = write("a.jsonl", "dev", "train")
        with path.open("ab") as file:
            file.write(b"x" * 10 + b"\n")
        lines = []

        def counted(path):
            for line in manifest_lines(path):
                lines.append(line)
                yield line

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(manifest, "manifest_lines", counted)
            require_splits(["dev"], path)
        assert len(lines) == 1

    def test_malformed_lines_are_left_to_others(self, write):
        path = write("a.jsonl")
        path.write_text("broken\n")
        require_splits(["dev"], path)
        path.write_text(f"broken\n{GOOD}\n")
        with pytest.raises(UserError, match="no split 'dev'"):
            require_splits(["dev"], path)


def test_bytes_that_are_not_utf_8_are_a_malformed_line(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + GOOD.replace("hello", "h\xe9llo").encode("latin-1"))
    with pytest.raises(ManifestError, match="line 2: not UTF-8"):
        list(read_manifest(path))


def test_reading_is_lazy(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text(f"{GOOD}\nbroken\n", "utf-8")
    assert [utterance.id for utterance in itertools.islice(read_manifest(path), 1)] == ["a"]


def test_a_missing_manifest_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        list(read_manifest(tmp_path / "none.jsonl"))


def test_a_manifest_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "manifest.jsonl"

    def interrupted():
        yield parse_utterance(GOOD)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, interrupted())
    assert os.listdir(path.parent) == []


def test_audio_is_relative_to_the_manifest(tmp_path):
    relative = parse_utterance(GOOD)
    absolute = Utterance("b", str(tmp_path / "b.wav"), "hello")
    assert resolve_audio(relative, "corpus/manifest.jsonl") == os.path.join("corpus", "a.wav")
    assert resolve_audio(relative, "manifest.jsonl") == "a.wav"
    assert resolve_audio(absolute, "corpus/manifest.jsonl") == absolute.audio


def test_splits_come_in_their_usual_order():
    found = sorted(["other", "test", "dev", "another", "train"], key=split_order)
    assert found == ["train", "dev", "test", "another", "other"]
