# SPDX-License-Identifier: Apache-2.0
"""`ds2 pipeline ingest` from its command line."""

from __future__ import annotations

import argparse

import pytest

from ds2_tf.errors import UserError
from pipeline.commands import ingest


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    ingest.add_arguments(parser)
    return ingest.run(parser.parse_args([str(word) for word in words]))


def test_it_ingests_and_says_what_and_what_not(make_corpus, recipe_path, tmp_path, capsys):
    manifest = make_corpus(8)
    (manifest.parent / "u000.flac").unlink()
    words = ("--manifest", manifest, "--output", tmp_path / "out", "--recipe", recipe_path)
    words += ("--shards", "2", "--max-bad-share", "0.2", "--", "--direct_num_workers=1")
    assert _run(*words) == 0
    printed = capsys.readouterr()
    assert (
        printed.out
        == "dev: 1 utterances, 0.00 h, 2 shards\ntrain: 6 utterances, 0.00 h, 2 shards\n"
    )
    assert "ingest: 8/8 utterances" in printed.err
    assert "u000: missing-audio" in printed.err
    assert len(list((tmp_path / "out" / "Split-train").iterdir())) == 2


def test_speakers_and_shares(make_corpus, recipe_path, tmp_path, capsys):
    words = ("--manifest", make_corpus(24, speakers=12), "--recipe", recipe_path)
    words += ("--output", tmp_path / "out", "--split-by", "speaker")
    assert _run(*words, "--split-share", "a=0.5", "--split-share", "b=0.5") == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]


@pytest.mark.parametrize(
    "words, problem",
    [
        (("--manifest", "m.jsonl", "--split-by", "manifest"), "SPLIT=PATH, got 'm.jsonl'"),
        (("--manifest", "m.jsonl", "--split-share", "train"), "SPLIT=SHARE"),
        (("--manifest", "nowhere.jsonl"), "No manifest found at nowhere.jsonl"),
        # What a shell makes of *.jsonl without quotes.
        (
            ("--manifest", "a.jsonl", "b.jsonl", "--shards", "3"),
            "'b.jsonl' .* by repeating",
        ),
    ],
)
def test_wrong_words_are_explained(recipe_path, tmp_path, words, problem):
    with pytest.raises(UserError, match=problem):
        _run("--output", tmp_path / "out", "--recipe", recipe_path, *words)


def test_an_unknown_runner_is_named(make_corpus, recipe_path, tmp_path):
    words = ("--output", tmp_path / "out", "--recipe", recipe_path, "--manifest", make_corpus(6))
    with pytest.raises(UserError, match="--runner=DirectRuner: Unexpected pipeline runner"):
        _run(*words, "--", "--runner=DirectRuner")
    assert not (tmp_path / "out" / "Split-train").exists()
