// Job status as Express with Redis answers it: a JWT on each request, the job's hash as JSON, Express' own ETag.
const express = require("express");
const jwt = require("jsonwebtoken");
const { createClient } = require("redis");

const [port, redisPort, secret] = process.argv.slice(2);

async function main() {
  const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  await redis.connect();
  const app = express();
  app.use((request, response, next) => {
    try {
      request.user = jwt.verify((request.headers.authorization ?? "").slice(7), secret, { algorithms: ["HS256"] }).sub;
      next();
    } catch {
      response.status(401).json({ error: "unauthorized" });
    }
  });
  app.get("/api/jobs/:queue/:id", async (request, response) => {
    const job = await redis.hGetAll(`job:${request.user}:${request.params.id}`);
    if (!job.id) return response.status(404).json({ error: "not found" });
    response.json({ ...job, progress: JSON.parse(job.progress) });
  });
  app.listen(Number(port), "127.0.0.1");
}

main();
