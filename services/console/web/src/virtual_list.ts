// A list of any length: only the rows that are seen are in the page.

export interface VirtualRows {
  count: number;
  /** Makes the row at a place. */
  row: (place: number) => HTMLElement;
}

/** Rows beyond those that are seen, so that scrolling shows no gap. */
const BEYOND = 8;

/** A scrolled list whose rows have one height. */
export class VirtualList {
  readonly #view: HTMLElement;
  readonly #list: HTMLElement;
  readonly #rowPx: number;
  #rows: VirtualRows = { count: 0, row: () => document.createElement("div") };
  #isPlanned = false;
  /** Whether the list keeps to its end while rows are added. */
  isFollowing = false;

  constructor(view: HTMLElement, options: { rowPx: number; label: string }) {
    this.#view = view;
    this.#rowPx = options.rowPx;
    this.#list = document.createElement("div");
    this.#list.setAttribute("role", "list");
    this.#list.setAttribute("aria-label", options.label);
    this.#list.className = "rows";
    view.replaceChildren(this.#list);
    view.addEventListener("scroll", () => this.#plan());
    new ResizeObserver(() => this.#plan()).observe(view);
    view.addEventListener("keydown", (event) => this.#move(event));
  }

  /** Shows other rows, or more of them. */
  show(rows: VirtualRows): void {
    this.#rows = rows;
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    requestAnimationFrame(() => {
      this.#isPlanned = false;
      this.#draw();
    });
  }

  #draw(): void {
    this.#list.style.height = `${this.#rows.count * this.#rowPx}px`;
    if (this.isFollowing) this.#view.scrollTop = this.#view.scrollHeight;
    const first = Math.max(0, Math.floor(this.#view.scrollTop / this.#rowPx) - BEYOND);
    const last = Math.min(this.#rows.count, Math.ceil((this.#view.scrollTop + this.#view.clientHeight) / this.#rowPx) + BEYOND);
    const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-place]");
    const focusedPlace = focused && this.#list.contains(focused) ? focused.dataset["place"] : undefined;
    const drawn: HTMLElement[] = [];
    for (let place = first; place < last; place++) {
      const row = this.#rows.row(place);
      row.setAttribute("role", "listitem");
      row.setAttribute("aria-setsize", String(this.#rows.count));
      row.setAttribute("aria-posinset", String(place + 1));
      row.dataset["place"] = String(place);
      row.style.transform = `translateY(${place * this.#rowPx}px)`;
      drawn.push(row);
    }
    this.#list.replaceChildren(...drawn);
    if (focusedPlace !== undefined) this.#focus(Number(focusedPlace));
  }

  #focus(place: number): void {
    this.#list.querySelector<HTMLElement>(`[data-place="${place}"] button`)?.focus({ preventScroll: true });
  }

  /** Moves the focus from row to row, and brings what comes into view. */
  #move(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    const row = (event.target as Element).closest<HTMLElement>("[data-place]");
    if (by === undefined || row === null) return;
    event.preventDefault();
    const place = Math.min(Math.max(0, Number(row.dataset["place"]) + by), this.#rows.count - 1);
    const top = place * this.#rowPx;
    if (top < this.#view.scrollTop) this.#view.scrollTop = top;
    if (top + this.#rowPx > this.#view.scrollTop + this.#view.clientHeight) this.#view.scrollTop = top + this.#rowPx - this.#view.clientHeight;
    this.#draw();
    this.#focus(place);
  }
}
