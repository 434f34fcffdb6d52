// Say in words what a prediction is, as the pictures of the service do (gradcam/wording.py).

export const NO_FINDING = "No Finding";

/** Return a label for reading. */
export function spaced(label) {
  return label.replaceAll("_", " ");
}

/** Whether a label is a finding: it reached its threshold, and is not "No Finding". */
export function isFinding(prediction) {
  return prediction.positive && prediction.label !== NO_FINDING;
}

/** Return the probability, never as 0 or 1, with decimals that tell it from the threshold. */
export function probabilityText(prediction) {
  return inside(prediction.probability, decimalsOf(prediction));
}

/** Say on which side of the threshold the probability lies. */
export function statusText(prediction) {
  const { threshold, positive } = prediction;
  const decimals = decimalsOf(prediction);
  const text = isEnd(threshold) ? threshold.toFixed(decimals) : inside(threshold, decimals);
  return `${positive ? "reaches" : "below"} threshold ${text}`;
}

/** Return an end of the scale with about two digits. */
export function logitsText(value) {
  return value < 9.95 ? value.toFixed(1) : value.toFixed(0);
}

function decimalsOf({ probability, threshold, positive }) {
  const isTold = (count) => {
    const written = threshold.toFixed(count);
    const isApart = positive || probability.toFixed(count) !== written;
    return isApart && (!isEnd(Number(written)) || isEnd(threshold));
  };
  return [2, 3].find(isTold) ?? 4;
}

function isEnd(value) {
  return value === 0 || value === 1;
}

/** Round, but keep away from 0 and 1, which a sigmoid never reaches. */
function inside(value, decimals) {
  const text = value.toFixed(decimals);
  if (Number(text) >= 1) {
    return `> ${(1 - 10 ** -decimals).toFixed(decimals)}`;
  }
  return Number(text) > 0 ? text : `< ${(10 ** -decimals).toFixed(decimals)}`;
}
