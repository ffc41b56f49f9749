import assert from "node:assert/strict";
import { test } from "node:test";
import { isNewer } from "../../static/js/progress/cursor.js";
import { Follower } from "../../static/js/progress/follower.js";
import { FakeClock, eventOf } from "./fakes.js";

/** A follower at `cursor`; its questions wait in `asked` until the test answers them. */
function following(cursor) {
  const world = { clock: new FakeClock(), cursor, heard: [], asked: [], errors: [] };
  const ask = (after) => new Promise((answer, fail) => world.asked.push({ after, answer, fail }));
  const handlers = {
    cursor: () => world.cursor,
    onCursor: (place) => (world.cursor = place),
    onEvent: ({ id }) => {
      if (!isNewer(id, world.cursor)) return;
      world.heard.push(id);
      world.cursor = id;
    },
    onReset: (reset) => (world.heard.push("reset"), (world.cursor = reset.cursor)),
    onError: (error) => world.errors.push(error.message),
  };
  world.follower = new Follower(ask, handlers, world.clock);
  world.tell = (id, before) => world.follower.hear({ kind: "event", event: eventOf(id), before });
  world.beat = (told) => world.follower.hear({ kind: "beat", cursor: told });
  return world;
}

const answerOf = (ids, reset = null) => ({ events: ids.map(eventOf), cursor: ids.at(-1) ?? "7-9", reset });

test("what follows is taken, what is known is not", () => {
  const world = following("7-1");
  world.tell("7-2", "7-1");
  world.tell("7-2", "7-1");
  world.tell("7-3", "7-2");
  // Thinned: nothing that matters lies between.
  world.tell("7-8", "7-3");
  assert.deepEqual([world.heard, world.asked.length], [["7-2", "7-3", "7-8"], 0]);
});

test("a gap is asked for once, and what is told meanwhile is kept", async () => {
  const world = following("7-1");
  world.tell("7-5", "7-4");
  world.tell("7-6", "7-5");
  world.tell("7-7", "7-6");
  assert.deepEqual([world.asked.length, world.asked[0].after], [1, "7-1"]);
  world.asked[0].answer(answerOf(["7-2", "7-3", "7-4", "7-5", "7-6"]));
  await world.clock.pass(0);
  assert.deepEqual([world.heard, world.asked.length], [["7-2", "7-3", "7-4", "7-5", "7-6", "7-7"], 1]);
});

test("an answer that is not all is asked for again", async () => {
  const world = following("7-1");
  world.tell("7-9", "7-8");
  world.tell("7-10", "7-9");
  world.asked[0].answer(answerOf(["7-2", "7-3"]));
  await world.clock.pass(0);
  assert.deepEqual([world.asked.length, world.asked[1].after], [2, "7-3"]);
});

test("a beat betrays what no event did", () => {
  const world = following("7-1");
  world.beat("7-1");
  assert.equal(world.asked.length, 0);
  world.beat("7-2");
  assert.equal(world.asked.length, 1);
});

test("a follower without a cursor begins where the leader is", () => {
  const world = following(null);
  world.beat(null);
  world.beat("7-4");
  world.tell("7-5", "7-4");
  assert.deepEqual([world.heard, world.cursor], [["7-5"], "7-5"]);
});

test("a follower past the leader has its place confirmed, once", async () => {
  const world = following("7-9");
  world.beat("7-4");
  world.asked[0].answer({ events: [], cursor: "7-9", reset: null });
  await world.clock.pass(0);
  world.beat("7-5");
  world.tell("7-8", "7-5");
  world.tell("7-10", "7-8");
  assert.deepEqual([world.heard, world.asked.length], [["7-10"], 1]);
});

test("a place in a log that is no more is found out", async () => {
  const world = following("7-9");
  world.tell("8-1", "7-4");
  assert.equal(world.asked[0].after, "7-9");
  world.asked[0].answer({ events: [], cursor: "8-1", reset: { cursor: "8-1", jobs: [] } });
  await world.clock.pass(0);
  world.tell("8-2", "8-1");
  assert.deepEqual(world.heard, ["reset", "8-2"]);
});

test("a reset of the leader's is everybody's, in its turn", async () => {
  const world = following("7-1");
  world.tell("7-5", "7-4");
  world.follower.hear({ kind: "reset", reset: { cursor: "9-0", jobs: [] } });
  world.tell("9-1", "9-0");
  world.asked[0].answer(answerOf(["7-2", "7-3", "7-4", "7-5"]));
  await world.clock.pass(0);
  assert.deepEqual(world.heard, ["7-2", "7-3", "7-4", "7-5", "reset", "9-1"]);
});

test("a question that fails is asked again with the next message, but not at once", async () => {
  const world = following("7-1");
  world.beat("7-3");
  world.asked[0].fail(new Error("gone"));
  await world.clock.pass(0);
  world.beat("7-3");
  assert.deepEqual([world.asked.length, world.errors], [1, ["gone"]]);
  await world.clock.pass(1);
  world.beat("7-3");
  assert.equal(world.asked.length, 2);
});

test("what is closed hears nothing any more", async () => {
  const world = following("7-1");
  world.tell("7-5", "7-4");
  world.follower.close();
  world.asked[0].answer(answerOf(["7-2"]));
  world.tell("7-2", "7-1");
  await world.clock.pass(0);
  assert.deepEqual(world.heard, []);
});
