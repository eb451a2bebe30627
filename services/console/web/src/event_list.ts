// The events of a run, filtered by what the page's address says, and one of them whole.
import { put } from "./put.ts";
import type { RunEvent } from "./run_event.ts";
import { clockText } from "./times.ts";
import { VirtualList } from "./virtual_list.ts";

const ROW_PX = 28;
const LEVELS: [number, string][] = [
  [40, "error"],
  [30, "warning"],
  [20, "info"],
  [0, "debug"],
];

/** What of the events is shown. */
export interface EventFilter {
  text: string;
  level: number;
  kind: string;
  step: string;
}

/** Tells whether an event is shown. */
export function isShown(event: RunEvent, filter: EventFilter): boolean {
  return (
    event.level >= filter.level &&
    (filter.kind === "" || event.kind === filter.kind) &&
    (filter.step === "" || event.step === filter.step) &&
    (filter.text === "" || event.text.toLowerCase().includes(filter.text) || (event.step ?? "").toLowerCase().includes(filter.text))
  );
}

export class EventList {
  readonly #list: VirtualList;
  readonly #runId: string;
  readonly #events: RunEvent[] = [];
  readonly #fields: { text: HTMLInputElement; level: HTMLSelectElement; kind: HTMLSelectElement; step: HTMLSelectElement };
  #shown: RunEvent[] = [];
  #filter: EventFilter;
  #chosen = 0;

  constructor(view: HTMLElement, runId: string) {
    this.#runId = runId;
    this.#list = new VirtualList(view, { rowPx: ROW_PX, label: "Events, in the order in which they happened" });
    this.#list.isFollowing = true;
    view.addEventListener("scroll", () => {
      this.#list.isFollowing = view.scrollTop + view.clientHeight >= view.scrollHeight - ROW_PX;
    });
    this.#fields = {
      text: field("event-text"),
      level: field("event-level"),
      kind: field("event-kind"),
      step: field("event-step"),
    };
    this.#readAddress();
    this.#filter = this.#wanted();
    document.getElementById("event-filters")?.addEventListener("input", () => this.#refilter());
  }

  /** Shows the events of one step. */
  chooseStep(key: string): void {
    offer(this.#fields.step, key);
    this.#fields.step.value = key;
    this.#refilter();
  }

  take(events: RunEvent[]): void {
    for (const event of events) {
      this.#events.push(event);
      offer(this.#fields.kind, event.kind, event.kind.replaceAll("_", " "));
      if (event.step !== undefined) offer(this.#fields.step, event.step);
      if (isShown(event, this.#filter)) this.#shown.push(event);
    }
    this.#draw();
  }

  /** Shows an event whole, below the list. */
  async open(position: number): Promise<void> {
    const place = document.getElementById("event");
    if (place === null) return;
    this.#chosen = position;
    this.#draw();
    const answer = await fetch(`/runs/${this.#runId}/events/${position}`);
    if (this.#chosen === position && answer.ok) {
      put(place, await answer.text());
      place.scrollIntoView({ block: "nearest" });
    }
  }

  #draw(): void {
    this.#list.show({ count: this.#shown.length, row: (place) => this.#row(this.#shown[place]) });
    const count = document.getElementById("events-count");
    if (count !== null) count.textContent = this.#shown.length === this.#events.length ? `${this.#events.length}` : `${this.#shown.length} of ${this.#events.length}`;
  }

  #row(event: RunEvent | undefined): HTMLElement {
    const row = document.createElement("div");
    if (event === undefined) return row;
    const level = LEVELS.find(([least]) => event.level >= least)?.[1] ?? "debug";
    row.className = `event ${level}`;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(event.position === this.#chosen));
    for (const [name, text] of [
      ["clock", clockText(event.at)],
      ["level", level],
      ["step-key", event.step ?? ""],
      ["text", event.text],
    ] as const) {
      const cell = document.createElement("span");
      cell.className = name;
      cell.textContent = text;
      button.append(cell);
    }
    button.addEventListener("click", () => void this.open(event.position));
    row.append(button);
    return row;
  }

  #wanted(): EventFilter {
    const { text, level, kind, step } = this.#fields;
    return { text: text.value.trim().toLowerCase(), level: Number(level.value), kind: kind.value, step: step.value };
  }

  #refilter(): void {
    this.#filter = this.#wanted();
    this.#shown = this.#events.filter((event) => isShown(event, this.#filter));
    this.#draw();
    const query = new URLSearchParams();
    for (const [name, input] of Object.entries(this.#fields)) {
      const isDefault = name === "level" ? input.value === "20" : input.value === "";
      if (!isDefault) query.set(name, input.value);
    }
    history.replaceState(null, "", query.size === 0 ? location.pathname : `?${query.toString()}`);
  }

  #readAddress(): void {
    const query = new URLSearchParams(location.search);
    for (const [name, input] of Object.entries(this.#fields)) {
      const value = query.get(name);
      if (value === null) continue;
      if (input instanceof HTMLSelectElement && name !== "level") offer(input, value);
      input.value = value;
    }
  }
}

function offer(select: HTMLSelectElement, value: string, text = value): void {
  for (const option of select.options) if (option.value === value) return;
  select.add(new Option(text, value));
}

function field<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no field ${id}`);
  return found as T;
}
