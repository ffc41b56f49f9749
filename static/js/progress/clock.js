/** The clock that the module lives by, and its numbers; tests put others in their place. */

/**
 * @typedef {object} Clock
 * @property {() => number} now milliseconds that never go back, and go on while the machine sleeps; of no meaning to others
 * @property {(callback: () => void, ms: number) => number} setTimeout
 * @property {(timer: number) => void} clearTimeout
 */

/** More than clocks are corrected by while they run; a machine that slept for less has missed nothing. */
const SLEPT_MS = 1000;

/**
 * A clock of two: the time of the day is set back and ahead while a page is open, and the one that counts from the start
 * stands still on many systems while they sleep. So it is the latter, and what the former goes further at once.
 *
 * @param {() => number} sinceStart as `performance.now`
 * @param {() => number} ofDay as `Date.now`
 * @returns {() => number}
 */
export function steadyClock(sinceStart, ofDay) {
  let between = ofDay() - sinceStart();
  // Far from 0, which stands for "never" here and there.
  let slept = between;
  return () => {
    const started = sinceStart();
    const now = ofDay() - started;
    if (now - between > SLEPT_MS) slept += now - between;
    if (now < between || now - between > SLEPT_MS) between = now;
    return started + slept;
  };
}

/** @type {Clock} */
export const CLOCK = {
  now: steadyClock(
    () => performance.now(),
    () => Date.now(),
  ),
  setTimeout: (callback, ms) => Number(setTimeout(callback, ms)),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** All in seconds. */
export const TIMINGS = {
  /** A stream that has not said `ready` by then is being held back by something on the way. */
  ready: 5,
  /** Beyond two heartbeats that did not come. */
  grace: 5,
  /** A request that has no answer by then will have none. */
  request: 10,
  /** What the long poll asks the server to wait. */
  wait: 25,
  /** A stream that lasted so long was a good one; two in a row that did not are a proxy's doing. */
  lasting: 30,
  /** From a fallback to the first probe of a stream; each pause after it is twice as long, up to the longest. */
  probe: 15,
  longestProbe: 300,
  /** Between two beats of the leading tab. */
  beat: 1,
  /** A leader that was not heard for so long is asked for a sign of life, and gives way after that. */
  ask: 1.5,
  steal: 2.5,
};

/** @typedef {typeof TIMINGS} Timings */
