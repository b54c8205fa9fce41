// The rate of an upload, from what was acknowledged in the last half minute. The first acknowledgement (header and
// letter) only starts the clock: most of the time before it went into sealing.

/** Milliseconds that a rate looks back. */
const SPAN = 30_000;
/** Milliseconds below which a rate would be noise. */
const SHORTEST = 500;

/** Counts bytes; times are in milliseconds. */
export class Meter {
  readonly #marks: { readonly time: number; readonly bytes: number }[] = [];
  #bytes = 0;

  constructor(readonly total: number) {}

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number, now: number): void {
    this.#bytes += bytes;
    this.#marks.push({ time: now, bytes: this.#bytes });
    // The newest mark older than the span stays: on a slow connection fewer than two are within it.
    while ((this.#marks[1]?.time ?? now) < now - SPAN) this.#marks.shift();
  }

  /** Bytes per second, or `null` when too little is known. */
  rate(now: number): number | null {
    const first = this.#marks[0];
    if (first === undefined || this.#bytes === first.bytes || now - first.time < SHORTEST) return null;
    return ((this.#bytes - first.bytes) * 1000) / (now - first.time);
  }

  /** Seconds that the rest will take, or `null`. */
  remaining(now: number): number | null {
    const rate = this.rate(now);
    return rate === null ? null : (this.total - this.#bytes) / rate;
  }
}
