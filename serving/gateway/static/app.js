// SPDX-License-Identifier: Apache-2.0
// The page: what is pressed, dropped and shown.

import { readSamples } from "./files.js";
import { Microphone } from "./microphone.js";
import { Spectrogram } from "./spectrogram.js";
import { Utterance } from "./speech.js";

const RATE = 16000;
const CHUNK_SAMPLES = 1600;
const MODEL_POLL_MS = 3000;
// A file goes as fast as it is heard, and no faster.
const FILE_AHEAD_SECONDS = 3;
// Speech that waits: from here on the page says so, and from there on it gives up.
const BEHIND_SECONDS = 2;
const MOST_BEHIND_SECONDS = 30;

const element = (id) => document.getElementById(id);
const spectrogram = new Spectrogram(element("spectrogram"));

let model = null;
let microphone = null; // while it records
let busy = false;
let separator = " ";

// The model

async function askForModel() {
  try {
    const response = await fetch("/model");
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    model = answer;
    separator = model.separator;
    const words = model.streaming
      ? "words come while you speak"
      : "the whole utterance is heard at its end";
    const decoder = model.decoder ? ", with a language model" : "";
    element("model").textContent = `${model.name} version ${model.version}: ${words}${decoder}`;
    element("model").dataset.mode = model.streaming ? "streaming" : "whole";
    if (element("error").dataset.source === "model") showError("");
  } catch (error) {
    model = null;
    element("model").textContent = "The model server is away.";
    element("model").dataset.mode = "away";
    const away = error instanceof TypeError ? "The gateway does not answer." : error.message;
    if (!busy) showError(away, "model");
  }
  showControls();
}

async function keepAskingForModel() {
  for (;;) {
    if (!busy && !document.hidden) await askForModel();
    await new Promise((resolve) => setTimeout(resolve, MODEL_POLL_MS));
  }
}

// What is shown

function showControls() {
  const recording = microphone !== null;
  element("record").disabled = !recording && (busy || model === null);
  element("record").setAttribute("aria-pressed", String(recording));
  element("record-label").textContent = recording ? "Stop" : "Record";
  element("file").disabled = busy;
}

function showState(text) {
  element("state").textContent = text;
}

function show(id, text) {
  element(id).textContent = text;
  element(id).hidden = !text;
}

function showError(text, source = "") {
  show("error", text);
  element("error").dataset.source = source;
}

function showText(stable, unstable) {
  const shown = element("stable");
  const before = shown.textContent;
  // Adding to it, instead of replacing it, lets a screen reader say the new words alone.
  if (stable.startsWith(before)) shown.append(stable.slice(before.length));
  else shown.textContent = stable;
  element("unstable").textContent = unstable;
  element("unstable").style.marginLeft = stable && unstable && separator ? "" : "0";
  element("empty").hidden = true;
  element("transcript").scrollTop = element("transcript").scrollHeight;
}

function showWords(words) {
  element("words-count").textContent = words.length;
  element("words").replaceChildren(
    ...words.map(({ text, start, end }) => {
      const row = document.createElement("tr");
      for (const value of [text, start.toFixed(2), end.toFixed(2)]) {
        row.insertCell().textContent = value;
      }
      return row;
    }),
  );
  spectrogram.showWords(words);
}

function showPartial(message, latencies) {
  element("heard").textContent = `${message.heard.toFixed(1)} s`;
  if (message.heard) element("factor").textContent = (message.busy / message.heard).toFixed(2);
  if (message.latency !== undefined) {
    latencies.push(message.latency);
    const sorted = [...latencies].sort((a, b) => a - b);
    const at = (share) => sorted[Math.floor(share * (sorted.length - 1))].toFixed(0);
    element("latency").textContent = `${message.latency.toFixed(0)} ms`;
    element("percentiles").textContent = `${at(0.5)} / ${at(0.98)} ms`;
  }
}

function addToHistory(source, text) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  label.className = "source";
  label.textContent = source;
  item.append(label, text || "(nothing understood)");
  element("history").prepend(item);
}

function startAnew() {
  busy = true;
  for (const id of ["heard", "latency", "percentiles", "factor", "final"]) {
    element(id).textContent = "–";
  }
  element("stable").textContent = "";
  element("unstable").textContent = "";
  element("empty").textContent = "";
  element("scroll-label").hidden = true;
  spectrogram.clear();
  showWords([]);
  showError("");
  show("notice", "");
  showControls();
}

function finished(state) {
  busy = false;
  microphone = null;
  showState(state);
  if (!element("stable").textContent && !element("unstable").textContent) {
    element("empty").textContent = "Nothing was understood.";
    element("empty").hidden = false;
  }
  const most = Math.max(spectrogram.seconds - 10, 0);
  element("scroll-label").hidden = most === 0;
  element("scroll").max = most.toFixed(1);
  element("scroll").value = most.toFixed(1);
  showControls();
}

// One utterance

/**
 * Hears one utterance and shows what comes of it.
 * @param {string} source its name in the list of earlier ones
 * @param {(utterance: Utterance) => Promise<void>} send sends its audio, and returns at its end
 */
async function hear(source, send) {
  const latencies = [];
  let failed = "";
  let done = false;
  let endedAt = 0;
  await new Promise((resolve) => {
    const utterance = new Utterance((message) => {
      switch (message.type) {
        case "partial":
          showPartial(message, latencies);
          showText(message.stable, message.unstable);
          break;
        case "progress":
          showState(`Transcribing: ${message.done.toFixed(0)} of ${utterance.heard / RATE} s …`);
          break;
        case "notice":
          show("notice", message.message);
          break;
        case "final":
          done = true;
          showPartial(message, latencies);
          showText(message.text, "");
          showWords(message.words);
          if (endedAt) {
            element("final").textContent = `${(performance.now() - endedAt).toFixed(0)} ms`;
          }
          addToHistory(`${source}, ${message.heard.toFixed(1)} s`, message.text);
          break;
        case "error":
          failed = message.message;
          break;
        case "closed":
          if (!done && !failed) failed = "The connection to the gateway broke off.";
          resolve();
      }
    });
    send(utterance)
      .catch((error) => (failed = error.message))
      .then(() => {
        endedAt = performance.now();
        if (failed) utterance.close();
        else utterance.finish();
      });
  });
  await microphone?.close();
  if (failed) showError(failed);
  finished(failed ? "Stopped." : "Done.");
}

async function record() {
  startAnew();
  showState("Opening the microphone …");
  await hear("Microphone", async (utterance) => {
    let give;
    const stopped = new Promise((resolve) => (give = resolve));
    microphone = await Microphone.open((samples) => {
      spectrogram.push(samples);
      utterance.send(samples);
      if (utterance.behind > MOST_BEHIND_SECONDS) {
        show("notice", "The model server does not keep up with the speech, so recording ended.");
        give();
      } else if (utterance.behind > BEHIND_SECONDS) {
        showState(`Listening; ${utterance.behind.toFixed(0)} s are waiting to be heard …`);
      } else {
        showState("Listening …");
      }
      if (utterance.over) give();
    });
    microphone.stop = give;
    showControls();
    await stopped;
    const ending = microphone;
    microphone = null;
    showControls();
    showState("Waiting for the rest of the text …");
    await ending.close();
  });
}

async function hearFiles(files) {
  for (const file of files) {
    startAnew();
    showState(`Reading ${file.name} …`);
    let samples;
    try {
      samples = await readSamples(file);
    } catch (error) {
      showError(`${file.name}: ${error.message}`);
      finished("Stopped.");
      continue;
    }
    showState(`Hearing ${file.name} …`);
    await hear(file.name, async (utterance) => {
      for (let at = 0; at < samples.length && !utterance.over; at += CHUNK_SAMPLES) {
        const chunk = samples.slice(at, at + CHUNK_SAMPLES);
        await utterance.room(FILE_AHEAD_SECONDS);
        spectrogram.push(chunk);
        utterance.send(chunk);
      }
    });
  }
}

// What is pressed and dropped

element("record").addEventListener("click", () => {
  if (microphone) microphone.stop();
  else if (!busy) record();
});

element("file").addEventListener("change", async ({ target }) => {
  const files = [...target.files];
  target.value = ""; // so that the same file can be chosen again
  if (!busy) await hearFiles(files);
});

element("scroll").addEventListener("input", ({ target }) => {
  spectrogram.scrollTo(Number(target.value));
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});

document.addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dropping");
});

document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (busy) show("notice", "One thing after the other: drop it again when this is done.");
  else await hearFiles([...event.dataTransfer.files]);
});

keepAskingForModel();
