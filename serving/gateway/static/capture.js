// SPDX-License-Identifier: Apache-2.0
// The audio thread: mixes to mono, resamples to 16 kHz, and posts 16-bit samples.

import { Resampler } from "./resampler.js";

const RATE = 16000;
const CHUNK_SAMPLES = 1600; // 100 ms

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.chunk = new Int16Array(CHUNK_SAMPLES);
    this.filled = 0;
    this.ended = false;
    this.port.onmessage = () => this.end();
  }

  process([channels]) {
    if (this.ended) return false;
    if (channels.length) this.take(this.resampler.push(mixed(channels)));
    return true;
  }

  take(samples) {
    for (const sample of samples) {
      this.chunk[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === CHUNK_SAMPLES) this.post(this.chunk);
    }
  }

  post(samples) {
    this.port.postMessage(samples, [samples.buffer]);
    this.chunk = new Int16Array(CHUNK_SAMPLES);
    this.filled = 0;
  }

  end() {
    this.take(this.resampler.finish());
    this.post(this.chunk.slice(0, this.filled));
    this.port.postMessage(null);
    this.ended = true;
  }
}

function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map(
    (_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length,
  );
}

registerProcessor("capture", Capture);
