// Read the activation maps out of a report.

const FLOAT_BYTES = 4;

/** Return the map of each label, as rows of cells in logits, by label. */
export function readMaps({ labels, shape, data }) {
  const [, rows, columns] = shape;
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const cell = (label, row, column) =>
    view.getFloat32(FLOAT_BYTES * ((label * rows + row) * columns + column), true);
  const numbers = (count) => [...Array(count).keys()];
  return new Map(
    labels.map((name, label) => [
      name,
      numbers(rows).map((row) => numbers(columns).map((column) => cell(label, row, column))),
    ]),
  );
}

/** Say in which part of the picture a map is strongest; empty if it holds no evidence for its label. */
export function strongestPlace(map, placement, image) {
  const cells = map.flat();
  const most = Math.max(...cells);
  if (most <= 0) {
    return "";
  }
  const [rows, columns, found] = [map.length, map[0].length, cells.indexOf(most)];
  const x = (placement.x + (((found % columns) + 0.5) / columns) * placement.width) / image.width;
  const y = (placement.y + ((Math.floor(found / columns) + 0.5) / rows) * placement.height) / image.height;
  const words = [third(y, "upper", "", "lower"), third(x, "left", "", "right")].filter(Boolean);
  return words.join(" ") || "middle";
}

function third(share, low, middle, high) {
  return share < 1 / 3 ? low : share > 2 / 3 ? high : middle;
}
