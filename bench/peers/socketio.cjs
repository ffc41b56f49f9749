// The stack that SmartVoice replaces: Socket.IO 4 with its Redis adapter, a JWT on connect, and one room for each user.
const { createServer } = require("node:http");
const { createAdapter } = require("@socket.io/redis-adapter");
const jwt = require("jsonwebtoken");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [port, redisPort, secret, heartbeatMs] = process.argv.slice(2);

async function main() {
  const publisher = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(publisher, subscriber), pingInterval: Number(heartbeatMs) });
  io.use((socket, next) => {
    try {
      socket.data.user = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ["HS256"] }).sub;
      next();
    } catch (error) {
      next(error);
    }
  });
  io.on("connection", (socket) => socket.join(`user:${socket.data.user}`));
  http.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });
}

main();
