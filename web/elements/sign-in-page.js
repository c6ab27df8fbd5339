// <sign-in-page>: the door. Shows what the place is called, what a link in the visitor's hand leads to, and the ways
// in that are open. It must not know what follows, and keeps a link's token nowhere but here.

import { leadOf, providerAddress, providerProblem, waysIn } from "../models/door.js";
import { lookAtLink, RestError } from "../rest.js";
import { AcceptLink } from "./accept-link.js";
import { AccountForm } from "./account-form.js";
import { ForgottenForm } from "./forgotten-form.js";
import { GuestForm } from "./guest-form.js";
import { PartElement } from "./part-element.js";
import { PasswordForm } from "./password-form.js";
import { ResetForm } from "./reset-form.js";
import { whyRefused } from "./session-words.js";
import { TabList } from "./tab-list.js";

/** @typedef {import("../rest.js").Entered} Entered */
/** @typedef {import("../rest.js").SessionUser} SessionUser */
/** @typedef {import("../wire.js").Link} Link */
/** @typedef {import("../wire.js").Place} Place */
/** @typedef {"ways" | "forgotten" | "reset" | "accept"} Scene */

/**
 * @typedef {object} Visit
 * @property {Place} place
 * @property {SessionUser | null} [user] who is signed in already
 * @property {string | null} [link] the token of a link to come in by
 * @property {string | null} [problem] what went wrong at a provider, as a code
 * @property {string} [note] why one is asked again
 * @property {string} [login] who was here
 */

export class SignInPage extends PartElement {
  /** @type {Visit} */ #visit;
  /** @type {Link | null} */ #link = null;
  /** @type {(entered: Entered) => void} */ #done = () => {};

  connectedCallback() {
    this.#ways.addEventListener("choose", () => this.#chose());
    const entered = (/** @type {Entered} */ who) => this.#done(who);
    this.#guest.connect({ entered });
    this.#account.connect({ entered });
    this.#accept.connect({ entered });
    this.#password.connect({ entered: (who) => this.#signedIn(who), forgotten: () => this.#forgot() });
    this.#forgotten.connect({ back: (note) => this.#showWays(note) });
    this.#reset.connect({ changed: (login) => this.#resetDone(login) });
  }

  /**
   * @param {Visit} visit
   * @returns {Promise<Entered>}
   */
  async ask(visit) {
    const entered = new Promise((/** @type {(entered: Entered) => void} */ resolve) => {
      this.#done = (who) => {
        this.hidden = true;
        resolve(who);
      };
    });
    const { note = "", problem, place } = visit;
    document.title = place.name;
    this.find('[data-part="wordmark"]', SVGElement).toggleAttribute("hidden", place.name !== "Chinwag");
    this.say("place", place.name === "Chinwag" ? "" : place.name);
    this.say("welcome", place.welcome);
    await this.#start(visit, problem ? providerProblem(problem) : note);
    return entered;
  }

  /**
   * @param {Visit} visit
   * @param {string} note
   */
  async #start(visit, note) {
    this.#visit = visit;
    this.#link = null;
    let words = note;
    try {
      if (visit.link) this.#link = await lookAtLink(visit.link);
    } catch (error) {
      words = whyRefused(error, "");
      if (!(error instanceof RestError)) words += " Open your link again in a moment.";
    }
    this.hidden = false;
    this.#prepare();
    const { user, link } = visit;
    if (this.#link?.kind === "reset" && link) this.#showReset(link, this.#link);
    else if (!user) this.#showWays(words);
    else if (user.guest && this.#link && this.#link.role !== "guest") this.#showWays(asGuest(user));
    else this.#offer(user, words);
  }

  #prepare() {
    const { place, link, login, user } = this.#visit;
    const owner = this.#link?.kind === "owner";
    const invite = (this.#link && link) || undefined;
    this.#guest.invite = invite;
    this.#account.invite = invite;
    this.#account.show({ name: user?.name, owner });
    this.#password.show({ login, mail: place.mail });
    const links = place.providers.map(({ id, name }) => providerLink(name, providerAddress(id, location.pathname, invite)));
    this.child("provider-links", HTMLElement).replaceChildren(...links);
  }

  /** @param {string} note */
  #showWays(note) {
    const { place, login } = this.#visit;
    const ways = waysIn(place, this.#link);
    this.#show("ways", note);
    this.#ways.offer(ways);
    this.#ways.hidden = ways.length < 2;
    this.child("providers", HTMLElement).hidden = place.providers.length === 0;
    this.child("or", HTMLElement).hidden = ways.length === 0;
    this.#ways.choose((login && ways.includes("sign-in") ? "sign-in" : ways[0]) ?? "");
    const first = [...this.querySelectorAll("input")].find((input) => input.checkVisibility() && !input.value);
    first?.focus();
  }

  #chose() {
    const way = /** @type {import("../models/door.js").Way | ""} */ (this.#ways.chosen);
    this.say("lead", leadOf(way || undefined, this.#visit.place, this.#link));
  }

  #forgot() {
    this.#show("forgotten", "");
    this.say("lead", "Say who you are, and a link for a new password comes by mail.");
    this.#forgotten.show(this.#password.value("login"));
  }

  /**
   * @param {string} token
   * @param {Link} link
   */
  #showReset(token, { user }) {
    const name = user?.name ?? "";
    this.#show("reset", "");
    this.say("lead", `A new password for ${name}. Every session of that account ends with the old one.`);
    this.#reset.show(token, name);
  }

  /** @param {string} login */
  #resetDone(login) {
    this.#start({ ...this.#visit, user: null, link: null, login }, "Your password is changed. Sign in with it.");
  }

  /**
   * To somebody who is signed in: what the link in their hand leads to, or why it leads nowhere.
   * @param {SessionUser} user
   * @param {string} note
   */
  #offer(user, note) {
    const { place, link } = this.#visit;
    const owner = this.#link?.kind === "owner";
    this.#show("accept", note);
    this.say("lead", owner ? "You are about to own this place." : this.#link ? leadOf(undefined, place, this.#link) : "");
    this.#accept.show(user, this.#link && link ? { link, owner } : null);
  }

  // Signing in takes no link along: whoever came by one is asked about it now.
  /** @param {Entered} entered */
  #signedIn(entered) {
    if (!this.#link) this.#done(entered);
    else this.#offer(entered.user, "");
  }

  /**
   * @param {Scene} scene
   * @param {string} note
   */
  #show(scene, note) {
    for (const part of this.querySelectorAll("[data-scene]")) part.toggleAttribute("hidden", part.getAttribute("data-scene") !== scene);
    this.say("note", note);
  }

  get #ways() {
    return this.find("tab-list", TabList);
  }

  get #guest() {
    return this.find("guest-form", GuestForm);
  }

  get #account() {
    return this.find("account-form", AccountForm);
  }

  get #password() {
    return this.find("password-form", PasswordForm);
  }

  get #forgotten() {
    return this.find("forgotten-form", ForgottenForm);
  }

  get #reset() {
    return this.find("reset-form", ResetForm);
  }

  get #accept() {
    return this.find("accept-link", AcceptLink);
  }
}

/** @param {SessionUser} guest */
function asGuest({ name }) {
  return `You are here as a guest called ${name}. What you have said stays yours when you make an account of it.`;
}

/**
 * @param {string} name
 * @param {string} address
 */
function providerLink(name, address) {
  const link = document.createElement("a");
  link.className = "button button--wide";
  link.href = address;
  link.textContent = `Continue with ${name}`;
  return link;
}

customElements.define("sign-in-page", SignInPage);
