// One row of the log as DOM: made once, filled again when its content changed. The only place where the server's
// sanitised html enters the page; everything else goes in as text. It must not know scrolling or the models.

import { addressOf } from "../models/address.js";
import { noticeOf } from "../models/notices.js";

/** @typedef {import("../models/rows.js").Row} Row */
/** @typedef {import("../models/rows.js").MessageRow} MessageRow */

/**
 * @typedef {object} RowContext
 * @property {string} room
 * @property {string} roomName
 * @property {string} me
 * @property {import("../models/names.js").Names} names
 * @property {import("../models/times.js").Times} times
 */

/** @type {Record<MessageRow["state"], string>} */
const STATE_WORDS = { confirmed: "", sent: "", pending: "Sending…", failed: "Not sent" };

/**
 * @param {Row} row
 * @returns {HTMLElement}
 */
export function createRow(row) {
  if (row.type === "message") return cloneMessage();
  const element = document.createElement("div");
  element.className = row.type === "notice" || row.type === "folded" ? `${row.type}-row` : `divider divider--${row.type}`;
  if (row.type === "day" || row.type === "unread") element.setAttribute("role", "separator");
  return element;
}

/**
 * What the row looks like, in one string: a row is filled again only when this differs.
 * @param {Row} row
 * @param {RowContext} context
 */
export function looksOf(row, context) {
  if (row.type === "day") return context.times.day(row.at);
  if (row.type === "folded") return foldedWords(row, context);
  if (row.type === "notice") return noticeOf(row.event, (user) => context.names.nameOf(user));
  if (row.type !== "message") return context.roomName;
  const { event } = row;
  const who = [context.names.nameOf(event.author), context.names.pictureOf(event.author.id)];
  return [who, row.lead, row.state, row.reason, event.at, event.redacted, event.edited, event.html ?? event.text].join("\n");
}

/**
 * @param {HTMLElement} element
 * @param {Row} row
 * @param {RowContext} context
 */
export function fillRow(element, row, context) {
  if (row.type === "message") {
    fillMessage(element, row, context);
    return;
  }
  const words = document.createElement("span");
  if (row.type === "day") words.textContent = context.times.day(row.at);
  else if (row.type === "unread") words.textContent = "New";
  else if (row.type === "beginning") words.textContent = `This is where ${context.roomName} begins.`;
  else if (row.type === "folded") words.textContent = foldedWords(row, context);
  else words.textContent = noticeOf(row.event, (user) => context.names.nameOf(user));
  element.replaceChildren(words);
  if (row.type === "folded") element.append(" ", openButton(row.seqs));
}

/**
 * @param {import("../models/rows.js").FoldedRow} row
 * @param {RowContext} context
 */
function foldedWords({ author, seqs }, { names }) {
  return `${seqs.length === 1 ? "A message" : `${seqs.length} messages`} of ${names.nameOf(author)}, whom you ignore.`;
}

/** @param {number[]} seqs */
function openButton(seqs) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "message__action";
  button.dataset.action = "open";
  button.dataset.seqs = seqs.join(" ");
  button.textContent = "Show";
  return button;
}

/**
 * @param {HTMLElement} element
 * @param {MessageRow} row
 * @param {RowContext} context
 */
function fillMessage(element, { event, lead, own, state, reason }, context) {
  const name = context.names.nameOf(event.author);
  element.dataset.state = state;
  element.dataset.seq = state === "confirmed" ? String(event.seq) : "";
  element.classList.toggle("message--lead", lead);
  element.classList.toggle("message--own", own);
  element.classList.toggle("message--for-me", !own && Boolean(event.mentions?.includes(context.me)));
  element.classList.toggle("message--redacted", Boolean(event.redacted));

  const picture = part(element, "img.message__avatar", HTMLImageElement);
  const source = context.names.pictureOf(event.author.id);
  if (!lead) picture.removeAttribute("src");
  else if (picture.getAttribute("src") !== source) picture.src = source;
  part(element, ".message__author", HTMLElement).textContent = name;
  part(element, ".message__more", HTMLButtonElement).hidden = state !== "confirmed";

  fillTime(element, event, lead, state, context);
  fillBody(part(element, ".message__body", HTMLElement), event);
  fillState(part(element, ".message__state", HTMLElement), state, reason, event);
}

/**
 * @param {HTMLElement} element
 * @param {import("../wire.js").RoomEvent} event
 * @param {boolean} lead
 * @param {MessageRow["state"]} state
 * @param {RowContext} context
 */
function fillTime(element, event, lead, state, { room, times }) {
  const at = Date.parse(event.at);
  const link = part(element, ".message__time", HTMLAnchorElement);
  const time = part(element, "time", HTMLTimeElement);
  time.dateTime = event.at;
  time.textContent = lead ? times.hour(at) : times.hourBriefly(at);
  link.title = times.full(at);
  if (state === "confirmed") link.href = addressOf(room, event.seq);
}

/**
 * @param {HTMLElement} body
 * @param {import("../wire.js").RoomEvent} event
 */
function fillBody(body, event) {
  body.classList.toggle("message__body--plain", event.html === undefined);
  if (event.redacted) body.textContent = "This message was deleted.";
  else if (event.html === undefined) body.textContent = event.text ?? "";
  else body.innerHTML = event.html;

  for (const link of body.querySelectorAll("a")) {
    if (link.origin === location.origin) continue;
    link.target = "_blank";
    link.relList.add("noopener", "noreferrer");
  }
  for (const block of body.querySelectorAll("pre")) block.tabIndex = 0;
  if (event.edited && !event.redacted) {
    const mark = document.createElement("span");
    mark.className = "message__edited";
    mark.textContent = "edited";
    body.append(" ", mark);
  }
}

/**
 * @param {HTMLElement} place
 * @param {MessageRow["state"]} state
 * @param {string | undefined} reason
 * @param {import("../wire.js").RoomEvent} event
 */
function fillState(place, state, reason, event) {
  place.textContent = STATE_WORDS[state];
  if (state !== "failed") return;
  place.append(reason ? `: ${reason}. ` : ". ");
  for (const [action, words] of [["retry", "Try again"], ["discard", "Discard"]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "message__action";
    button.dataset.action = action;
    button.dataset.txn = event.txn_id;
    button.textContent = words ?? "";
    place.append(button);
  }
}

function cloneMessage() {
  const template = part(document, "#message-template", HTMLTemplateElement);
  return part(/** @type {ParentNode} */ (template.content.cloneNode(true)), "article", HTMLElement);
}

/**
 * @template {Element} T
 * @param {ParentNode} within
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
function part(within, selector, type) {
  const found = within.querySelector(selector);
  if (found instanceof type) return found;
  throw new Error(`no ${type.name} at ${selector}`);
}
