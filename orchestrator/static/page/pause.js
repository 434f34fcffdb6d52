// Wait before asking again.

const MILLISECONDS = 1000;

/** Resolve after so many seconds, or after one if that is more. */
export function pause(seconds = 0) {
  return new Promise((resolve) => setTimeout(resolve, MILLISECONDS * Math.max(1, seconds)));
}
