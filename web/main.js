// Starts the page: who is here, their chat, and the elements that show it.
// It must not know how anything is drawn, or how it travels.

import { BrowseRooms } from "./elements/browse-rooms.js";
import { ChatShell } from "./elements/chat-shell.js";
import { ConnectionBanner } from "./elements/connection-banner.js";
import { CreateRoom } from "./elements/create-room.js";
import { EditProfile } from "./elements/edit-profile.js";
import { MessageComposer } from "./elements/message-composer.js";
import { MessageLog } from "./elements/message-log.js";
import { PeopleList } from "./elements/people-list.js";
import { element } from "./elements/part-element.js";
import { RoomHeader } from "./elements/room-header.js";
import { RoomList } from "./elements/room-list.js";
import { SignInPage } from "./elements/sign-in-page.js";
import { TypingLine } from "./elements/typing-line.js";
import { Chat } from "./models/chat.js";
import { sleep, systemClock } from "./models/clock.js";
import { Connection } from "./models/connection.js";
import { pageTitle } from "./models/rooms.js";
import { Times } from "./models/times.js";
import { connectPlace } from "./place.js";
import { currentUser, signOut } from "./rest.js";
import { createRoom } from "./rest-place.js";
import { Router } from "./router.js";
import { browserStorage } from "./storage.js";

/** @typedef {import("./rest.js").SessionUser} SessionUser */

const ASK_AGAIN_MS = 3_000;

const shell = element("chat-shell", ChatShell);
const signInPage = element("sign-in-page", SignInPage);

await start();

async function start() {
  const user = await whoIsHere();
  if (user) show(user);
  else signInPage.ask().then(show);
}

async function whoIsHere() {
  for (;;) {
    try {
      return await currentUser();
    } catch {
      await sleep(systemClock, ASK_AGAIN_MS);
    }
  }
}

/** @param {SessionUser} user */
function show(user) {
  const connection = new Connection({ dial, clock: systemClock });
  const storage = browserStorage();
  const chat = new Chat({ user, connection, storage, clock: systemClock });
  const router = new Router({ chat, storage });
  const times = new Times({ now: systemClock.now, locale: navigator.language });
  const log = element("message-log", MessageLog);
  const composer = element("message-composer", MessageComposer);
  const browse = element("browse-rooms", BrowseRooms);
  const create = element("create-room", CreateRoom);
  const profile = element("edit-profile", EditProfile);

  element("room-list", RoomList).connect(chat);
  element("room-header", RoomHeader).connect(chat);
  element("connection-banner", ConnectionBanner).connect(chat);
  element("typing-line", TypingLine).connect(chat);
  element("people-list", PeopleList).connect(chat);
  log.connect(chat, times);
  composer.connect(chat, times);

  /** @type {(room: string, name?: string) => void} */
  const choose = (room, name) => router.go(room, { name });
  browse.connect({ choose, create: (name) => create.open(name) });
  create.connect({
    me: chat.me,
    choose,
    create: async (name, kind) => choose(kind === "public" ? await chat.create(name) : await createRoom({ kind, name }), name),
  });
  profile.connect({ signOut: () => leave(chat) });
  const placeDialogs = connectPlace({ chat, router, times, log });
  const dialogs = { "browse-rooms": browse, "create-room": create, "edit-profile": profile, ...placeDialogs };
  document.addEventListener("click", (event) => {
    const opener = event.target instanceof Element ? event.target.closest("[data-open]") : null;
    const name = opener instanceof HTMLElement ? opener.dataset.open : undefined;
    if (name) dialogs[/** @type {keyof typeof dialogs} */ (name)].open();
  });

  shell.connect((shortcut) => {
    if (shortcut === "find") browse.open();
    else if (shortcut === "write") composer.focusText();
    else if (shortcut === "escape") log.toEnd();
    else router.step(shortcut);
  });
  router.addEventListener("going", (event) => {
    const { room, seq } = /** @type {CustomEvent} */ (event).detail;
    if (room === chat.room && seq === undefined) log.toEnd();
    else log.landAt(seq ?? "line");
    shell.closeDrawer();
    if (matchMedia("(pointer: fine)").matches) composer.focusText();
  });
  chat.rooms.addEventListener("change", () => retitle(chat));
  chat.addEventListener("open", () => retitle(chat));
  chat.place.addEventListener("change", () => retitle(chat));

  mindTheSession(chat);
  mindTheDevice(connection);
  shell.hidden = false;
  connection.start();
  router.start();
}

/** @param {Chat} chat */
function retitle(chat) {
  document.title = pageTitle(chat.rooms, chat.room, chat.place.name);
}

// Starting over with an empty page is the surest way to leave nothing of one person to the next.
/** @param {Chat} chat */
async function leave(chat) {
  chat.forget();
  chat.connection.stop();
  try {
    await signOut();
  } finally {
    location.assign("/");
  }
}

/** @param {Chat} chat */
function mindTheSession(chat) {
  const { connection } = chat;
  const signInAgain = async () => {
    connection.stop();
    shell.hidden = true;
    await signInPage.ask("Your session has ended. Please sign in again.");
    location.reload();
  };
  const check = async () => {
    const user = await currentUser().catch(() => undefined);
    if (user === null || (user && user.id !== chat.user.id)) signInAgain();
  };
  chat.addEventListener("stranger", signInAgain);
  connection.addEventListener("refused", check);
  connection.addEventListener("state", () => {
    if (connection.state.phase === "stopped" && connection.state.why === "session-ended") signInAgain();
  });
}

/** @param {Connection} connection */
function mindTheDevice(connection) {
  const wake = () => connection.wake();
  addEventListener("online", wake);
  addEventListener("offline", wake);
  addEventListener("pageshow", wake);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) wake();
  });
}

function dial() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}/api/socket`);
}
