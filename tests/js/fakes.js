/** Time, locks, channels and servers for tests: they do what the real ones promise, when the test says so. */

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Time that passes when it is told to. */
export class FakeClock {
  #now = 1_000_000;
  #last = 0;
  /** @type {Map<number, {at: number, callback: () => void}>} */
  #timers = new Map();

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.#now + Math.max(0, ms), callback });
    return this.#last;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  /** How many timers run. */
  get pending() {
    return this.#timers.size;
  }

  /** Lets so many seconds pass, and all that is due happen in its order. */
  async pass(seconds) {
    const end = this.#now + seconds * 1000;
    await settled();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].callback();
      await settled();
    }
    this.#now = end;
    await settled();
  }
}

/** Locks as the Web Locks API has them: queued, granted in turn, taken away by `steal`. */
export class FakeLocks {
  /** @type {Map<string, {held: any, queue: any[]}>} */
  #locks = new Map();

  request(name, { steal = false, signal }, callback) {
    const lock = this.#locks.get(name) ?? { held: null, queue: [] };
    this.#locks.set(name, lock);
    return new Promise((resolve, reject) => {
      const claim = { resolve, reject, callback };
      signal?.addEventListener("abort", () => this.#withdraw(lock, claim));
      if (steal && lock.held) {
        lock.held.reject(new DOMException("stolen", "AbortError"));
        lock.held = null;
      }
      if (steal) lock.queue.unshift(claim);
      else lock.queue.push(claim);
      queueMicrotask(() => this.#grant(lock));
    });
  }

  #withdraw(lock, claim) {
    if (!lock.queue.includes(claim)) return;
    lock.queue = lock.queue.filter((other) => other !== claim);
    claim.reject(new DOMException("aborted", "AbortError"));
  }

  async #grant(lock) {
    if (lock.held || lock.queue.length === 0) return;
    const claim = (lock.held = lock.queue.shift());
    claim.resolve(await claim.callback());
    if (lock.held !== claim) return;
    lock.held = null;
    this.#grant(lock);
  }
}

/** A browser with tabs, each of which can be frozen: then nothing in it runs, and what it is told waits. */
export class FakeBrowser {
  clock = new FakeClock();
  locks = new FakeLocks();
  tabs = new Set();

  tab() {
    const tab = new FakeTab(this);
    this.tabs.add(tab);
    return tab;
  }
}

class FakeTab {
  /** Seconds that each of its timers comes late. */
  late = 0;
  #browser;
  #frozen = false;
  #waiting = [];
  #hears = () => {};

  constructor(browser) {
    this.#browser = browser;
    const { clock, locks } = browser;
    this.clock = {
      now: clock.now,
      setTimeout: (callback, ms) => clock.setTimeout(() => this.run(callback), ms + this.late * 1000),
      clearTimeout: clock.clearTimeout,
    };
    this.locks = {
      request: (name, options, callback) => {
        const asked = locks.request(name, options, callback);
        return new Promise((resolve, reject) => {
          asked.then(
            (value) => this.run(() => resolve(value)),
            (error) => this.run(() => reject(error)),
          );
        });
      },
    };
  }

  openChannel = (_name, onMessage) => {
    this.#hears = onMessage;
    return {
      post: (message) => {
        for (const tab of this.#browser.tabs) if (tab !== this) tab.tell(structuredClone(message));
      },
      close: () => (this.#hears = () => {}),
    };
  };

  tell(message) {
    queueMicrotask(() => this.run(() => this.#hears(message)));
  }

  run(callback) {
    if (this.#frozen) this.#waiting.push(callback);
    else callback();
  }

  freeze() {
    this.#frozen = true;
  }

  thaw() {
    this.#frozen = false;
    for (const callback of this.#waiting.splice(0)) callback();
  }
}

/** A server and what lies before it. `streams` and `polls` are those that are open. */
export class FakeServer {
  /** What asking whether it is there throws. @type {Error | null} */
  away = null;
  renewable = false;
  streams = [];
  polls = [];
  opened = 0;

  async enter() {
    if (this.away) throw this.away;
    return null;
  }

  streamAddress(after) {
    return `/api/events?after=${after}`;
  }

  poll(after, wait, signal) {
    return new Promise((resolve, reject) => {
      const poll = { after, wait, answer: resolve, fail: reject };
      const end = () => (this.polls = this.polls.filter((other) => other !== poll));
      poll.answer = (events = [], reset = null) => {
        end();
        resolve({ events, cursor: events.at(-1)?.id ?? after, reset });
      };
      poll.fail = (error) => (end(), reject(error));
      signal.addEventListener("abort", () => poll.fail(new Error("aborted")));
      this.polls.push(poll);
    });
  }

  stream = (address, handlers) => {
    const stream = {
      address,
      ...handlers,
      ready: () => handlers.onControl("ready", { cursor: "7-0", connectionId: `c${this.opened}` }),
      end: (reason) => (stream.close(), handlers.onEnd(reason)),
      close: () => (this.streams = this.streams.filter((other) => other !== stream)),
      check: () => {},
    };
    this.opened += 1;
    this.streams.push(stream);
    return stream;
  };
}

/** An event of a log. */
export const eventOf = (id) => ({ id, type: "audio:progress", data: { jobId: "j" } });
