// The page of a run: its steps over time, its events, and how both follow it.
import { Course, type Step } from "./course.ts";
import { EventList } from "./event_list.ts";
import { Gantt } from "./gantt.ts";
import { on } from "./live.ts";
import type { RunEvent } from "./run_event.ts";

/** Brings the page to life. */
export function showRun(main: HTMLElement): void {
  const course = new Course();
  const events = new EventList(element("events"), main.dataset["run"] ?? "");
  const gantt = new Gantt(element("timeline"), course, (step) => choose(step, events));
  on("events", (facts) => {
    const news = facts as RunEvent[];
    for (const event of news) course.take(event);
    events.take(news);
    gantt.draw();
    element("steps-count").textContent = countText(course);
  });
}

function choose(step: Step, events: EventList): void {
  events.chooseStep(step.key);
  if (step.failedAt !== undefined) void events.open(step.failedAt);
}

function countText(course: Course): string {
  const all = course.steps.length;
  if (all === 0) return "";
  const ended = course.count("succeeded", "failed", "skipped", "stopped");
  const failed = course.count("failed");
  return `${ended} of ${all} ended${failed > 0 ? `, ${failed} failed` : ""}`;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page lacks ${id}`);
  return found;
}
