// Ask the service, and say what went wrong: problem details (RFC 9457), or no answer at all.

const UNREACHABLE = {
  title: "The service can't be reached",
  detail: "There was no answer. The network may be down, or the service is being restarted.",
};
const LIMIT = 429;
const ADVICE = new Map([
  [401, "Reload the page to enter a key."],
  [403, "This key may not do that: ask whoever runs the service."],
  [LIMIT, "More was asked than this key may."],
  [500, "Quote the reference below when you report it."],
]);
const PASSING = new Set([LIMIT, 503, 504]);
const AWAY = new Set([0, 502, 503, 504]);

/** What went wrong, for people. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, request_id = "" }, retryAfter = 0) {
    super(detail);
    Object.assign(this, { title, detail, status, retryAfter, reference: request_id });
  }

  /** Read an answer that is an error. */
  static async of(response) {
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    if (response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
      return new Problem(await response.json(), retryAfter);
    }
    const detail = `Something answered ${response.status}, but not as this service does; a proxy may stand between.`;
    return new Problem({ title: "An unexpected answer", detail, status: response.status }, retryAfter);
  }

  /** Whether the same may work in a while. */
  get passes() {
    return PASSING.has(this.status) || this.isAway;
  }

  /** Whether the service is away, as nothing or a proxy answers: its own answers have a reference. */
  get isAway() {
    return !this.reference && AWAY.has(this.status);
  }

  /** Whether only so much may be asked in a while, and that is reached. */
  get isLimit() {
    return this.status === LIMIT;
  }

  /** What to do, beyond what the detail says. */
  get advice() {
    const said = ADVICE.get(this.status) ?? "";
    return this.retryAfter ? `${said} Try again in ${seconds(this.retryAfter)}.`.trim() : said;
  }
}

/** Send a request and return what `read` takes from its answer; errors are thrown as problems. */
export async function ask(path, init = {}, read = (response) => response.json()) {
  try {
    const response = await fetch(path, init);
    if (response.ok) {
      return await read(response);
    }
    throw await Problem.of(response);
  } catch (error) {
    throw error instanceof TypeError ? new Problem(UNREACHABLE) : error; // before an answer, or within it
  }
}

function seconds(count) {
  return count === 1 ? "a second" : `${count} seconds`;
}
