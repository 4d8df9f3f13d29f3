"use strict";

/** The value of each of the 65,536 halves (IEEE 754 binary16) by its bits. */
function halves() {
  return Float32Array.from({ length: 65536 }, (_, bits) => {
    const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  });
}
let table = null;

/** The numbers of {dtype: base64}; halves become floats. */
function numbers(packed) {
  const [[dtype, text]] = Object.entries(packed);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  if (dtype === "uint8") return bytes;
  if (dtype === "float32") return new Float32Array(bytes.buffer);
  table = table || halves();
  return Float32Array.from(new Uint16Array(bytes.buffer), (bits) => table[bits]);
}

/** Σ a_(i+first) b_(j+first) over `count` numbers, in four sums that do not wait for each other. */
function dot(a, i, b, j, count) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, k = 0;
  for (; k + 3 < count; k += 4) {
    s0 += a[i + k] * b[j + k];
    s1 += a[i + k + 1] * b[j + k + 1];
    s2 += a[i + k + 2] * b[j + k + 2];
    s3 += a[i + k + 3] * b[j + k + 3];
  }
  for (; k < count; k++) s0 += a[i + k] * b[j + k];
  return s0 + s1 + s2 + s3;
}

/** What each kind of operation makes of the numbers before it. */
const OPERATIONS = {
  dense(operation) {
    const kernel = numbers(operation.kernel), bias = numbers(operation.bias), y = new Float32Array(bias.length);
    return (x) => {
      for (let o = 0; o < y.length; o++) y[o] = bias[o] + dot(kernel, o * x.length, x, 0, x.length);
      return y;
    };
  },

  conv_transpose(operation) {
    const kernel = numbers(operation.kernel), bias = numbers(operation.bias);
    const [rows, columns, inputs] = operation.before, [height, width, outputs] = operation.after;
    const [high, wide] = operation.size, [down, across] = operation.strides, [top, left] = operation.cut;
    const y = new Float32Array(height * width * outputs);
    return (x) => {
      for (let i = 0; i < y.length; i++) y[i] = bias[i % outputs];
      for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
        const from = (row * columns + column) * inputs;
        for (let u = 0; u < high; u++) for (let v = 0; v < wide; v++) {
          const r = row * down + u - top, c = column * across + v - left;
          if (r < 0 || r >= height || c < 0 || c >= width) continue;
          const to = (r * width + c) * outputs, part = (u * wide + v) * outputs * inputs;
          for (let o = 0; o < outputs; o++) y[to + o] += dot(kernel, part + o * inputs, x, from, inputs);
        }
      }
      return y;
    };
  },

  affine(operation) {
    const factor = numbers(operation.factor), shift = numbers(operation.shift);
    return (x) => x.map((value, i) => factor[i % factor.length] * value + shift[i % factor.length]);
  },

  activation(operation) {
    const slope = operation.slope, by = {
      relu: (value) => (value > 0 ? value : 0),
      leaky_relu: (value) => (value > 0 ? value : slope * value),
      tanh: Math.tanh,
      sigmoid,
    }[operation.name];
    return (x) => {
      for (let i = 0; i < x.length; i++) x[i] = by(x[i]);
      return x;
    };
  },
};

function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

/** z → the probabilities of all pixels, [H, W, C] in C order; the array is the caller's. */
function makeDecoder(operations) {
  const steps = operations.map((operation) => OPERATIONS[operation.kind](operation));
  return (z) => steps.reduce((x, step) => step(x), Float32Array.from(z)).map(sigmoid);
}
