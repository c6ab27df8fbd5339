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
import { whyRefused } from "./elements/session-words.js";
import { SignInPage } from "./elements/sign-in-page.js";
import { TypingLine } from "./elements/typing-line.js";
import { addressOf, linkOf } from "./models/address.js";
import { Chat } from "./models/chat.js";
import { sleep, systemClock } from "./models/clock.js";
import { Connection } from "./models/connection.js";
import { pageTitle } from "./models/rooms.js";
import { Times } from "./models/times.js";
import { connectPlace, wear } from "./place.js";
import { currentUser, RestError, signOut, thePlace } from "./rest.js";
import { createRoom } from "./rest-place.js";
import { Router } from "./router.js";
import { browserStorage } from "./storage.js";

/** @typedef {import("./rest.js").Entered} Entered */
/** @typedef {import("./rest.js").SessionUser} SessionUser */

const ASK_AGAIN_MS = 3_000;
const BACK_AFTER_MS = 500;

const shell = element("chat-shell", ChatShell);
const signInPage = element("sign-in-page", SignInPage);

await start();

async function start() {
  const { link, problem } = takeFromAddress();
  const [{ user, note }, place] = await Promise.all([whoIsHere(), untilAnswered(thePlace)]);
  wear(place.accent);
  if (user && !link) show({ user });
  else signInPage.ask({ place, user, note, link, problem }).then(show);
}

// Neither is for the history, nor for whoever looks over a shoulder: a link's token lets anybody in.
function takeFromAddress() {
  const link = linkOf(location.pathname, location.hash);
  const problem = new URLSearchParams(location.search).get("sign_in_problem");
  const path = location.pathname === "/join" ? "/" : location.pathname;
  if (path !== location.pathname || problem) history.replaceState(null, "", path);
  return { link, problem };
}

/** @returns {Promise<{user: SessionUser | null, note?: string}>} */
function whoIsHere() {
  return untilAnswered(async () => {
    try {
      return { user: await currentUser() };
    } catch (error) {
      if (!isBanned(error)) throw error;
      return { user: null, note: whyRefused(error, "") };
    }
  });
}

/**
 * @template T
 * @param {() => Promise<T>} ask
 */
async function untilAnswered(ask) {
  for (;;) {
    try {
      return await ask();
    } catch {
      await sleep(systemClock, ASK_AGAIN_MS);
    }
  }
}

/** @param {unknown} error */
function isBanned(error) {
  return error instanceof RestError && error.code === "banned";
}

/** @param {Entered} entered */
function show({ user, room }) {
  if (room) history.replaceState(null, "", addressOf(room));
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
  profile.connect({ names: chat.names, times, signOut: () => leave(chat, signOut), signedOut: () => leave(chat) });
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

  mindTheSession(chat, user);
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
/**
 * @param {Chat} chat
 * @param {() => Promise<void>} [end] ends the session, unless that has happened already
 */
async function leave(chat, end) {
  chat.forget();
  chat.connection.stop();
  try {
    await end?.();
  } finally {
    location.assign("/");
  }
}

/**
 * @param {Chat} chat
 * @param {SessionUser} user
 */
function mindTheSession(chat, { guest }) {
  const { connection } = chat;
  const signInAgain = async (note = "Your session has ended. Please sign in again.") => {
    connection.stop();
    shell.hidden = true;
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    const place = await untilAnswered(thePlace);
    await signInPage.ask({ place, note, login: guest ? undefined : chat.user.name });
    location.reload();
  };
  const check = async () => {
    try {
      const user = await currentUser();
      if (user?.id === chat.user.id) return true;
      signInAgain();
    } catch (error) {
      if (!isBanned(error)) return true;
      signInAgain(whyRefused(error, ""));
    }
    return false;
  };
  chat.addEventListener("stranger", () => signInAgain());
  connection.addEventListener("refused", check);
  connection.addEventListener("state", async () => {
    if (connection.state.phase !== "stopped") return;
    const ended = connection.state.why === "session-ended";
    // A guest who has become an account has another session by now, and is the same person.
    if (ended) await sleep(systemClock, BACK_AFTER_MS);
    // Whoever is banned has none any more.
    if ((await check()) && ended) connection.start();
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
