// SPDX-License-Identifier: Apache-2.0
// The microphone as chunks of 16-bit samples at 16 kHz.

const WHY_NOT = {
  NotAllowedError: "The browser does not let this page use the microphone: allow it, and try again.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone cannot be read: another program may be using it.",
};

export class Microphone {
  /**
   * Opens the microphone; the browser may ask.
   * @param {(samples: Int16Array) => void} onSamples called every 100 ms
   * @returns {Promise<Microphone>}
   */
  static async open(onSamples) {
    if (!navigator.mediaDevices) {
      throw new Error(
        "Browsers give the microphone to pages over HTTPS and to those of this very machine: " +
          "open the page as localhost, or give the gateway a certificate. Files can be dropped.",
      );
    }
    // Before the microphone, so that nothing that it hears is lost.
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await context.audioWorklet.addModule("/static/capture.js");
      await context.resume();
    } catch (error) {
      await context.close();
      throw new Error(`The audio cannot be processed: ${error.message}`);
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        // As it is: the model has heard recordings, not what the browser makes of them.
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      await context.close();
      throw new Error(WHY_NOT[error.name] ?? `The microphone cannot be opened: ${error.message}`);
    }
    return new Microphone(stream, context, onSamples);
  }

  constructor(stream, context, onSamples) {
    this.stream = stream;
    this.context = context;
    this.node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    this.ended = new Promise((resolve) => {
      this.node.port.onmessage = ({ data }) => (data ? onSamples(data) : resolve());
    });
    context.createMediaStreamSource(stream).connect(this.node);
  }

  /** Delivers what is left, and gives the microphone back. */
  async close() {
    this.node.port.postMessage("end");
    await this.ended;
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
  }
}
