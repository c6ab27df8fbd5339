// Bun's own server with topics: what comes from a writer is published to its room by the runtime.

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: process.env.PORT,
  fetch(request, server) {
    const [, room, place] = new URL(request.url).pathname.split("/");
    if (server.upgrade(request, { data: { room, reads: place === "read" } })) return undefined;
    return new Response("a WebSocket is expected here", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.reads) socket.subscribe(socket.data.room);
      socket.send("in");
    },
    message(socket, text) {
      if (!socket.data.reads) server.publish(socket.data.room, text);
    },
  },
});
