// <crop-picture>: the square of a picture that is kept, moved by dragging or arrows and zoomed by wheel, pinch, slider
// or + and −. It must not know what becomes of the square.

import { Crop, MAX_ZOOM } from "../models/crop.js";
import { PartElement } from "./part-element.js";

/** What is sent, in pixels a side: twice what the server keeps. */
const SENT_PX = 512;
const STEP = 0.05;
const ZOOM_STEP = 1.1;

export class CropPicture extends PartElement {
  /** @type {ImageBitmap | null} */ #picture = null;
  /** @type {Crop | null} */ #crop = null;
  /** @type {Map<number, {x: number, y: number}>} */ #fingers = new Map();

  connectedCallback() {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#fingers.set(event.pointerId, this.#pointOf(event));
    });
    canvas.addEventListener("pointermove", (event) => this.#dragged(event));
    for (const type of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(type, (event) => this.#fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
    }
    canvas.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#slider.max = String(MAX_ZOOM);
    this.#slider.addEventListener("input", () => this.#change((crop) => crop.zoomTo(Number(this.#slider.value))));
  }

  /**
   * @param {File} file
   * @returns {Promise<void>} rejects where the browser cannot read a picture from it
   */
  async open(file) {
    const picture = await createImageBitmap(file);
    this.close();
    this.#picture = picture;
    this.#crop = new Crop(picture);
    this.hidden = false;
    this.#draw();
    this.#canvas.focus();
  }

  close() {
    this.hidden = true;
    this.#picture?.close();
    this.#picture = null;
    this.#crop = null;
    this.#fingers.clear();
  }

  /** @returns {Promise<Blob>} the square as it is shown */
  result() {
    const sent = document.createElement("canvas");
    sent.width = SENT_PX;
    sent.height = SENT_PX;
    this.#paint(sent);
    return new Promise((resolve, reject) => {
      sent.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture cannot be encoded"))), "image/webp", 0.92);
    });
  }

  get #canvas() {
    return this.find("canvas", HTMLCanvasElement);
  }

  get #slider() {
    return this.child("zoom", HTMLInputElement);
  }

  // One finger moves, two zoom about the middle between them and move with it.
  /** @param {PointerEvent} event */
  #dragged(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    const now = this.#pointOf(event);
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.#fingers.set(event.pointerId, now);
    const share = other ? 0.5 : 1;
    this.#change((crop) => {
      crop.move((now.x - before.x) * share, (now.y - before.y) * share);
      if (!other) return;
      const about = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      crop.zoomTo((crop.zoom * distance(now, other)) / Math.max(0.01, distance(before, other)), about);
    });
  }

  /** @param {WheelEvent} event */
  #wheeled(event) {
    event.preventDefault();
    this.#change((crop) => crop.zoomTo(crop.zoom * ZOOM_STEP ** (-event.deltaY / 100), this.#pointOf(event)));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    /** @type {Record<string, (crop: Crop) => void>} */
    const moves = {
      ArrowLeft: (crop) => crop.move(-STEP, 0),
      ArrowRight: (crop) => crop.move(STEP, 0),
      ArrowUp: (crop) => crop.move(0, -STEP),
      ArrowDown: (crop) => crop.move(0, STEP),
      "+": (crop) => crop.zoomTo(crop.zoom * ZOOM_STEP),
      "=": (crop) => crop.zoomTo(crop.zoom * ZOOM_STEP),
      "-": (crop) => crop.zoomTo(crop.zoom / ZOOM_STEP),
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#change(move);
  }

  /** @param {(crop: Crop) => void} change */
  #change(change) {
    if (!this.#crop) return;
    change(this.#crop);
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.width = side;
    canvas.height = side;
    this.#paint(canvas);
    this.#slider.value = String(this.#crop?.zoom ?? 1);
  }

  /** @param {HTMLCanvasElement} canvas */
  #paint(canvas) {
    const context = canvas.getContext("2d");
    if (!context || !this.#picture || !this.#crop) return;
    const { left, top, size } = this.#crop.square;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#picture, left, top, size, size, 0, 0, canvas.width, canvas.height);
  }

  /** @param {MouseEvent} event @returns {{x: number, y: number}} in sides of the square */
  #pointOf({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }
}

/**
 * @param {{x: number, y: number}} a
 * @param {{x: number, y: number}} b
 */
function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

customElements.define("crop-picture", CropPicture);
