// Whoever asks for jobs and watches them. `latency N`: one a second. `fill N`: asks for all. `drain N`: watches them end.
const { Queue, QueueEvents } = require("bullmq");

const [redisPort, mode, count] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(redisPort) };
const total = Number(count);
const now = () => Number(process.hrtime.bigint()) / 1e6;

async function latency() {
  const queue = new Queue("audio-generation", { connection });
  const events = new QueueEvents("audio-generation", { connection });
  await events.waitUntilReady();
  const first = [], done = [];
  for (let number = 0; number < total; number += 1) {
    const id = `job${number}`;
    const ended = new Promise((resolve) => {
      const progress = ({ jobId }) => {
        if (jobId === id && first.length === number) first.push(now() - began);
      };
      events.on("progress", progress);
      events.on("completed", function completed({ jobId }) {
        if (jobId !== id) return;
        done.push(now() - began);
        events.off("progress", progress);
        events.off("completed", completed);
        resolve();
      });
    });
    const began = now();
    await queue.add("narrate", { user: "u00001", chapter: id }, { jobId: id });
    await ended;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 1000 - (now() - began))));
  }
  console.log(JSON.stringify({ first, done }));
}

async function fill() {
  const queue = new Queue("audio-generation", { connection });
  await queue.addBulk(Array.from({ length: total }, (_, number) => ({ name: "narrate", data: { number } })));
}

async function drain() {
  const events = new QueueEvents("audio-generation", { connection });
  await events.waitUntilReady();
  let began, ended = 0;
  events.on("progress", () => { began ??= now(); });
  events.on("completed", () => {
    ended += 1;
    if (ended === total) {
      console.log(JSON.stringify({ seconds: (now() - began) / 1000 }));
      process.exit(0);
    }
  });
  console.log("listening");
}

const exit = () => process.exit(0);
({ latency: () => latency().then(exit), fill: () => fill().then(exit), drain })[mode]();
