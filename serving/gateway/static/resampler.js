// SPDX-License-Identifier: Apache-2.0
// Resampling of audio that comes in pieces, by interpolation with a windowed sinc.

// Zero crossings of the sinc on either side; the transition band is about a tenth of the band.
const CROSSINGS = 24;
// The cut-off lies this far below half of the lower rate, so that little folds back.
const ROLL_OFF = 0.945;

/** Changes the sample rate of one stream. The output is that of all pieces as a whole. */
export class Resampler {
  /**
   * @param {number} from samples per second of the input, an integer
   * @param {number} to samples per second of the output, an integer
   */
  constructor(from, to) {
    const divisor = greatestCommonDivisor(from, to);
    this.step = from / divisor; // an output sample is step / phases input samples long
    this.phases = to / divisor;
    this.copies = from === to;
    const cutoff = ROLL_OFF * Math.min(1, to / from);
    this.reach = Math.ceil(CROSSINGS / cutoff);
    this.kernels = this.copies ? [] : makeKernels(this.phases, this.reach, cutoff);
    // The first output sample lies on the first input sample: before that, silence.
    this.held = new Float32Array(this.reach);
    this.position = this.reach * this.phases; // of the next output in `held`, in 1/phases samples
  }

  /**
   * @param {Float32Array} samples the next input
   * @returns {Float32Array} the output that is known by now
   */
  push(samples) {
    if (this.copies) return samples;
    const input = new Float32Array(this.held.length + samples.length);
    input.set(this.held);
    input.set(samples, this.held.length);
    const output = [];
    for (;;) {
      const base = Math.floor(this.position / this.phases);
      if (base + this.reach >= input.length) break;
      const kernel = this.kernels[this.position % this.phases];
      const first = base - this.reach + 1;
      let sum = 0;
      for (let tap = 0; tap < kernel.length; tap++) sum += kernel[tap] * input[first + tap];
      output.push(sum);
      this.position += this.step;
    }
    const used = Math.max(Math.floor(this.position / this.phases) - this.reach, 0);
    this.held = input.slice(used);
    this.position -= used * this.phases;
    return Float32Array.from(output);
  }

  /** @returns {Float32Array} the rest of the output: silence follows the input */
  finish() {
    return this.push(new Float32Array(this.copies ? 0 : this.reach));
  }
}

// Kernel p weighs the input around a place p / phases after a sample, from reach - 1 samples before
// that sample to reach after it.
function makeKernels(phases, reach, cutoff) {
  return Array.from({ length: phases }, (_, phase) => {
    const kernel = new Float64Array(2 * reach);
    let sum = 0;
    for (let tap = 0; tap < kernel.length; tap++) {
      const distance = tap - reach + 1 - phase / phases;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / (reach + 1));
      const angle = Math.PI * cutoff * distance;
      kernel[tap] = window * (angle === 0 ? 1 : Math.sin(angle) / angle);
      sum += kernel[tap];
    }
    return kernel.map((weight) => weight / sum);
  });
}

function greatestCommonDivisor(a, b) {
  return b ? greatestCommonDivisor(b, a % b) : a;
}
