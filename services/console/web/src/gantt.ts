// The steps of a run over time: a row for each, a bar for each try at it.
import type { Course, Step } from "./course.ts";
import { durationText } from "./times.ts";
import { VirtualList } from "./virtual_list.ts";

const ROW_PX = 28;
const ZOOM = 1.6;
const MOST_ZOOM = 4_000;

export class Gantt {
  readonly #list: VirtualList;
  readonly #course: Course;
  readonly #choose: (step: Step) => void;
  readonly #view: HTMLElement;
  #zoom = 1;
  #isFollowing = true;

  constructor(view: HTMLElement, course: Course, choose: (step: Step) => void) {
    this.#view = view;
    this.#course = course;
    this.#choose = choose;
    this.#list = new VirtualList(view, { rowPx: ROW_PX, label: "Steps, in the order of the plan" });
    this.#listenToButtons();
    window.setInterval(() => {
      if (!course.isOver && course.count("running") > 0) this.draw();
    }, 250);
  }

  draw(): void {
    const steps = this.#course.steps;
    const from = this.#course.from;
    const to = this.#course.isOver ? this.#course.to : Math.max(this.#course.to, Date.now());
    const span = Math.max(to - from, 1);
    this.#view.style.setProperty("--zoom", String(this.#zoom));
    this.#view.style.setProperty("--steps", String(steps.length));
    this.#list.show({ count: steps.length, row: (place) => this.#row(steps[place], from, span) });
    if (this.#isFollowing && this.#zoom > 1) this.#view.scrollLeft = this.#view.scrollWidth;
  }

  #row(step: Step | undefined, from: number, span: number): HTMLElement {
    const row = document.createElement("div");
    if (step === undefined) return row;
    row.className = "step";
    const name = document.createElement("button");
    name.type = "button";
    name.className = "name entry";
    name.title = step.key;
    const mark = document.createElement("span");
    mark.className = `mark ${step.state}`;
    const key = document.createElement("span");
    key.className = "key";
    key.textContent = step.key;
    const told = document.createElement("span");
    told.className = "told";
    told.textContent = stepText(step);
    name.append(mark, key, told);
    name.addEventListener("click", () => this.#choose(step));
    const track = document.createElement("div");
    track.className = "track";
    track.setAttribute("aria-hidden", "true");
    for (const each of step.tries) {
      const bar = document.createElement("span");
      bar.className = `try ${each.state}`;
      bar.style.left = `${((each.from - from) / span) * 100}%`;
      bar.style.width = `${(((each.to ?? from + span) - each.from) / span) * 100}%`;
      track.append(bar);
    }
    row.append(name, track);
    return row;
  }

  #listenToButtons(): void {
    const on = (id: string, act: () => void): void => document.getElementById(id)?.addEventListener("click", act);
    on("zoom-in", () => this.#zoomTo(this.#zoom * ZOOM));
    on("zoom-out", () => this.#zoomTo(this.#zoom / ZOOM));
    on("zoom-fit", () => this.#zoomTo(1));
    document.getElementById("follow")?.addEventListener("change", (event) => {
      this.#isFollowing = (event.target as HTMLInputElement).checked;
      this.draw();
    });
    this.#view.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.#zoomTo(event.deltaY < 0 ? this.#zoom * ZOOM : this.#zoom / ZOOM);
    });
  }

  #zoomTo(zoom: number): void {
    this.#zoom = Math.min(Math.max(1, zoom), MOST_ZOOM);
    this.draw();
  }
}

/** Tells a step's state, with its duration where it has one. */
export function stepText(step: Step): string {
  const last = step.tries.at(-1);
  const again = step.tries.length > 1 ? `, try ${step.tries.length}` : "";
  if (last === undefined) return step.state;
  const took = durationText((last.to ?? Date.now()) - last.from);
  return `${step.state} ${step.state === "retrying" ? "" : took}${again}`.trim();
}
