// The page of a run's output: both streams as they are written, in colour, and no longer than a browser bears.
import { type Span, Terminal } from "./ansi.ts";
import { on } from "./live.ts";

interface Piece {
  stream: string;
  step: string;
  text: string;
  gap: string;
}

/** A file of output, with the line of it that is not over yet. */
interface File {
  terminal: Terminal;
  last?: HTMLElement;
}

/** Lines that are kept: of longer output, the end. */
const MOST_LINES = 20_000;

/** Brings the page to life. */
export function showOutput(): void {
  const output = new Output(element("output"));
  on("begin", () => output.begin());
  on("output", (facts) => output.take(facts as Piece[]));
  on("over", () => output.finish());
}

class Output {
  readonly #view: HTMLElement;
  #files = new Map<string, File>();
  #leftOut = 0;

  constructor(view: HTMLElement) {
    this.#view = view;
    for (const id of ["show-stdout", "show-stderr", "wrap", "follow"]) element(id).addEventListener("input", () => this.#heed());
    input("output-search").addEventListener("input", () => this.#search());
    this.#heed();
  }

  begin(): void {
    this.#files = new Map();
    this.#leftOut = 0;
    this.#view.replaceChildren();
  }

  take(pieces: Piece[]): void {
    for (const piece of pieces) {
      if (piece.gap !== "") this.#view.append(this.#line(piece.stream, [{ text: piece.gap, style: "dim" }]));
      this.#write(piece);
    }
    for (let surplus = this.#view.childElementCount - MOST_LINES; surplus > 0; surplus--) {
      this.#view.firstElementChild?.remove();
      this.#leftOut++;
    }
    element("output-count").textContent = this.#countText();
    this.#heed();
  }

  finish(): void {
    element("output-empty").hidden = this.#view.childElementCount > 0;
  }

  #write({ stream, step, text }: Piece): void {
    const key = `${stream} ${step}`;
    const file = this.#files.get(key) ?? { terminal: new Terminal() };
    this.#files.set(key, file);
    const ended = file.terminal.take(text);
    for (const spans of ended) {
      this.#put(file, this.#line(stream, spans));
      delete file.last;
    }
    const last = file.terminal.last();
    if (last.length > 0) this.#put(file, this.#line(stream, last));
  }

  /** Puts a line at the end, or in the place of what it was before it was written on. */
  #put(file: File, line: HTMLElement): void {
    if (file.last?.isConnected) file.last.replaceWith(line);
    else this.#view.append(line);
    file.last = line;
  }

  #line(stream: string, spans: Span[]): HTMLElement {
    const line = document.createElement("div");
    line.className = `line ${stream}`;
    for (const { text, style } of spans) {
      const span = document.createElement("span");
      span.className = style;
      span.textContent = text;
      line.append(span);
    }
    this.#judge(line);
    return line;
  }

  #search(): void {
    for (const line of this.#view.children) this.#judge(line as HTMLElement);
  }

  #judge(line: HTMLElement): void {
    const wanted = input("output-search").value.toLowerCase();
    line.hidden = wanted !== "" && !(line.textContent ?? "").toLowerCase().includes(wanted);
  }

  #heed(): void {
    for (const name of ["stdout", "stderr"]) this.#view.classList.toggle(`without-${name}`, !input(`show-${name}`).checked);
    this.#view.classList.toggle("wraps", input("wrap").checked);
    // Lines get their heights when they are drawn.
    if (input("follow").checked) requestAnimationFrame(() => this.#view.scrollTo(0, this.#view.scrollHeight));
  }

  #countText(): string {
    const lines = `${this.#view.childElementCount} lines`;
    return this.#leftOut === 0 ? lines : `the last ${lines}; isthmus run logs has them all`;
  }
}

function input(id: string): HTMLInputElement {
  return element(id) as HTMLInputElement;
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page lacks ${id}`);
  return found;
}
