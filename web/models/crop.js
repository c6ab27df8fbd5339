// Which square of a picture is kept: moved and zoomed, and never beyond the picture's edge.
// Pure. It must not know how the picture is drawn or where it came from.

export const MAX_ZOOM = 5;

export class Crop {
  #width;
  #height;
  #zoom = 1;
  #left;
  #top;

  /** @param {{width: number, height: number}} picture in pixels */
  constructor({ width, height }) {
    this.#width = width;
    this.#height = height;
    this.#left = (width - this.#size) / 2;
    this.#top = (height - this.#size) / 2;
  }

  /** 1 where the square is as large as the picture allows, MAX_ZOOM at most. */
  get zoom() {
    return this.#zoom;
  }

  /** The square that is kept, in the picture's pixels. */
  get square() {
    return { left: this.#left, top: this.#top, size: this.#size };
  }

  /**
   * Moves the picture below the square.
   * @param {number} right in sides of the square
   * @param {number} down in sides of the square
   */
  move(right, down) {
    this.#place(this.#left - right * this.#size, this.#top - down * this.#size);
  }

  /**
   * @param {number} zoom
   * @param {{x: number, y: number}} [about] the point of the square that stays where it is, in its sides
   */
  zoomTo(zoom, { x, y } = { x: 0.5, y: 0.5 }) {
    const before = this.#size;
    this.#zoom = between(1, zoom, MAX_ZOOM);
    const given = before - this.#size;
    this.#place(this.#left + given * x, this.#top + given * y);
  }

  get #size() {
    return Math.min(this.#width, this.#height) / this.#zoom;
  }

  /**
   * @param {number} left
   * @param {number} top
   */
  #place(left, top) {
    this.#left = between(0, left, this.#width - this.#size);
    this.#top = between(0, top, this.#height - this.#size);
  }
}

/**
 * @param {number} least
 * @param {number} value
 * @param {number} most
 */
function between(least, value, most) {
  return Math.min(most, Math.max(least, value));
}
