# SPDX-License-Identifier: Apache-2.0
"""The page in a headless Chromium, whose microphone plays a recording."""

from __future__ import annotations

import asyncio
import wave

import numpy as np
import pytest
import soundfile

from tests.serving.gateway.chromium import NAMES, find_chromium, open_tab

TEXT = "go left and turn right at the old mill"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_chromium() is None,
        reason=f"no Chromium: install one, or name it in CHROMIUM (looked for {', '.join(NAMES)})",
    ),
]

SHOWN = """({
    stable: document.getElementById("stable").textContent,
    unstable: document.getElementById("unstable").textContent,
    state: document.getElementById("state").textContent,
    error: document.getElementById("error").textContent,
})"""
DONE = "document.getElementById('state').textContent === 'Done.'"
READY = "!document.getElementById('record').disabled"


@pytest.fixture
def visit(start_gateway, tmp_path):
    """Opens the page of a gateway and returns what `look(tab)` does."""

    def run(look, model_name="ds2", microphone=None, **of_gateway):
        async def visiting():
            gateway = start_gateway(model_name, **of_gateway)
            profile = tmp_path / "profile"
            profile.mkdir()
            async with open_tab(
                find_chromium(), gateway.url, profile, microphone=microphone
            ) as tab:
                result = await look(tab)
                assert tab.console == []
                return result

        return asyncio.run(visiting())

    return run


@pytest.fixture
def recording(tmp_path, tones):
    """A WAV file at 48 kHz: a second of silence, then the text."""
    path = tmp_path / "recording.wav"
    samples = np.concatenate([np.zeros(48000), tones.spoken(TEXT, rate=48000)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(tones.as_bytes(samples))
    return path


def words_of(tab):
    return tab.run(
        "[...document.querySelectorAll('#words tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )


def lit_pixels(tab):
    """How many points of the spectrogram are bright."""
    return tab.run(
        """(() => {
            const canvas = document.getElementById("spectrogram");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let lit = 0;
            for (let at = 0; at < data.length; at += 4) lit += data[at] > 200;
            return lit;
        })()"""
    )


def test_words_appear_while_the_microphone_plays(visit, recording, tones):
    async def look(tab):
        await tab.wait_for(READY)
        assert "words come while you speak" in await tab.run("document.body.innerText")
        await tab.run("document.getElementById('record').click()")
        seen = []
        while not seen or seen[-1]["unstable"] != "mill":
            seen.append(await tab.run(SHOWN))
            assert not seen[-1]["error"] and len(seen) < 1000, seen[-1]
            await asyncio.sleep(0.05)
        assert await lit_pixels(tab) > 500
        latency = await tab.run("document.getElementById('latency').textContent")
        await tab.run("document.getElementById('record').click()")
        await tab.wait_for(DONE)
        return seen, latency, await tab.run(SHOWN), await words_of(tab)

    seen, latency, final, words = visit(look, microphone=recording)
    # They came one after the other, the settled ones to stay, and the last with a sign of doubt.
    stable = list(dict.fromkeys(shown["stable"] for shown in seen))
    assert len(stable) > 4
    assert all(after.startswith(before) for before, after in zip(stable, stable[1:]))
    assert all(TEXT.startswith(text) for text in stable)
    assert {shown["unstable"] for shown in seen} & set(TEXT.split())
    assert float(latency.removesuffix(" ms")) > 0
    assert final["stable"] == TEXT and final["unstable"] == ""
    assert [word for word, _, _ in words] == TEXT.split()
    # When recording began is the browser's affair; the distances are those of the recording.
    starts = np.array([float(start) for _, start, _ in words])
    places = [TEXT.index(f" {word}") + 1 if place else 0 for place, word in enumerate(TEXT.split())]
    expected = tones.CHARACTER_SECONDS * np.array(places)
    np.testing.assert_allclose(starts - starts[0], expected, atol=0.04)


@pytest.mark.parametrize("model, said", [("ds2", "while you speak"), ("whole", "at its end")])
def test_files_are_dropped_and_chosen(visit, tmp_path, tones, model, said):
    # Stereo FLAC at another rate: read by the gateway as by the command line.
    samples = tones.spoken("a b c", rate=44100)
    soundfile.write(tmp_path / "first.flac", np.stack([samples, samples], axis=1), 44100)
    soundfile.write(tmp_path / "second.wav", tones.spoken("next one"), 16000)
    (tmp_path / "bad.wav").write_bytes(b"no recording")

    async def look(tab):
        await tab.wait_for(READY)
        assert said in await tab.run("document.getElementById('model').textContent")
        await tab.drop_files(str(tmp_path / "first.flac"))
        await tab.wait_for(DONE)
        assert (await tab.run(SHOWN))["stable"] == "a b c"
        assert await lit_pixels(tab) > 50
        paths = [str(tmp_path / name) for name in ("bad.wav", "second.wav")]
        await tab.choose_files("#file", *paths)
        await tab.wait_for("document.getElementById('history').children.length === 2")
        await tab.wait_for(DONE)
        assert (await tab.run(SHOWN))["stable"] == "next one"
        await tab.choose_files("#file", paths[0])
        error = await tab.wait_for("document.getElementById('error').textContent")
        tab.console.clear()  # the browser writes down the refusal, too
        return error, await words_of(tab)

    error, _ = visit(look, model)
    assert error.startswith("bad.wav: not-audio")


def test_the_page_says_that_the_server_is_away(visit, helpers):
    async def look(tab):
        error = await tab.wait_for("document.getElementById('error').textContent")
        tab.console.clear()
        return error, await tab.run("document.getElementById('record').disabled")

    error, disabled = visit(look, address=f"127.0.0.1:{helpers.free_port()}")
    assert "does not answer" in error and disabled


def test_resampling_keeps_what_is_in_the_band_and_nothing_else(visit):
    """Pieces of any size, against the definition: tones keep their size and their place."""
    rates, tones = (8000, 16000, 22050, 44100, 48000, 96000), (300, 1000, 3300, 9000)

    async def look(tab):
        return [
            await tab.run(
                f"""(async () => {{
                    const {{ Resampler }} = await import("/static/resampler.js");
                    const tone = (hertz, rate, count) => Float32Array.from(
                        {{ length: count }}, (_, n) => Math.sin((2 * Math.PI * hertz * n) / rate));
                    return {list(tones)}.map((hertz) => {{
                        const input = tone(hertz, {rate}, {rate});
                        const resampler = new Resampler({rate}, 16000);
                        const output = [];
                        let size = 1;
                        for (let at = 0; at < input.length; size = (size * 7) % 401) {{
                            output.push(...resampler.push(input.subarray(at, at + size)));
                            at += size;
                        }}
                        output.push(...resampler.finish());
                        const expected = tone(hertz < 8000 ? hertz : 0, 16000, output.length);
                        const errors = output.map((x, n) => Math.abs(x - expected[n]));
                        return [output.length, Math.max(...errors.slice(400, -400))];
                    }});
                }})()"""
            )
            for rate in rates
        ]

    for rate, results in zip(rates, visit(look)):
        for (length, error), hertz in zip(results, tones):
            assert abs(length - 16000) <= 1
            if hertz < rate / 2:
                assert error < 2e-3, (rate, hertz)
