// Terminal output as lines of styled text: colours, and progress bars that rewrite their line. Pure; nothing of it is markup.

/** A piece of a line in one style. */
export interface Span {
  text: string;
  /** Names of classes, as in "red bold"; empty for plain text. */
  style: string;
}

const COLOURS = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const ESCAPE = "\u001b";
// CSI … final byte; OSC … BEL or ST; and two-character escapes.
const SEQUENCE = /\u001b(?:\[([0-9;:?]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/y;
/** An escape that has no end within so many characters is none. */
const LONGEST = 4_096;
/** What a line may hold. */
const MOST_CHARACTERS = 20_000;

interface Cell {
  character: string;
  style: string;
}

/** Takes output piece by piece. Lines that are over are handed on; the last one may still be rewritten. */
export class Terminal {
  #pending = "";
  #cells: Cell[] = [];
  #column = 0;
  #colour = "";
  #isBold = false;
  #isDim = false;

  /** Takes a piece; returns the lines that it ended. */
  take(piece: string): Span[][] {
    const text = this.#pending + piece;
    this.#pending = "";
    const ended: Span[][] = [];
    for (let at = 0; at < text.length; ) {
      const character = text[at] ?? "";
      if (character === ESCAPE) {
        const length = this.#escape(text, at);
        if (length === 0) {
          this.#pending = text.slice(at);
          break;
        }
        at += length;
        continue;
      }
      if (character === "\n") {
        ended.push(this.last());
        this.#cells = [];
        this.#column = 0;
      } else if (character === "\r") this.#column = 0;
      else if (character === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (character === "\t" || character >= " ") this.#write(character);
      at++;
    }
    return ended;
  }

  /** The line that is not over yet. */
  last(): Span[] {
    const spans: Span[] = [];
    for (const { character, style } of this.#cells) {
      const before = spans.at(-1);
      if (before?.style === style) before.text += character;
      else spans.push({ text: character, style });
    }
    return spans;
  }

  #write(character: string): void {
    if (this.#column >= MOST_CHARACTERS) return;
    while (this.#cells.length < this.#column) this.#cells.push({ character: " ", style: "" });
    this.#cells[this.#column] = { character, style: this.#style() };
    this.#column++;
  }

  /** Heeds the escape at a place; returns its length, 0 where its end has not come yet. */
  #escape(text: string, at: number): number {
    SEQUENCE.lastIndex = at;
    const found = SEQUENCE.exec(text);
    if (found === null) return text.length - at > LONGEST || isHopeless(text, at) ? 1 : 0;
    const [whole, parameters = "", final = ""] = found;
    if (final === "m") this.#paint(parameters);
    else if (final === "K") this.#erase(parameters);
    return whole.length;
  }

  #erase(parameters: string): void {
    if (parameters === "2") this.#cells = [];
    else if (parameters === "1") this.#cells.fill({ character: " ", style: "" }, 0, this.#column + 1);
    else this.#cells.length = Math.min(this.#cells.length, this.#column);
  }

  #paint(parameters: string): void {
    const codes = parameters.split(/[;:]/).map(Number);
    for (let place = 0; place < codes.length; place++) {
      const code = codes[place] ?? 0;
      if (code === 0) [this.#colour, this.#isBold, this.#isDim] = ["", false, false];
      else if (code === 1) this.#isBold = true;
      else if (code === 2) this.#isDim = true;
      else if (code === 22) [this.#isBold, this.#isDim] = [false, false];
      else if (code >= 30 && code <= 37) this.#colour = COLOURS[code - 30] ?? "";
      else if (code >= 90 && code <= 97) this.#colour = COLOURS[code - 90] ?? "";
      else if (code === 39) this.#colour = "";
      // Of 256 and of 16 million colours, the nearest of the eight would be another one: they stay plain.
      else if (code === 38 || code === 48) place += codes[place + 1] === 5 ? 2 : 4;
    }
  }

  #style(): string {
    return [this.#colour, this.#isBold ? "bold" : "", this.#isDim ? "dim" : ""].filter(Boolean).join(" ");
  }
}

/** Whether no escape can begin as this one does, whatever follows. */
function isHopeless(text: string, at: number): boolean {
  const next = text[at + 1];
  if (next === undefined || next === "]") return false;
  return next !== "[" || /[^0-9;:? -/]/.test(text.slice(at + 2));
}
