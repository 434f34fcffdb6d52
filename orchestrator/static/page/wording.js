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

/** Return the probability, never as 0 or 1, so that it is told from the threshold. */
export function probabilityText(prediction) {
  return toldApart(prediction)[0];
}

/** Say on which side of the threshold the probability lies. */
export function statusText(prediction) {
  return `${prediction.positive ? "reaches" : "below"} threshold ${toldApart(prediction)[1]}`;
}

/** Return an end of the scale with about two digits. */
export function logitsText(value) {
  return value < 9.95 ? fixed(value, 1) : fixed(value, 0);
}

/** Write both; if as many decimals as there are do not tell them apart, the lower rounded down, the higher up. */
function toldApart(prediction) {
  const { probability, threshold, positive } = prediction;
  const decimals = decimalsOf(prediction);
  const number = inside(probability, decimals);
  const mark = isEnd(threshold) ? fixed(threshold, decimals) : inside(threshold, decimals);
  if (positive || number !== mark) {
    return [number, mark];
  }
  const [down, up] = [probability, threshold].map((each) => Number(fixed(each, decimals)));
  const step = 10 ** -decimals;
  return [
    inside(down > probability ? down - step : down, decimals),
    inside(up < threshold ? up + step : up, decimals),
  ];
}

function decimalsOf({ probability, threshold, positive }) {
  const isTold = (count) => {
    const written = fixed(threshold, count);
    const isApart = positive || fixed(probability, count) !== written;
    return isApart && (!isEnd(Number(written)) || isEnd(threshold));
  };
  return [2, 3].find(isTold) ?? 4;
}

function isEnd(value) {
  return value === 0 || value === 1;
}

/** Round, but keep away from 0 and 1, which a sigmoid never reaches. */
function inside(value, decimals) {
  const text = fixed(value, decimals);
  if (Number(text) >= 1) {
    return `> ${(1 - 10 ** -decimals).toFixed(decimals)}`;
  }
  return Number(text) > 0 ? text : `< ${(10 ** -decimals).toFixed(decimals)}`;
}

/** Round; of two numbers that are as near take the even one, as the pictures do, where `toFixed` takes the larger. */
function fixed(value, decimals) {
  const scaled = value * 10 ** decimals;
  const below = Math.floor(scaled);
  // Only binary fractions are such; the product alone may have been rounded to a half.
  const isTie = scaled - below === 0.5 && Number.isInteger(value * 2 ** (decimals + 1));
  return (isTie && below % 2 === 0 ? below / 10 ** decimals : value).toFixed(decimals);
}
