// <own-second-factor>: a code beside the password. Switched on in two steps, the second of which proves that the app
// has the secret; the recovery codes are shown once. It must not know how one signs in with a code.

import { prepareSecondFactor, switchSecondFactorOff, switchSecondFactorOn } from "../rest.js";
import { CopyText } from "./copy-text.js";
import { FormElement } from "./form-element.js";
import { FieldProblem } from "./session-words.js";

/** @typedef {"off" | "proving" | "keeping" | "on"} Step */

const BUTTONS = { off: "Set it up", proving: "Switch it on", keeping: "I have kept them", on: "Switch it off" };

/** Dispatches `changed`, which bubbles. */
export class OwnSecondFactor extends FormElement {
  /** @type {Step} */ #step = "off";

  /** @param {import("../rest.js").SessionUser} me */
  show({ password, second_factor }) {
    this.hidden = !password;
    if (this.#step !== "keeping") this.#enter(second_factor ? "on" : "off");
  }

  /** What was shown once is not shown again. */
  forget() {
    this.find("copy-text", CopyText).show("");
    this.#enter("off");
  }

  async send() {
    if (this.#step === "off") await this.#prepare();
    else if (this.#step === "proving") await this.#prove();
    else if (this.#step === "on") await this.#switchOff();
    else this.#kept();
  }

  async #prepare() {
    const { secret, qr, uri } = await prepareSecondFactor(this.#password());
    this.#enter("proving");
    this.child("qr", HTMLImageElement).src = `data:image/svg+xml,${encodeURIComponent(qr)}`;
    this.child("secret", HTMLElement).textContent = inFours(secret);
    this.child("app", HTMLAnchorElement).href = uri;
    this.#button.scrollIntoView({ block: "end" });
    this.field("code").focus();
  }

  async #prove() {
    const code = this.value("code").replace(/\s/g, "");
    if (!code) throw new FieldProblem("code", "Which code does your app show?");
    const { recovery } = await switchSecondFactorOn(code);
    this.#enter("keeping");
    this.find("copy-text", CopyText).show(recovery.join("\n"));
    this.#button.scrollIntoView({ block: "end" });
  }

  async #switchOff() {
    await switchSecondFactorOff(this.#password());
    this.#enter("off");
    this.#changed("The second factor is off: your password alone is enough.");
  }

  #kept() {
    this.forget();
    this.#changed("The second factor is on. You are asked for a code when you sign in.");
  }

  get #button() {
    return this.find("button[type=submit]", HTMLElement);
  }

  #password() {
    const password = this.value("password");
    if (!password) throw new FieldProblem("password", "Your password is needed for this.");
    return password;
  }

  /** @param {Step} step */
  #enter(step) {
    this.#step = step;
    this.clear();
    this.child("qr", HTMLElement).removeAttribute("src");
    this.child("secret", HTMLElement).textContent = "";
    this.child("app", HTMLElement).removeAttribute("href");
    for (const part of this.querySelectorAll("[data-steps]")) {
      if (part instanceof HTMLElement) part.hidden = !part.dataset.steps?.split(" ").includes(step);
    }
    this.#button.textContent = BUTTONS[step];
  }

  /** @param {string} words */
  #changed(words) {
    this.dispatchEvent(new CustomEvent("changed", { bubbles: true, detail: words }));
  }
}

// As it is read aloud, or typed by hand.
/** @param {string} secret */
function inFours(secret) {
  return secret.replace(/(.{4})(?=.)/g, "$1 ");
}

customElements.define("own-second-factor", OwnSecondFactor);
