// Puts together what the page has for rooms, people and the place: its dialogs, what they do to each other, and the
// look of the place. It must not know how anything is drawn, or how it travels.

import { BriefWords } from "./elements/brief-words.js";
import { BrowsePeople } from "./elements/browse-people.js";
import { ConfirmDialog } from "./elements/confirm-dialog.js";
import { EditPlace } from "./elements/edit-place.js";
import { ListBans } from "./elements/list-bans.js";
import { ListInvites } from "./elements/list-invites.js";
import { ListReports } from "./elements/list-reports.js";
import { MessageMenu } from "./elements/message-menu.js";
import { NewMessage } from "./elements/new-message.js";
import { element } from "./elements/part-element.js";
import { PeopleList } from "./elements/people-list.js";
import { PersonCard } from "./elements/person-card.js";
import { PlaceMenu } from "./elements/place-menu.js";
import { ReadAudit } from "./elements/read-audit.js";
import { whyNot } from "./elements/refusal-words.js";
import { ReportMessage } from "./elements/report-message.js";
import { RoomMembers } from "./elements/room-members.js";
import { RoomSettings } from "./elements/room-settings.js";
import { accentColours } from "./models/accent.js";
import { addressOf } from "./models/address.js";
import { LOBBY } from "./models/rooms.js";
import { thePlace } from "./rest.js";
import { createRoom, deleteMessage, ignore as ignorePerson, stopIgnoring } from "./rest-place.js";

/** @typedef {import("./models/chat.js").Chat} Chat */
/** @typedef {import("./wire.js").Author} Author */
/** @typedef {import("./wire.js").RoomEvent} RoomEvent */

/**
 * @param {object} parts
 * @param {Chat} parts.chat
 * @param {import("./router.js").Router} parts.router
 * @param {import("./models/times.js").Times} parts.times
 * @param {import("./elements/message-log.js").MessageLog} parts.log
 * @returns what buttons open by name
 */
export function connectPlace({ chat, router, times, log }) {
  const tell = (/** @type {string} */ words) => element("brief-words", BriefWords).tell(words);
  const confirm = (/** @type {import("./elements/confirm-dialog.js").Question} */ question) =>
    element("confirm-dialog", ConfirmDialog).ask(question);
  const ignore = (/** @type {Author} */ who, /** @type {boolean} */ on) => ignoreOrNot(chat, who, on);
  const converse = async (/** @type {Author[]} */ people) => {
    router.go(await createRoom({ kind: "direct", members: people.map(({ id }) => id) }));
  };

  const card = element("person-card", PersonCard);
  card.connect({ chat, times, converse, ignore, confirm });
  const showPerson = (/** @type {Author} */ who) => void card.show(who);
  const dialogs = connectDialogs({ chat, times, confirm, converse, showPerson });
  connectMessages({ chat, log, confirm, tell, ignore, showPerson });
  element("people-list", PeopleList).addEventListener("person", (event) => showPerson(/** @type {CustomEvent} */ (event).detail));

  chat.addEventListener("lost", (event) => {
    router.go(LOBBY);
    tell(`You are no longer in ${/** @type {CustomEvent} */ (event).detail.name}.`);
  });
  dress(chat);
  return dialogs;
}

/**
 * @param {object} parts
 * @param {Chat} parts.chat
 * @param {import("./models/times.js").Times} parts.times
 * @param {(question: import("./elements/confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
 * @param {(people: Author[]) => Promise<void>} parts.converse
 * @param {(who: Author) => void} parts.showPerson
 */
function connectDialogs({ chat, times, confirm, converse, showPerson }) {
  const newMessage = element("new-message", NewMessage);
  const people = element("browse-people", BrowsePeople);
  const settings = element("room-settings", RoomSettings);
  const members = element("room-members", RoomMembers);
  const menu = element("place-menu", PlaceMenu);
  const place = element("edit-place", EditPlace);
  const invites = element("list-invites", ListInvites);
  const reports = element("list-reports", ListReports);
  const bans = element("list-bans", ListBans);
  const audit = element("read-audit", ReadAudit);
  newMessage.connect({ chat, converse });
  people.connect({ chat, showPerson });
  settings.connect({ chat, confirm });
  members.connect({ chat, confirm, showPerson, invite: (room) => void invites.open(room) });
  menu.connect(chat);
  place.connect(chat);
  invites.connect({ chat, times });
  reports.connect({ chat, times, confirm });
  bans.connect({ times });
  audit.connect({ chat, times });
  return {
    "new-message": newMessage,
    "browse-people": people,
    "room-settings": settings,
    "room-members": members,
    "place-menu": menu,
    "edit-place": place,
    "list-invites": invites,
    "list-reports": reports,
    "list-bans": bans,
    "read-audit": audit,
  };
}

/**
 * @param {object} parts
 * @param {Chat} parts.chat
 * @param {import("./elements/message-log.js").MessageLog} parts.log
 * @param {(question: import("./elements/confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
 * @param {(words: string) => void} parts.tell
 * @param {(who: Author, on: boolean) => Promise<void>} parts.ignore
 * @param {(who: Author) => void} parts.showPerson
 */
function connectMessages({ chat, log, confirm, tell, ignore, showPerson }) {
  const menu = element("message-menu", MessageMenu);
  const report = element("report-message", ReportMessage);
  report.connect({ tell });
  menu.connect({
    chat,
    carryOut: (act, message) => {
      const { room } = chat;
      if (!room) return;
      if (act === "copy") copyLink(room, message.seq, tell);
      else if (act === "report") report.show(room, message.seq, chat.names.nameOf(message.author));
      else if (act === "person") showPerson(message.author);
      else if (act === "ignore") trying(tell, () => ignore(message.author, !chat.me.ignores(message.author.id)));
      else trying(tell, () => deleteAfterAsking(room, message, confirm));
    },
  });
  log.addEventListener("menu", (event) => {
    const { message, button } = /** @type {CustomEvent<import("./elements/message-log.js").MenuWanted>} */ (event).detail;
    menu.show(message, button.getBoundingClientRect());
  });
  log.addEventListener("person", (event) => showPerson(/** @type {CustomEvent} */ (event).detail));
}

/**
 * @param {string} room
 * @param {RoomEvent} message
 * @param {(question: import("./elements/confirm-dialog.js").Question) => Promise<boolean>} confirm
 */
async function deleteAfterAsking(room, { seq, text = "" }, confirm) {
  const start = [...text].slice(0, 80).join("");
  const words = `“${start}${start.length < text.length ? "…" : ""}” is emptied, for everyone.`;
  if (await confirm({ title: "Delete the message?", words, action: "Delete" })) await deleteMessage(room, seq);
}

// Without HTTPS a browser has no clipboard for pages; then the link is at least to be seen.
/**
 * @param {string} room
 * @param {number} seq
 * @param {(words: string) => void} tell
 */
async function copyLink(room, seq, tell) {
  const link = new URL(addressOf(room, seq), location.origin).href;
  try {
    await navigator.clipboard.writeText(link);
    tell("The link is copied.");
  } catch {
    tell(`This browser does not let the page copy. The link is ${link}`);
  }
}

/**
 * @param {Chat} chat
 * @param {Author} who
 * @param {boolean} on
 */
async function ignoreOrNot(chat, { id }, on) {
  if (on) await ignorePerson(id);
  else await stopIgnoring(id);
  chat.me.ignore(id, on);
}

/**
 * @param {(words: string) => void} tell
 * @param {() => Promise<void>} act
 */
async function trying(tell, act) {
  try {
    await act();
  } catch (error) {
    tell(whyNot(error));
  }
}

// A push that was missed while there was no connection is made up for on coming back.
/** @param {Chat} chat */
function dress({ connection, place }) {
  place.addEventListener("change", () => wear(place.accent));
  connection.addEventListener("hello", async () => {
    try {
      place.apply(await thePlace());
    } catch {
      // It goes by the name it had.
    }
  });
}

/** @param {string | null} accent the place's own colour, `#rrggbb`, or none */
export function wear(accent) {
  const { style } = document.documentElement;
  for (const part of ["day", "day-strong", "day-soft", "night", "night-soft"]) style.removeProperty(`--place-${part}`);
  if (!accent) return;
  for (const [part, colour] of Object.entries(accentColours(accent))) style.setProperty(`--place-${part}`, colour);
}
