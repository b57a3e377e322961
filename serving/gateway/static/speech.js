// SPDX-License-Identifier: Apache-2.0
// One utterance over a WebSocket; the messages are described in serving/gateway/conversation.py.

const RATE = 16000;

export class Utterance {
  /**
   * Connects; what is sent before the connection stands waits for it.
   * @param {(message: object) => void} onMessage called with each message of the gateway, and with
   *     {type: "closed"} when the connection has ended; partial messages get `latency`, the
   *     milliseconds from sending the latest chunk that was heard until now
   */
  constructor(onMessage) {
    this.onMessage = onMessage;
    this.sent = 0; // samples
    this.heard = 0;
    this.waiting = []; // until the connection stands
    this.chunks = []; // not heard yet: {end: samples, at: milliseconds}
    this.waker = null;
    this.over = false;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/speech`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      for (const data of this.waiting.splice(0)) this.socket.send(data);
    };
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = () => {
      this.over = true;
      this.wake();
      this.onMessage({ type: "closed" });
    };
  }

  /** Seconds of audio that were sent and not heard yet. */
  get behind() {
    return (this.sent - this.heard) / RATE;
  }

  /** @param {Int16Array} samples */
  send(samples) {
    if (this.over || !samples.length) return;
    this.sent += samples.length;
    this.chunks.push({ end: this.sent, at: performance.now() });
    this.pass(samples);
  }

  finish() {
    if (!this.over) this.pass(JSON.stringify({ type: "finish" }));
  }

  close() {
    this.socket.close();
  }

  /** Waits until less than so many seconds of audio are under way, or nobody hears any more. */
  async room(seconds) {
    while (!this.over && this.behind > seconds) {
      await new Promise((resolve) => (this.waker = resolve));
    }
  }

  pass(data) {
    if (this.socket.readyState === WebSocket.CONNECTING) this.waiting.push(data);
    else if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  take(message) {
    if (message.type === "partial") {
      this.heard = Math.round(message.heard * RATE);
      while (this.chunks.length && this.chunks[0].end <= this.heard) {
        message.latency = performance.now() - this.chunks.shift().at;
      }
      this.wake();
    } else if (message.type === "final" || message.type === "error") {
      this.over = true;
      this.wake();
    }
    this.onMessage(message);
  }

  wake() {
    this.waker?.();
    this.waker = null;
  }
}
