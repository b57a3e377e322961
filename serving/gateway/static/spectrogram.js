// SPDX-License-Identifier: Apache-2.0
// A log-spectrogram that is drawn while it grows, with the words under it.

const RATE = 16000;
const HOP = 160; // 10 ms
const WINDOW = 320; // 20 ms, as the network's features
const SIZE = 512; // of the transform
const ROWS = 128; // up to 8 kHz
const DECIBELS = [-95, -25]; // black and white
const VIEW_SECONDS = 10;
const WORDS_HEIGHT = 26;

export class Spectrogram {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.image = new OffscreenCanvas((VIEW_SECONDS * RATE) / HOP, ROWS);
    this.window = Float32Array.from(
      { length: WINDOW },
      (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW),
    );
    this.transform = new Transform(SIZE);
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.clear();
  }

  clear() {
    this.columns = [];
    this.held = new Float32Array(WINDOW - HOP); // silence before the first window
    this.words = [];
    this.offset = null; // seconds at the left edge; null follows the end
    this.draw();
  }

  /** Length of the audio in seconds. */
  get seconds() {
    return (this.columns.length * HOP) / RATE;
  }

  /** @param {Int16Array} samples the next ones */
  push(samples) {
    const joined = new Float32Array(this.held.length + samples.length);
    joined.set(this.held);
    for (let at = 0; at < samples.length; at++) joined[this.held.length + at] = samples[at] / 32768;
    let start = 0;
    for (; start + WINDOW <= joined.length; start += HOP) {
      this.columns.push(this.column(joined.subarray(start, start + WINDOW)));
    }
    this.held = joined.slice(start);
    this.drawSoon();
  }

  /** @param {{text: string, start: number, end: number}[]} words */
  showWords(words) {
    this.words = words;
    this.drawSoon();
  }

  /** @param {number} seconds at the left edge */
  scrollTo(seconds) {
    this.offset = seconds;
    this.drawSoon();
  }

  column(samples) {
    const power = this.transform.power(samples.map((sample, at) => sample * this.window[at]));
    const column = new Uint8Array(ROWS);
    for (let row = 0; row < ROWS; row++) {
      const decibels = 10 * Math.log10((power[2 * row] + power[2 * row + 1]) / 2 + 1e-12) - 44;
      const share = (decibels - DECIBELS[0]) / (DECIBELS[1] - DECIBELS[0]);
      column[row] = Math.max(0, Math.min(255, Math.round(share * 255)));
    }
    return column;
  }

  drawSoon() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.draw();
    });
  }

  draw() {
    const { canvas, context } = this;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    context.scale(ratio, ratio);
    const width = canvas.clientWidth;
    const height = canvas.clientHeight - WORDS_HEIGHT;
    const visible = this.image.width;
    const last = Math.max(this.columns.length - visible, 0);
    const first =
      this.offset === null ? last : Math.min(Math.round((this.offset * RATE) / HOP), last);
    this.paint(first, visible);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.image, 0, 0, width, height);
    const start = (first * HOP) / RATE;
    const x = (seconds) => ((seconds - start) / VIEW_SECONDS) * width;
    this.drawScales(x, start, height);
    this.drawWords(x, width, height);
  }

  paint(first, visible) {
    const pixels = new ImageData(visible, ROWS);
    const values = new Uint32Array(pixels.data.buffer).fill(COLORS[0]);
    const end = Math.min(first + visible, this.columns.length);
    for (let column = first; column < end; column++) {
      const levels = this.columns[column];
      for (let row = 0; row < ROWS; row++) {
        values[(ROWS - 1 - row) * visible + column - first] = COLORS[levels[row]];
      }
    }
    this.image.getContext("2d").putImageData(pixels, 0, 0);
  }

  drawScales(x, start, height) {
    const { context } = this;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillStyle = "rgba(255, 255, 255, 0.75)";
    for (const kilohertz of [2, 4, 6]) {
      context.fillText(`${kilohertz} kHz`, 6, height * (1 - kilohertz / 8));
    }
    for (let second = Math.ceil(start); second < start + VIEW_SECONDS; second++) {
      context.fillRect(x(second), height - 5, 1, 5);
      if (second > start + 0.3) context.fillText(`${second} s`, x(second) + 3, height - 4);
    }
  }

  drawWords(x, width, height) {
    const { context } = this;
    context.font = "13px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const { text, start, end } of this.words) {
      const left = x(start);
      const right = Math.max(x(end), left + 2);
      if (right < 0 || left > width) continue;
      context.fillStyle = "rgba(138, 168, 255, 0.9)";
      context.fillRect(left, height + 2, right - left, 3);
      context.fillStyle = "#ffffff";
      context.fillText(text, Math.max(left, 1), height + 15);
    }
  }
}

/** The discrete Fourier transform of real numbers, padded with zeros to a power of two. */
class Transform {
  constructor(size) {
    this.size = size;
    this.real = new Float64Array(size);
    this.imaginary = new Float64Array(size);
    const bits = Math.log2(size);
    this.reversed = Uint16Array.from({ length: size }, (_, at) => {
      let result = 0;
      for (let bit = 0; bit < bits; bit++) result |= ((at >> bit) & 1) << (bits - 1 - bit);
      return result;
    });
    this.cosines = Float64Array.from({ length: size / 2 }, (_, k) =>
      Math.cos((2 * Math.PI * k) / size),
    );
    this.sines = Float64Array.from({ length: size / 2 }, (_, k) =>
      Math.sin((2 * Math.PI * k) / size),
    );
  }

  /** Squared magnitudes of the lower half of the bins. */
  power(samples) {
    const { size, real, imaginary, reversed, cosines, sines } = this;
    real.fill(0);
    imaginary.fill(0);
    for (let at = 0; at < samples.length; at++) real[reversed[at]] = samples[at];
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const cosine = cosines[k * stride];
          const sine = sines[k * stride];
          const low = start + k;
          const high = low + half;
          const x = real[high] * cosine + imaginary[high] * sine;
          const y = imaginary[high] * cosine - real[high] * sine;
          real[high] = real[low] - x;
          imaginary[high] = imaginary[low] - y;
          real[low] += x;
          imaginary[low] += y;
        }
      }
    }
    const power = new Float64Array(size / 2);
    for (let k = 0; k < power.length; k++) power[k] = real[k] ** 2 + imaginary[k] ** 2;
    return power;
  }
}

// From black over violet and orange to a light yellow; lightness grows evenly, so that it reads
// without color, too. Red, green, blue.
const STOPS = [
  [11, 10, 20],
  [66, 20, 102],
  [147, 38, 103],
  [221, 81, 58],
  [252, 165, 10],
  [252, 255, 190],
];

const COLORS = Uint32Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (STOPS.length - 1);
  const below = Math.min(Math.floor(place), STOPS.length - 2);
  const [red, green, blue] = STOPS[below].map((value, channel) =>
    Math.round(value + (STOPS[below + 1][channel] - value) * (place - below)),
  );
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
});
