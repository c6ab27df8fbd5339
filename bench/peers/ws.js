// Node with `ws`: a set of sockets for each room, and one buffer that is sent to all of them.

import { WebSocketServer } from "ws";

/** @type {Map<string, Set<import("ws").WebSocket>>} */
const rooms = new Map();

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PORT), perMessageDeflate: false });

server.on("connection", (socket, request) => {
  const [, room, place] = request.url.split("/");
  socket.on("error", () => socket.terminate());
  if (place === "read") join(room, socket);
  else socket.on("message", (text) => publish(room, text));
  socket.send("in");
});

function join(room, socket) {
  const readers = rooms.get(room) ?? new Set();
  rooms.set(room, readers.add(socket));
  socket.on("close", () => {
    readers.delete(socket);
    if (readers.size === 0 && rooms.get(room) === readers) rooms.delete(room);
  });
}

function publish(room, text) {
  for (const reader of rooms.get(room) ?? []) reader.send(text, { binary: false });
}
