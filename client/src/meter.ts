// How fast the line is, from what was acknowledged in the last half minute.

const SPAN = 30_000;

/** Counts bytes; times are in milliseconds. */
export class Meter {
  #marks: { readonly time: number; readonly bytes: number }[];
  #bytes = 0;

  constructor(
    readonly total: number,
    start: number,
  ) {
    this.#marks = [{ time: start, bytes: 0 }];
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: number, now: number): void {
    this.#bytes += bytes;
    this.#marks.push({ time: now, bytes: this.#bytes });
    // The newest mark older than the span stays: a slow line has fewer than two within it.
    while ((this.#marks[1]?.time ?? now) < now - SPAN) this.#marks.shift();
  }

  /** Bytes per second, or `null` when too little is known. */
  rate(now: number): number | null {
    const first = this.#marks[0];
    const elapsed = now - (first?.time ?? now);
    return elapsed < 500 || first === undefined || this.#bytes === first.bytes ? null : ((this.#bytes - first.bytes) * 1000) / elapsed;
  }

  /** Seconds that the rest will take, or `null`. */
  remaining(now: number): number | null {
    const rate = this.rate(now);
    return rate === null ? null : (this.total - this.#bytes) / rate;
  }
}
