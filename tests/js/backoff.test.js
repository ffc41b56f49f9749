import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../static/js/progress/backoff.js";
import { Retry } from "../../static/js/progress/retry.js";
import { FakeClock } from "./fakes.js";

test("ceilings double from 1 s to 30 s and stay there", () => {
  const backoff = new Backoff({ random: () => 1 });
  const delays = Array.from({ length: 100 }, () => backoff.next());
  assert.deepEqual(delays.slice(0, 7), [1, 2, 4, 8, 16, 30, 30]);
  assert.equal(delays.at(-1), 30);
});

test("delays lie anywhere below their ceiling", () => {
  const delays = Array.from({ length: 1000 }, () => new Backoff().next());
  assert.ok(delays.every((delay) => delay >= 0 && delay < 1));
  assert.ok(Math.min(...delays) < 0.1 && Math.max(...delays) > 0.9);
});

test("after a good connection it begins anew", () => {
  const backoff = new Backoff({ random: () => 1 });
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 1);
});

test("what the server asked for is waited for, and jitter comes on top", async () => {
  const clock = new FakeClock();
  let tries = 0;
  const retry = new Retry(() => (tries += 1), { clock, random: () => 0.5 });
  retry.later({ atLeast: 5 });
  assert.equal(retry.secondsLeft, 5.5);
  await clock.pass(5.4);
  assert.equal(tries, 0);
  await clock.pass(0.1);
  assert.equal(tries, 1);
  assert.equal(retry.waiting, false);
});
