import assert from "node:assert/strict";
import { test } from "node:test";
import { steadyClock } from "../../static/js/progress/clock.js";

const HOUR = 3_600_000;

/** The two clocks of a page, and what is made of them. */
function page() {
  const clocks = { start: 5, day: 1_767_000_000_000 };
  const now = steadyClock(
    () => clocks.start,
    () => clocks.day,
  );
  const pass = (ms) => {
    clocks.start += ms;
    clocks.day += ms;
  };
  return { clocks, now, pass, passed: since(now) };
}

const since = (now) => {
  const began = now();
  return () => Math.round(now() - began);
};

test("time passes as both clocks say", () => {
  const { passed, pass } = page();
  pass(1500);
  assert.equal(passed(), 1500);
});

test("a clock that is set back changes nothing", () => {
  const { clocks, passed, pass } = page();
  clocks.day -= HOUR;
  assert.equal(passed(), 0);
  pass(2500);
  assert.equal(passed(), 2500);
});

test("a machine that slept has slept, though its other clock stood still", () => {
  const { clocks, passed, pass } = page();
  pass(1000);
  clocks.day += HOUR;
  assert.equal(passed(), HOUR + 1000);
  pass(1000);
  assert.equal(passed(), HOUR + 2000);
});

test("it never goes back, whatever the clocks do", () => {
  const { clocks, now } = page();
  let last = now();
  for (const change of [HOUR, -HOUR, 900, -900, 30_000, -2 * HOUR, HOUR]) {
    clocks.day += change;
    clocks.start += 1;
    const next = now();
    assert.ok(next > last);
    last = next;
  }
});

test("a clock that is corrected by and by does not make time faster", () => {
  const { clocks, passed } = page();
  for (let step = 0; step < 10_000; step += 1) {
    clocks.start += 0.3;
    clocks.day = 1_767_000_000_000 + Math.floor(step * 0.3);
    passed();
  }
  assert.equal(passed(), 3000);
});
