// Wait before asking again.

const MILLISECONDS = 1000;

/** Resolve after a second. */
export function pause() {
  return new Promise((resolve) => setTimeout(resolve, MILLISECONDS));
}
