// What helps while something is sent: a screen that stays on, a countdown to the next try, and a word now and then for
// those who hear the page.

import type { View } from "../screen.js";
import type { Texts } from "../texts.js";

/** Parts of the way that are told to those who hear the page. */
const TOLD = [0.25, 0.5, 0.75];

/** Milliseconds without anything sent after which the screen may go off: a code may stand there, and nobody before it. */
const STILL = 180_000;

/**
 * Keeps the screen on while something is sent, where the browser can: phones stop the tabs of a screen that is off.
 */
export class Awake {
  #lock: WakeLockSentinel | null = null;
  #isWanted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #seen = (): void => {
    if (document.visibilityState === "visible" && this.#isWanted) void this.#ask(); // browsers let it go when hidden
  };

  constructor() {
    document.addEventListener("visibilitychange", this.#seen);
    this.moved();
  }

  /** Something has just been sent, or worked for. */
  moved(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), STILL);
    if (this.#isWanted) return;
    this.#isWanted = true;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    try {
      const lock = (await navigator.wakeLock?.request("screen")) ?? null;
      const spare = this.#isWanted ? this.#lock : lock;
      if (this.#isWanted) this.#lock = lock;
      await spare?.release();
    } catch {
      // It is a help and no more.
    }
  }

  #rest(): void {
    this.#isWanted = false;
    void this.#lock?.release();
    this.#lock = null;
  }

  release(): void {
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
    this.#rest();
  }
}

/** Says when the next try is, second by second, and offers to try at once. */
export class Countdown {
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #texts: Texts;
  readonly #view: View;

  constructor(texts: Texts, view: View, retry: () => void) {
    this.#texts = texts;
    this.#view = view;
    view.part("retry").addEventListener("click", () => {
      this.#say(0);
      retry();
    });
  }

  /** The next try is in so many milliseconds; `null` when none is needed. */
  begin(pause: number | null): void {
    this.end();
    this.#view.part("waiting").hidden = pause === null;
    if (pause === null) return;
    const due = performance.now() + pause;
    const tick = (): void => this.#say(Math.max(0, Math.ceil((due - performance.now()) / 1000)));
    tick();
    this.#timer = setInterval(tick, 500);
  }

  #say(seconds: number): void {
    const { part } = this.#view;
    const said =
      seconds > 0 ? this.#texts.get("tryingIn", { time: this.#texts.seconds(seconds) }) : this.#texts.get("tryingNow");
    if (part("countdown").textContent !== said) part("countdown").textContent = said;
    part("retry").hidden = seconds === 0;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** Tells a quarter, a half and three quarters, once each. */
export class Milestones {
  #told = 0;

  constructor(
    readonly texts: Texts,
    readonly status: HTMLElement,
  ) {}

  reach(share: number): void {
    const reached = TOLD.filter((one) => share >= one).length;
    if (reached <= this.#told) return;
    this.#told = reached;
    this.status.textContent = this.texts.get("sentShare", { share: this.texts.percent(TOLD[reached - 1] ?? 0) });
  }
}
