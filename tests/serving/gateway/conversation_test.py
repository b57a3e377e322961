# SPDX-License-Identifier: Apache-2.0
"""Utterances over WebSockets, against a server of a model that understands tones."""

import asyncio
import threading
import time

import aiohttp
import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamSearch, Partial
from ds2_tf.text.alphabet import Alphabet
from serving.gateway import hearing
from serving.gateway.limits import Limits

TEXT = "go left and turn right"


def kinds(messages) -> list[str]:
    return [message["type"] for message in messages]


def check_words(words, text, tones):
    assert [word["text"] for word in words] == text.split()
    at = 0
    for word in words:
        start = text.index(word["text"], at)
        at = start + len(word["text"])
        end = (at - 1) * tones.CHARACTER_SECONDS + tones.TONE_SECONDS
        assert word["start"] == pytest.approx(start * tones.CHARACTER_SECONDS, abs=0.011)
        assert word["end"] == pytest.approx(end, abs=0.011)


def test_words_come_while_the_audio_does(start_gateway, tones):
    samples = tones.spoken(TEXT)

    async def talk(page):
        begin = await page.next()
        assert begin["streaming"] and begin["version"] == 3 and begin["separator"] == " "
        seen = []
        # Not a sample goes before the text of all those before it has come.
        for start in range(0, len(samples), 1600):
            await page.send(samples[start : start + 1600])
            partial = await page.next()
            assert partial["type"] == "partial"
            heard = min(start + 1600, len(samples))
            assert partial["heard"] == pytest.approx(heard / 16000, abs=1e-3)
            assert partial["busy"] > 0
            seen.append(partial)
        await page.finish()
        return seen, await page.rest()

    partials, (final,) = asyncio.run(tones.on_page(start_gateway(), talk))
    for before, after in zip(partials, partials[1:]):
        assert after["stable"].startswith(before["stable"])
    for partial in partials:
        shown = f"{partial['stable']} {partial['unstable']}".strip()
        spoken = TEXT[: int(partial["heard"] / tones.CHARACTER_SECONDS)].strip()
        assert TEXT.startswith(shown) and len(spoken) <= len(shown) <= len(spoken) + 2
        # A word is settled when the space after it has been heard.
        assert not partial["stable"] or partial["stable"] in (spoken, spoken.rpartition(" ")[0])
    assert final["type"] == "final" and final["text"] == TEXT
    assert final["heard"] == pytest.approx(len(samples) / 16000, abs=1e-3)
    check_words(final["words"], TEXT, tones)


@pytest.mark.parametrize("model", ["ds2-24k", "whole-24k"])
def test_a_model_of_another_sample_rate(start_gateway, tones, model):
    *_, final = tones.hear(start_gateway(model), tones.spoken(TEXT))
    assert final["type"] == "final" and final["text"] == TEXT
    check_words(final["words"], TEXT, tones)


@pytest.mark.parametrize("chunk", [1, 700, 50_000])
def test_messages_of_any_size(start_gateway, tones, chunk):
    samples = tones.spoken("on we go")[: 4000 if chunk == 1 else None]

    async def talk(page):
        await page.send(samples, chunk)
        await page.finish()
        return await page.rest()

    final = asyncio.run(tones.on_page(start_gateway(), talk))[-1]
    assert final["text"] == ("on" if chunk == 1 else "on we go")


def test_a_model_that_hears_no_streams(start_gateway, tones):
    begin, *partials, progress, final = tones.hear(start_gateway("whole"), tones.spoken(TEXT))
    assert not begin["streaming"]
    assert partials and all(p["stable"] == p["unstable"] == "" for p in partials)
    assert kinds([progress, final]) == ["progress", "final"]
    assert progress["done"] == pytest.approx(final["heard"], abs=0.01)
    assert final["text"] == TEXT
    check_words(final["words"], TEXT, tones)


@pytest.mark.parametrize("model", ["ds2", "whole"])
def test_nothing_said(start_gateway, tones, model):
    begin, final = tones.hear(start_gateway(model), np.zeros(0, np.float32))
    assert final["type"] == "final" and final["text"] == "" and final["words"] == []


@pytest.mark.parametrize("model", ["ds2", "whole"])
def test_a_decoder_reads_the_text(start_gateway, tones, model):
    class Vocabulary:
        words = ("go", "left", "write")

    decoder = BeamSearch(Alphabet.english(), vocabulary=Vocabulary.words)
    begin, *_, final = tones.hear(start_gateway(model, decoder=decoder), tones.spoken("go left"))
    assert begin["decoder"] and final["text"] == "go left"
    # What is spoken is in no vocabulary, and the next word is: greedy decoding cannot do that.
    *_, final = tones.hear(start_gateway(model, decoder=decoder), tones.spoken("go rleft"))
    assert set(final["text"].split()) <= set(Vocabulary.words)


def test_many_at_once(start_gateway, tones):
    texts = [f"{'ab' * number} end" for number in range(1, 13)]

    async def all_of_them(gateway):
        def talk(text):
            async def one(page):
                samples = tones.spoken(text)
                for start in range(0, len(samples), 1600):
                    await page.send(samples[start : start + 1600])
                    await asyncio.sleep(0)
                await page.finish()
                return (await page.rest())[-1]

            return one

        return await asyncio.gather(*(tones.on_page(gateway, talk(text)) for text in texts))

    finals = asyncio.run(all_of_them(start_gateway()))
    assert [final["text"] for final in finals] == texts


def test_one_too_many(start_gateway, tones):
    gateway = start_gateway(limits=Limits(max_sessions=1))

    async def talk(page):
        await page.next()
        refused = await tones.on_page(gateway, lambda other: other.rest())
        await page.finish()
        return refused, await page.rest()

    (refused,), messages = asyncio.run(tones.on_page(gateway, talk))
    assert refused["type"] == "error" and refused["code"] == "busy"
    assert "1 utterances" in refused["message"]
    assert kinds(messages) == ["final"]
    assert tones.hear(gateway, tones.spoken("go"))[-1]["text"] == "go"  # the place is free again


def test_an_utterance_that_is_too_long_is_cut_off(start_gateway, tones):
    gateway = start_gateway(limits=Limits(max_seconds=3 * tones.CHARACTER_SECONDS))
    messages = tones.hear(gateway, tones.spoken("a bit too long"))
    (notice,) = (message for message in messages if message["type"] == "notice")
    assert notice["code"] == "too-long" and "0.36 s" in notice["message"]
    assert messages[-1]["text"] == "a b"
    assert messages[-1]["heard"] == pytest.approx(0.36)


def test_silence_on_the_line_ends_the_utterance(start_gateway, tones):
    async def talk(page):
        await page.send(tones.spoken("a"))
        messages = await page.rest()
        return messages, page.socket.close_code

    gateway = start_gateway(limits=Limits(idle_seconds=0.3))
    messages, code = asyncio.run(tones.on_page(gateway, talk))
    assert messages[-1]["code"] == "idle" and "0.3 s" in messages[-1]["message"]
    assert code == aiohttp.WSCloseCode.POLICY_VIOLATION


@pytest.mark.parametrize(
    "message", [b"odd", "finish", '{"type": "stop"}', "[1]", "{}"], ids=lambda m: repr(m)
)
def test_what_is_no_audio_is_said(start_gateway, tones, message):
    async def talk(page):
        await (page.socket.send_bytes if isinstance(message, bytes) else page.socket.send_str)(
            message
        )
        return (await page.rest())[-1], page.socket.close_code

    error, code = asyncio.run(tones.on_page(start_gateway(), talk))
    assert error["type"] == "error" and error["code"] == "protocol"
    assert code == aiohttp.WSCloseCode.UNSUPPORTED_DATA


def test_a_message_that_is_too_big_closes(start_gateway, tones):
    async def talk(page):
        await page.socket.send_bytes(bytes(2**20 + 2))
        await page.rest()
        return page.socket.close_code

    assert asyncio.run(tones.on_page(start_gateway(), talk)) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


def test_the_model_server_is_away(start_gateway, tones, helpers):
    gateway = start_gateway(address=f"127.0.0.1:{helpers.free_port()}", step_timeout=1.0)
    error = tones.hear(gateway, tones.spoken("a"))[-1]
    assert error["code"] == "server-away"
    assert "does not answer" in error["message"] and "Is the server running" in error["message"]


def test_the_model_server_goes_away_in_the_midst(start_gateway, tones, helpers, tone_base_paths):
    server = helpers.make_server(helpers.single_model_config("ds2", tone_base_paths["ds2"]))
    server.start()
    gateway = start_gateway(address=server.address)

    async def talk(page):
        await page.send(tones.spoken("go on"))
        while (await page.next()).get("stable") != "go":
            pass
        server.stop()
        gateway._server._steps.timeout = 0.5
        await page.send(tones.spoken("and on"))
        return (await page.rest())[-1], page.socket.close_code

    error, code = asyncio.run(tones.on_page(gateway, talk))
    assert error["code"] == "server-away"
    assert code == aiohttp.WSCloseCode.TRY_AGAIN_LATER


def test_the_server_does_not_have_the_model(start_gateway, tones):
    error = tones.hear(start_gateway("nobody"), tones.spoken("a"))[-1]
    assert error["code"] == "refused" and "'nobody'" in error["message"]


def test_a_page_that_leaves_frees_its_place(start_gateway, tones):
    gateway = start_gateway(limits=Limits(max_sessions=1))

    async def leave(page):
        await page.next()
        await page.send(tones.spoken("a"))
        page.socket._response.connection.transport.abort()  # without a word

    asyncio.run(tones.on_page(gateway, leave))
    deadline = time.monotonic() + 20
    while tones.hear(gateway, tones.spoken("go"))[-1].get("text") != "go":
        assert time.monotonic() < deadline


def test_stopping_keeps_what_was_said(start_gateway, tones):
    gateway = start_gateway()

    async def talk(page):
        await page.send(tones.spoken("so far"))
        while (await page.next()).get("heard", 0) < 6 * tones.CHARACTER_SECONDS - 0.01:
            pass
        stopping = asyncio.get_running_loop().run_in_executor(None, gateway.stop, 20.0)
        messages = await page.rest()
        await stopping
        return messages, page.socket.close_code

    messages, code = asyncio.run(tones.on_page(gateway, talk))
    assert kinds(messages) == ["notice", "final"]
    assert messages[0]["code"] == "leaving" and messages[1]["text"] == "so far"
    assert code == aiohttp.WSCloseCode.OK


def test_a_slow_model_holds_the_page_back(start_gateway, tones, monkeypatch):
    gateway = start_gateway(limits=Limits(pending_seconds=1.0, max_seconds=10_000))
    go_on, taken = threading.Event(), []

    def slow(self, samples):
        taken.append(len(samples))
        go_on.wait(60)
        return Partial("", "")

    monkeypatch.setattr(hearing._StreamedHearing, "feed", slow)

    async def talk(page):
        await page.next()
        sent, chunk = 0, np.zeros(160_000, np.float32)
        with pytest.raises(asyncio.TimeoutError):
            while sent < 60_000_000:  # an hour: no buffer between the two holds it
                await asyncio.wait_for(page.send(chunk, 160_000), 1.0)
                sent += len(chunk)
        page.socket._response.connection.transport.abort()
        return sent

    try:
        sent = asyncio.run(tones.on_page(gateway, talk))
        assert 0 < sent < 60_000_000
        assert sum(taken) <= 16_000  # what is heard at once; the rest waits for it
    finally:
        go_on.set()
