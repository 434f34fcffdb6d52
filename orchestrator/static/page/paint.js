// Colour heat for laying it over a radiograph: gradcam/overlay.py, whose blend the browser does by itself.

import { dataOf } from "./elements.js";

// One RGBA pixel per 8-bit heat: its colour, and transparent in the measure that it is weak.
const rgba = dataOf("drawing").colours.flatMap((colour, level) => [...colour, level]);
const pixels = new Uint32Array(Uint8Array.from(rgba).buffer);

/** Draw heat, from 0 to 1, into a canvas. */
export function paint(canvas, heat, { width, height }) {
  Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  const drawn = new Uint32Array(picture.data.buffer);
  heat.forEach((value, pixel) => {
    drawn[pixel] = pixels[Math.floor(value * 255 + 0.5)];
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
