// A worker as BullMQ has it: a job tells four times how far it is, and does nothing else.
const { Worker } = require("bullmq");

const [, redisPort] = process.argv.slice(2);
const message = "正在调用 TTS 服务";

const worker = new Worker(
  "audio-generation",
  async (job) => {
    for (const percentage of [10, 30, 90, 100]) {
      await job.updateProgress({ percentage, message, currentStep: "音频合成", step: 2, totalSteps: 3 });
    }
    return { audioUrl: "/audios/x.mp3", durationSeconds: 1.5 };
  },
  { connection: { host: "127.0.0.1", port: Number(redisPort) }, concurrency: 8 },
);
worker.on("error", (error) => console.error(error));
