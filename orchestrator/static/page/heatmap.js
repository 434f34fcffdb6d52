// Turn an activation map into a heatmap that lies on the radiograph's pixels: gradcam/heatmap.py, line by line.

/**
 * Keep the positive evidence, undo the resize of preprocessing, divide by the image's scale.
 *
 * Cells are interpolated bilinearly between their centres; past the outermost centres a map goes on unchanged up to
 * the placement's edge, and outside of it heat is 0.
 *
 * @param map        Rows of cells, in logits.
 * @param placement  x, y, width and height of the network's input on the radiograph, in its pixels.
 * @param image      Width and height of the radiograph, in pixels.
 * @param shown      Width and height at which it is shown.
 * @param scale      Evidence drawn at full colour, in logits.
 * @param ceiling    The most heat that the label may show.
 * @returns Heat in [0, ceiling], one number per shown pixel, row by row.
 */
export function heatmap(map, { placement, image, shown, scale, ceiling }) {
  const across = axis(shown.width, image.width, placement.x, placement.width, map[0].length);
  const down = axis(shown.height, image.height, placement.y, placement.height, map.length);
  const wide = map.map((row) => {
    const cells = row.map((logit) => Math.max(logit, 0) / scale);
    return Float32Array.from(across, (at) => (at.seen ? between(cells[at.near], cells[at.next], at.share) : 0));
  });
  const heat = new Float32Array(shown.width * shown.height);
  down.forEach((at, y) => {
    if (!at.seen) {
      return;
    }
    const [upper, lower] = [wide[at.near], wide[at.next]];
    for (let x = 0; x < shown.width; x += 1) {
      heat[y * shown.width + x] = Math.min(between(upper[x], lower[x], at.share), ceiling);
    }
  });
  return heat;
}

/** Return where each shown pixel lies between cell centres, and whether the network saw it. */
function axis(shown, pixels, start, length, cells) {
  return Array.from({ length: shown }, (_, pixel) => {
    const place = (((pixel + 0.5) * pixels) / shown - start) / length; // in [0, 1] inside
    const position = Math.min(Math.max(place * cells - 0.5, 0), cells - 1);
    const near = Math.floor(position);
    const next = Math.min(near + 1, cells - 1);
    return { near, next, share: position - near, seen: place >= 0 && place <= 1 };
  });
}

function between(first, second, share) {
  return first + share * (second - first);
}
