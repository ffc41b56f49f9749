import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../static/js/progress/emitter.js";

test("each listener hears until it is unsubscribed, also where one is there twice", () => {
  const emitter = new Emitter();
  const heard = [];
  const listener = (value) => heard.push(value);
  const first = emitter.on("x", listener);
  const second = emitter.on("x", listener);
  emitter.emit("x", 1);
  first();
  first();
  emitter.emit("x", 2);
  second();
  emitter.emit("x", 3);
  assert.deepEqual(heard, [1, 1, 2]);
});

test("a listener that throws is reported, and the others hear", (context) => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  context.after(() => delete globalThis.reportError);
  const emitter = new Emitter();
  const heard = [];
  emitter.on("x", () => {
    throw new Error("oops");
  });
  emitter.on("x", (value) => heard.push(value));
  emitter.emit("x", 1);
  assert.deepEqual([reported, heard], [["oops"], [1]]);
});
