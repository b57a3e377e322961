# SPDX-License-Identifier: Apache-2.0
"""Directories of recordings, with text files and with tables."""

import pytest

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.importers.directory import Columns, import_directory
from ds2_tf.corpora.manifest import read_manifest
from ds2_tf.errors import UserError


def run(root, tmp_path, **arguments):
    summary = import_directory(root, tmp_path / "m.jsonl", jobs=1, progress=False, **arguments)
    return summary, {u.id: u for u in read_manifest(tmp_path / "m.jsonl")}


@pytest.fixture
def spoken(tmp_path, write_wav):
    """Ten speakers with four recordings and text files each."""
    root = tmp_path / "spoken"
    for speaker in range(10):
        for number in range(4):
            path = write_wav(root / f"s{speaker}" / f"take{number}.wav")
            path.with_suffix(".txt").write_text(f"Take {number}, please!\n", "utf-8")
    return root


class TestTextFiles:
    def test_recordings_with_a_text_beside_them(self, spoken, tmp_path, write_wav):
        write_wav(spoken / "no_text.wav")
        (spoken / "no_audio.txt").write_text("nothing")
        summary, utterances = run(spoken, tmp_path)
        assert len(utterances) == 40
        assert utterances["s3/take2"].transcript == "take two please"
        assert utterances["s3/take2"].audio == "spoken/s3/take2.wav"
        assert utterances["s3/take2"].speaker is None
        assert summary.utterances == {"train": 36, "dev": 2, "test": 2}

    def test_folders_can_name_speakers_who_are_then_held_out_whole(self, spoken, tmp_path):
        summary, utterances = run(spoken, tmp_path, speaker_from_folder=True, test_share=0.2)
        assert utterances["s3/take2"].speaker == "s3"
        assert summary.speakers == {"train": 7, "dev": 1, "test": 2}
        assert summary.utterances == {"train": 28, "dev": 4, "test": 8}

    def test_transcripts_can_be_kept(self, spoken, tmp_path):
        _, utterances = run(spoken, tmp_path, language="none")
        assert utterances["s0/take1"].transcript == "Take 1, please!"

    def test_headerless_recordings(self, tmp_path):
        root = tmp_path / "raw"
        root.mkdir()
        (root / "a.raw").write_bytes(b"\1\2" * 4000)
        (root / "a.txt").write_text("yes")
        _, utterances = run(root, tmp_path, raw=RawFormat(8000), dev_share=0, test_share=0)
        assert utterances["a"].duration == 0.5 and utterances["a"].split == "train"

    def test_nothing_found(self, tmp_path):
        with pytest.raises(UserError, match="holds no recording .*txt"):
            run(tmp_path, tmp_path)

    def test_text_that_is_not_utf_8(self, spoken, tmp_path):
        (spoken / "s0" / "take0.txt").write_bytes("häst".encode("latin-1"))
        with pytest.raises(UserError, match="take0.txt is not UTF-8"):
            run(spoken, tmp_path)


class TestTables:
    def test_csv_with_quotes_and_further_columns(self, spoken, tmp_path):
        table = tmp_path / "table.csv"
        table.write_text(
            "audio,transcript,speaker,split,age,duration\n"
            's1/take0.wav,"One, ""two""",anna,train,41,99\n'
            "s1/take1.wav,three,ben,dev,,\n",
            "utf-8-sig",
        )
        summary, utterances = run(spoken, tmp_path, table=table)
        first = utterances["s1/take0"]
        assert first.transcript == "one two"
        assert (first.speaker, first.split) == ("anna", "train")
        assert first.extra == {"age": "41"}
        assert first.duration == 1.0
        assert summary.utterances == {"train": 1, "dev": 1}

    def test_tsv_with_other_names_and_bare_quotes(self, spoken, tmp_path):
        table = tmp_path / "validated.tsv"
        table.write_text('client_id\tpath\tsentence\nx1\ts1/take0.wav\t"Hello" he said\n', "utf-8")
        columns = Columns(audio="path", transcript="sentence", speaker="client_id")
        _, utterances = run(
            spoken, tmp_path, table=table, columns=columns, dev_share=0, test_share=0
        )
        assert utterances["s1/take0"].transcript == "hello he said"
        assert utterances["s1/take0"].speaker == "x1"
        assert utterances["s1/take0"].extra == {}

    @pytest.mark.parametrize(
        "content, message",
        [
            ("file,text\na.wav,b\n", "no column audio, transcript; it has file, text"),
            ("", "no column audio, transcript; it has none"),
            ("audio,transcript\n", "nothing to import"),
            ("audio,transcript\na.wav,b\n,c\n", "line 3: audio is empty"),
        ],
    )
    def test_errors_for_people(self, spoken, tmp_path, content, message):
        (tmp_path / "table.csv").write_text(content)
        with pytest.raises(UserError, match=message):
            run(spoken, tmp_path, table=tmp_path / "table.csv")

    def test_missing_table(self, spoken, tmp_path):
        with pytest.raises(UserError, match="none.csv cannot be read"):
            run(spoken, tmp_path, table=tmp_path / "none.csv")
