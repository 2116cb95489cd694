// Arrays of an answer, and their drawing on a canvas.

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array, float64: Float64Array };

/** {dtype, shape, base64} as {shape, data}. */
export function decoded(array) {
  const bytes = Uint8Array.from(atob(array.base64), (c) => c.charCodeAt(0));
  return { shape: array.shape, data: new KINDS[array.dtype](bytes.buffer) };
}

/** Sum of some of the maps of `levels (levels, height, width)`. */
export function summed(levels, from, to) {
  const [, height, width] = levels.shape;
  const data = new Float64Array(height * width);
  for (let k = from; k < to; k++) for (let i = 0; i < data.length; i++) data[i] += levels.data[k * data.length + i];
  return { shape: [height, width], data };
}

/** Stored pixels (channel, height, width): `low` becomes black and `high` white. */
export function drawImage(canvas, { shape: [channels, height, width], data }, low, high) {
  const plane = height * width,
    gain = 255 / (high - low || 1);
  paint(canvas, height, width, (i, pixel) => {
    for (let c = 0; c < 3; c++) pixel[c] = (data[(channels === 3 ? c : 0) * plane + i] - low) * gain;
    pixel[3] = 255;
  });
}

/** Gray levels (height, width) or (height, width, 3). */
export function drawPicture(canvas, { shape: [height, width, channels = 1], data }) {
  paint(canvas, height, width, (i, pixel) => {
    for (let c = 0; c < 3; c++) pixel[c] = data[i * channels + (channels === 3 ? c : 0)];
    pixel[3] = 255;
  });
}

const FOR = [253, 141, 60],
  AGAINST = [74, 144, 226];

/** Values (height, width): orange above zero, blue below, the more opaque the larger, wholly so at `reach`. */
export function drawMap(canvas, { shape: [height, width], data }, reach) {
  paint(canvas, height, width, (i, pixel) => {
    const share = Math.max(-1, Math.min(1, data[i] / reach));
    const colour = share >= 0 ? FOR : AGAINST;
    for (let c = 0; c < 3; c++) pixel[c] = colour[c];
    pixel[3] = 255 * Math.abs(share);
  });
}

/** Where the colours end: the 99.5 % quantile of the size, so that a single pixel does not bleach the rest. */
export function reachOf({ data }) {
  const sizes = Float64Array.from(data, Math.abs).sort();
  return sizes[Math.floor(0.995 * (sizes.length - 1))] || sizes.at(-1) || 1;
}

function paint(canvas, height, width, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixel = new Uint8ClampedArray(4);
  for (let i = 0; i < width * height; i++) {
    colour(i, pixel);
    image.data.set(pixel, 4 * i);
  }
  context.putImageData(image, 0, 0);
}
