// <moderate-person>: mutes, kicks and bans one person, and lifts it again. Whether one may is decided outside.
// It must not know the card that it stands in.

import { ban, kick, liftBan, liftMute, mute } from "../rest-place.js";
import { PartElement } from "./part-element.js";
import { whyNot } from "./refusal-words.js";

/** @typedef {import("../rest-place.js").Person} Person */
/** @typedef {"mute" | "kick" | "ban"} Act */

/** @type {Record<Act, {verb: string, hint: string, done: string}>} */
const ACTS = {
  mute: { verb: "Mute", hint: "They can read, and not write.", done: "is muted" },
  kick: { verb: "Kick", hint: "Their connections end, and a guest's session. They may come back.", done: "was kicked" },
  ban: { verb: "Ban", hint: "They are sent away and cannot come in. For a guest this holds for their address too.", done: "is banned" },
};

export class ModeratePerson extends PartElement {
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} */ #confirm;
  /** @type {() => void} */ #done;
  /** @type {Person} */ #person;

  /**
   * @param {object} parts
   * @param {import("../models/times.js").Times} parts.times
   * @param {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
   * @param {() => void} parts.done
   */
  connect({ times, confirm, done }) {
    this.#times = times;
    this.#confirm = confirm;
    this.#done = done;
    this.find("form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#carryOut();
    });
    this.find("[name=act]", HTMLSelectElement).addEventListener("change", () => this.#drawForm());
    this.child("lift-mute", HTMLElement).addEventListener("click", () => this.#lift(liftMute));
    this.child("lift-ban", HTMLElement).addEventListener("click", () => this.#lift(liftBan));
  }

  restart() {
    this.find("form", HTMLFormElement).reset();
    this.child("moderate-said", HTMLElement).textContent = "";
  }

  /** @param {Person} person */
  show(person) {
    this.#person = person;
    this.hidden = false;
    const { muted_until: muted, banned_until: banned, role } = person;
    // Nobody is told how things stand with a guest: lifting is offered in any case.
    const guest = role === "guest";
    this.say("muted", muted === undefined ? "" : `Muted ${this.#times.until(muted)}.`);
    this.say("banned", banned === undefined ? "" : `Banned ${this.#times.until(banned)}.`);
    this.child("lift-mute", HTMLElement).hidden = muted === undefined && !guest;
    this.child("lift-ban", HTMLElement).hidden = banned === undefined && !guest;
    this.#drawForm();
  }

  get #act() {
    return /** @type {Act} */ (this.find("[name=act]", HTMLSelectElement).value);
  }

  get #minutes() {
    const { value } = this.find("[name=minutes]", HTMLSelectElement);
    return value ? Number(value) : null;
  }

  #drawForm() {
    const act = this.#act;
    this.child("minutes", HTMLElement).hidden = act === "kick";
    this.child("reason", HTMLElement).hidden = act !== "ban";
    this.child("act-hint", HTMLElement).textContent = ACTS[act].hint;
    this.child("carry-out", HTMLElement).textContent = `${ACTS[act].verb} ${this.#person.name}`;
  }

  async #carryOut() {
    const { id, name } = this.#person;
    const act = this.#act;
    const { verb, hint, done } = ACTS[act];
    if (act !== "mute" && !(await this.#confirm({ title: `${verb} ${name}?`, words: hint, action: verb }))) return;
    const reason = this.find("[name=reason]", HTMLInputElement).value.trim();
    await this.#try(async () => {
      if (act === "mute") await mute(id, this.#minutes);
      else if (act === "kick") await kick(id);
      else await ban(id, { minutes: this.#minutes, ...(reason && { reason }) });
    }, `${name} ${done}.`);
  }

  /** @param {(id: string) => Promise<void>} lift */
  #lift(lift) {
    return this.#try(() => lift(this.#person.id), "Lifted.");
  }

  /**
   * @param {() => Promise<void>} act
   * @param {string} done
   */
  async #try(act, done) {
    let words = done;
    try {
      await act();
      this.#done();
    } catch (error) {
      words = whyNot(error);
    }
    this.child("moderate-said", HTMLElement).textContent = words;
  }
}

customElements.define("moderate-person", ModeratePerson);
