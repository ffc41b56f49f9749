import assert from "node:assert/strict";
import { test } from "node:test";
import { isNewer, parseCursor } from "../../static/js/progress/cursor.js";

const ORDERED = ["1-0", "1-1", "1-2", "1-10", "2-0", "2-1", "10-0", "1767225600-42", "1767225601-1"];

test("cursors are ordered by epoch, then by number", () => {
  for (const [i, left] of ORDERED.entries()) {
    for (const [j, right] of ORDERED.entries()) assert.equal(isNewer(left, right), i > j, `${left} ${right}`);
  }
});

test("anything comes after no cursor, and what is none after nothing", () => {
  assert.equal(isNewer("1-1", null), true);
  for (const none of [null, undefined, "", "1", "a-b", "1-1-1", " 1-1", "1-1\n"]) {
    assert.equal(parseCursor(none), null);
    assert.equal(isNewer(none, "1-1"), false);
    assert.equal(isNewer(none, null), false);
  }
});
