// Find and make elements. Text is always set as text, so nothing that was answered can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return the element that has an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Return the values that the server wrote into the page under an id. */
export function dataOf(id) {
  return JSON.parse(byId(id).textContent);
}

/** Make an element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  return furnished(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function shape(name, attributes = {}, ...children) {
  return furnished(document.createElementNS(SVG, name), attributes, children);
}

function furnished(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
