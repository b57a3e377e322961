// SPDX-License-Identifier: Apache-2.0
// Audio files as 16-bit samples at 16 kHz.

/**
 * Reads a file as the command line does, or as the browser does where the gateway cannot.
 * @param {File} file
 * @returns {Promise<Int16Array>}
 */
export async function readSamples(file) {
  const response = await fetch("/samples", { method: "POST", body: file });
  if (response.ok) return new Int16Array(await response.arrayBuffer());
  const { error } = await response.json();
  if (error.code === "not-audio") {
    try {
      return await decodeHere(file);
    } catch {
      // What the gateway said is the better explanation.
    }
  }
  throw new Error(error.message);
}

async function decodeHere(file) {
  const context = new OfflineAudioContext(1, 1, 16000);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  const samples = new Int16Array(buffer.length);
  for (let at = 0; at < samples.length; at++) {
    let sum = 0;
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      sum += buffer.getChannelData(channel)[at];
    }
    const value = Math.round((sum / buffer.numberOfChannels) * 32768);
    samples[at] = Math.max(-32768, Math.min(32767, value));
  }
  return samples;
}
