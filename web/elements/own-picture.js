// <own-picture>: one's picture as everybody sees it, a new one chosen, cropped and sent, or the chosen one taken away.
// It must not know how others learn of it.

import { putPicture, removePicture } from "../rest.js";
import { CropPicture } from "./crop-picture.js";
import { PartElement } from "./part-element.js";
import { whyRefused } from "./session-words.js";

const ORIGINS = {
  upload: "Chosen by you.",
  provider: "From where you sign in.",
  gravatar: "From Gravatar, by your e-mail.",
  generated: "Drawn for you by Chinwag.",
};

/** Dispatches `changed`, which bubbles. */
export class OwnPicture extends PartElement {
  /** @type {import("../models/names.js").Names} */ #names;
  #id = "";

  /** @param {import("../models/names.js").Names} names */
  connect(names) {
    this.#names = names;
    names.addEventListener("change", () => this.#draw());
    const file = this.child("file", HTMLInputElement);
    this.child("choose", HTMLElement).addEventListener("click", () => file.click());
    file.addEventListener("change", () => this.#chose(file));
    this.child("remove", HTMLElement).addEventListener("click", () => this.#remove());
    this.child("use", HTMLElement).addEventListener("click", () => this.#send());
    this.child("cancel", HTMLElement).addEventListener("click", () => this.#close());
  }

  /** @param {import("../rest.js").SessionUser} me */
  show({ id, picture }) {
    this.#id = id;
    this.child("origin", HTMLElement).textContent = ORIGINS[picture] ?? "";
    this.child("remove", HTMLElement).hidden = picture !== "upload";
    this.#draw();
    this.#close();
    this.say("picture-problem", "");
  }

  #draw() {
    if (this.#id) this.child("picture", HTMLImageElement).src = this.#names.pictureOf(this.#id);
  }

  /** @param {HTMLInputElement} input */
  async #chose(input) {
    const file = input.files?.[0];
    // The same file may be chosen again.
    input.value = "";
    if (!file) return;
    this.say("picture-problem", "");
    try {
      this.child("crop", HTMLElement).hidden = false;
      this.child("now", HTMLElement).hidden = true;
      await this.#crop.open(file);
    } catch {
      this.#close();
      this.say("picture-problem", `“${file.name}” is no picture that this browser can read. PNG, JPEG, GIF and WebP will do.`);
    }
  }

  async #send() {
    const progress = this.child("progress", HTMLProgressElement);
    this.#working(true);
    try {
      progress.value = 0;
      await putPicture(await this.#crop.result(), (share) => (progress.value = share));
      this.#close();
      this.#changed("That is your picture now, in old messages too.");
    } catch (error) {
      this.say("picture-problem", whyRefused(error, ""));
    } finally {
      this.#working(false);
    }
  }

  async #remove() {
    this.say("picture-problem", "");
    try {
      await removePicture();
      this.#changed("Your picture is taken away.");
    } catch (error) {
      this.say("picture-problem", whyRefused(error, ""));
    }
  }

  /** @param {boolean} working */
  #working(working) {
    this.say("picture-problem", "");
    this.child("progress", HTMLElement).hidden = !working;
    this.child("use", HTMLButtonElement).disabled = working;
  }

  #close() {
    const focused = this.child("crop", HTMLElement).contains(document.activeElement);
    this.#crop.close();
    this.child("crop", HTMLElement).hidden = true;
    this.child("now", HTMLElement).hidden = false;
    if (focused) this.child("choose", HTMLElement).focus();
  }

  /** @param {string} words */
  #changed(words) {
    this.dispatchEvent(new CustomEvent("changed", { bubbles: true, detail: words }));
  }

  get #crop() {
    return this.find("crop-picture", CropPicture);
  }
}

customElements.define("own-picture", OwnPicture);
