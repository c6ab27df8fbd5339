// socket.io over WebSocket alone: its adapter encodes an event once and writes it to every socket of the room.

import { Server } from "socket.io";
import { createServer } from "node:http";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  const { room, place } = socket.handshake.query;
  if (place === "read") socket.join(room);
  else socket.on("message", (text) => io.to(room).emit("message", text));
});

http.listen(Number(process.env.PORT), "127.0.0.1");
