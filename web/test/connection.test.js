// One live connection: commands and replies, coming back, and noticing a link that died in silence.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError, Connection, Disconnected } from "../models/connection.js";
import { FakeClock, FakeSocket, settled } from "./support.js";

function setUp() {
  const clock = new FakeClock();
  /** @type {FakeSocket[]} */
  const sockets = [];
  const dial = () => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  };
  const connection = new Connection({ dial, clock, random: () => 1 });
  connection.start();
  return { clock, connection, sockets, socket: () => /** @type {FakeSocket} */ (sockets.at(-1)) };
}

test("it is live from hello on", () => {
  const { connection, socket } = setUp();
  assert.equal(connection.state.phase, "connecting");
  socket().greets();
  assert.equal(connection.live, true);
});

test("a reply answers the command with its ref, whatever the order", async () => {
  const { connection, socket } = setUp();
  socket().greets();
  const first = connection.request({ type: "history", room: "lobby" });
  const second = connection.request({ type: "create", name: "Garden" });
  await socket().replies("create", { room: "garden" });
  await socket().replies("history", { head: 7 });
  assert.deepEqual(await second, { room: "garden" });
  assert.deepEqual(await first, { head: 7 });
});

test("an error reply rejects with its code", async () => {
  const { connection, socket } = setUp();
  socket().greets();
  const asked = connection.request({ type: "create", name: "Garden" });
  await Promise.all([
    assert.rejects(asked, (error) => error instanceof CommandError && error.details.room === "garden"),
    socket().refuses("create", { code: "exists", message: "there is one", room: "garden" }),
  ]);
});

test("commands under way when the connection ends are rejected as disconnected", async () => {
  const { connection, socket } = setUp();
  socket().greets();
  const asked = connection.request({ type: "post", text: "hello" });
  socket().closes(1006);
  await assert.rejects(asked, Disconnected);
  await assert.rejects(connection.request({ type: "post", text: "hello" }), Disconnected);
});

test("it comes back after a loss, later each time", async () => {
  const { clock, connection, sockets, socket } = setUp();
  socket().closes(1006);
  assert.deepEqual(connection.state, { phase: "waiting", why: "lost" });
  await clock.pass(499);
  assert.equal(sockets.length, 1);
  await clock.pass(1);
  assert.equal(sockets.length, 2);
  socket().closes(1006);
  await clock.pass(999);
  assert.equal(sockets.length, 2);
  await clock.pass(1);
  assert.equal(sockets.length, 3);
});

test("a connection that held for a while starts the count anew, one that broke at once does not", async () => {
  const { clock, sockets, socket } = setUp();
  socket().greets();
  socket().closes(1006);
  await clock.pass(500);
  socket().greets();
  socket().closes(1006);
  await clock.pass(999);
  assert.equal(sockets.length, 2);
  await clock.pass(1);
  socket().greets();
  await clock.pass(10_000);
  socket().closes(1006);
  await clock.pass(500);
  assert.equal(sockets.length, 4);
});

test("it does not come back where it is not allowed, nor without a session", async () => {
  for (const code of [1008, 4001]) {
    const { clock, connection, sockets, socket } = setUp();
    socket().greets();
    socket().closes(code);
    await clock.pass(3_600_000);
    assert.equal(connection.state.phase, "stopped");
    assert.equal(sockets.length, 1);
  }
});

test("a socket closed before hello is told as refused", () => {
  const { connection, socket } = setUp();
  let refused = 0;
  connection.addEventListener("refused", () => refused++);
  socket().closes(1006);
  assert.equal(refused, 1);
});

test("waking up tries again at once, but not where there are too many", async () => {
  const { connection, sockets, socket } = setUp();
  socket().closes(1006);
  connection.wake();
  assert.equal(sockets.length, 2);
  socket().closes(4029);
  connection.wake();
  assert.equal(sockets.length, 2);
  connection.retryNow();
  assert.equal(sockets.length, 3);
});

test("waking up on a live connection asks whether it is, and believes silence", async () => {
  const { clock, connection, socket } = setUp();
  const first = socket();
  first.greets();
  connection.wake();
  assert.equal(first.last("present").limit, 1);
  await clock.pass(4_999);
  assert.equal(connection.live, true);
  await clock.pass(1);
  assert.deepEqual(connection.state, { phase: "waiting", why: "lost" });
  assert.equal(first.closed, true);
});

test("an answer, were it an error, is a sign of life", async () => {
  const { clock, connection, socket } = setUp();
  socket().greets();
  connection.wake();
  await socket().refuses("present", { code: "no_room", message: "none" });
  await clock.pass(10_000);
  assert.equal(connection.live, true);
});

test("after two and a half silent heartbeats it asks", async () => {
  const { clock, socket } = setUp();
  socket().greets({ heartbeat_ms: 10_000 });
  await clock.pass(20_000);
  assert.equal(socket().count("present"), 0);
  await clock.pass(10_000);
  assert.equal(socket().count("present"), 1);
});

test("a command that is never answered ends the connection", async () => {
  const { clock, connection, socket } = setUp();
  socket().greets();
  const asked = connection.request({ type: "post", text: "hello" });
  const rejected = assert.rejects(asked, Disconnected);
  await clock.pass(15_000);
  await rejected;
  assert.equal(connection.state.phase, "waiting");
});

test("a server that never says hello is given up", async () => {
  const { clock, connection, sockets, socket } = setUp();
  await clock.pass(14_999);
  assert.equal(connection.state.phase, "connecting");
  await clock.pass(1);
  assert.equal(connection.state.phase, "waiting");
  assert.equal(socket().closed, true);
  await clock.pass(500);
  assert.equal(sockets.length, 2);
});

test("stopped for good, it stays away", async () => {
  const { clock, connection, sockets, socket } = setUp();
  socket().greets();
  connection.stop();
  await clock.pass(3_600_000);
  await settled();
  assert.equal(sockets.length, 1);
  assert.equal(connection.state.phase, "idle");
});
