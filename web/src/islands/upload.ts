// The page that sends images: choosing, progress, and what became of each file.
import { fromDrop, fromFolder, fromInput } from "../upload/files";
import { Sender, type Item } from "../upload/sender";
import { unfinished } from "../upload/store";

const rowsShown = 150;

const number = new Intl.NumberFormat("en-GB");

function size(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return `${unit > 0 && n < 9.95 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `about ${plural(Math.max(1, Math.round(seconds)), "second", "seconds")} left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} minutes left`;
  return `about ${(seconds / 3600).toFixed(1)} hours left`;
}

function plural(n: number, one: string, many: string): string {
  return n === 1 ? `1 ${one}` : `${number.format(n)} ${many}`;
}

const fates: Record<string, { icon: string; kind: string; word: string }> = {
  kept: { icon: "ok", kind: "ok", word: "Kept" },
  duplicate: { icon: "ok", kind: "ok", word: "Here before" },
  held: { icon: "warn", kind: "warn", word: "Held" },
  conflict: { icon: "warn", kind: "warn", word: "Held" },
  refused: { icon: "bad", kind: "bad", word: "Refused" },
  skipped: { icon: "wait", kind: "wait", word: "Left out" },
};

const explained: Record<string, string> = {
  duplicate: "The same bytes were sent before; nothing changed.",
  skipped: "An index of files and no image; the files are what counts.",
};

export default function upload(root: HTMLElement): Promise<void> {
  return sending(root, {});
}

/** Runs the part of a page that sends. headers show who sends where no session does; changed is told when something has come. */
export async function sending(root: HTMLElement, headers: Record<string, string>, changed?: () => void): Promise<void> {
  const find = <T extends Element>(selector: string): T => root.querySelector<T>(selector)!;
  const ui = find<HTMLElement>("[data-ui]");
  const drop = find<HTMLElement>("[data-drop]");
  const folderInput = find<HTMLInputElement>("[data-in=folder]");
  const filesInput = find<HTMLInputElement>("[data-in=files]");
  const onward = find<HTMLElement>("[data-onward]");
  const progress = find<HTMLElement>("[data-progress]");
  const list = find<HTMLElement>("[data-list]");
  const body = find<HTMLTableSectionElement>("[data-rows]");
  const said = find<HTMLElement>("[data-said]");
  const icons = find<HTMLTemplateElement>("[data-icons]").content;
  const button = (act: string) => find<HTMLButtonElement>(`[data-act=${act}]`);
  let show = "all";
  let saidAt = 0;
  let saidText = "";
  let drawing = 0;
  let gathering = false;
  const speeds: { at: number; bytes: number }[] = [];

  const redraw = (): void => {
    drawing ||= window.setTimeout(() => {
      drawing = 0;
      draw();
    }, 300);
  };
  const sender = new Sender(root.dataset.collection ?? "", root.dataset.who ?? "", redraw, headers);

  function icon(name: string): Node {
    return icons.querySelector(`[data-icon=${name}]`)!.firstElementChild!.cloneNode(true);
  }

  function say(text: string, now = false): void {
    if (text === saidText || (!now && Date.now() - saidAt < 10_000)) return;
    saidAt = Date.now();
    saidText = text;
    said.textContent = text;
  }

  function status(item: Item): HTMLElement {
    const st = document.createElement("span");
    if (item.state === "sending" || item.state === "reading") {
      st.className = "st wait live";
      st.append(item.state === "reading" ? "Reading" : `Sending, ${Math.floor((100 * item.sent) / Math.max(1, item.size))} %`);
      return st;
    }
    let fate = fates[item.fate];
    if (item.state === "failed") fate = { icon: "bad", kind: "bad", word: "Not sent" };
    if (item.state === "waiting") fate = { icon: "wait", kind: "wait", word: "Waiting" };
    if (item.state === "absent") fate = { icon: "folder", kind: "wait", word: "To be chosen again" };
    st.className = `st ${fate?.kind ?? "wait"}`;
    if (fate) st.append(icon(fate.icon), fate.word);
    return st;
  }

  function why(item: Item): Node {
    const out = document.createDocumentFragment();
    const reason = item.reasons[0];
    if (reason && item.fate !== "skipped") {
      const text = document.createElement("div");
      text.textContent = reason.text.charAt(0).toUpperCase() + reason.text.slice(1).replace(/\.$/, "") + ".";
      out.append(text);
      if (reason.advice) {
        const advice = document.createElement("div");
        advice.className = "xs dim";
        advice.textContent = reason.advice;
        out.append(advice);
      }
    } else out.append(explained[item.fate] ?? "");
    return out;
  }

  const isTrouble = (i: Item): boolean => i.state === "failed" || i.fate === "held" || i.fate === "conflict" || i.fate === "refused";
  const isMoving = (i: Item): boolean => i.state === "sending" || i.state === "reading";

  // order puts first what needs a look, then what moves, then what waits, then what is done.
  function order(i: Item): number {
    if (isMoving(i)) return 0;
    if (isTrouble(i)) return 1;
    return i.state === "done" ? 3 : 2;
  }

  function draw(): void {
    const items = sender.items;
    const any = items.length > 0;
    let total = 0;
    let sent = 0;
    const n = { done: 0, kept: 0, held: 0, refused: 0, failed: 0, absent: 0, skipped: sender.ignored };
    for (const i of items) {
      if (i.state === "absent") n.absent++;
      total += i.size;
      sent += i.state === "done" ? i.size : i.sent;
      if (i.state === "done") n.done++;
      if (i.state === "failed") n.failed++;
      if (i.fate === "kept" || i.fate === "duplicate") n.kept++;
      else if (i.fate === "held" || i.fate === "conflict") n.held++;
      else if (i.fate === "refused") n.refused++;
      else if (i.fate === "skipped") n.skipped++;
    }
    const waitsForFolder = n.absent > 0 && !sender.busy;
    drawOnward(waitsForFolder, n.absent);
    drop.classList.toggle("small", any && !waitsForFolder);
    progress.hidden = !any || (waitsForFolder && n.done === 0);
    list.hidden = !any;
    if (!any) return;

    const busy = sender.busy;
    const stopped = sender.paused || sender.trouble !== "";
    const title = gathering ? "Looking at the files" : stopped && busy ? (sender.paused ? "Paused" : "Waiting") : busy ? "Sending" : n.failed || n.absent ? "Not all was sent" : "Sent";
    const heading = find<HTMLElement>("[data-title]");
    heading.textContent = title;
    heading.classList.toggle("live", busy && !stopped);
    const percent = total > 0 ? (100 * sent) / total : 100;
    const bar = find<HTMLElement>("[data-bar]");
    bar.setAttribute("aria-valuenow", String(Math.floor(percent)));
    find<SVGRectElement>("[data-sent]").setAttribute("width", percent.toFixed(2));

    const now = performance.now();
    speeds.push({ at: now, bytes: sent });
    while (speeds.length > 2 && now - speeds[0]!.at > 8000) speeds.shift();
    const first = speeds[0]!;
    const speed = now - first.at > 1500 ? (1000 * (sent - first.bytes)) / (now - first.at) : 0;
    find<HTMLElement>("[data-speed]").textContent = busy && !stopped && speed > 0 ? `${size(speed)} a second` : "";
    const left = find<HTMLElement>("[data-left]");
    left.textContent =
      `${number.format(n.done)} of ${plural(items.length, "file", "files")}, ${size(sent)} of ${size(total)} on stable storage or on the way` +
      (busy && !stopped && speed > 1000 ? `; ${duration((total - sent) / speed)}` : "") +
      (busy ? ". You may close this page, and go on later." : ".");

    const stats = find<HTMLElement>("[data-stats]");
    const figures: [number, string][] = [[n.kept, "kept"], [n.held, "held"], [n.refused, "refused"]];
    if (sender.admitted > 0) figures.splice(1, 0, [sender.admitted, "admitted"]);
    if (n.failed) figures.push([n.failed, "not sent"]);
    if (n.skipped) figures.push([n.skipped, "left out, no images"]);
    stats.replaceChildren(
      ...figures.map(([value, word]) => {
        const stat = document.createElement("div");
        stat.className = "stat";
        const b = document.createElement("b");
        b.textContent = number.format(value);
        const span = document.createElement("span");
        span.textContent = word;
        stat.append(b, span);
        return stat;
      }),
    );
    const pause = button("pause");
    pause.hidden = !busy && n.failed === 0;
    pause.textContent = !busy && n.failed ? "Try again" : stopped ? "Go on" : "Pause";
    button("stop").hidden = !busy && n.failed === 0;

    const end = find<HTMLElement>("[data-end]");
    const finished = !busy && !gathering && n.absent === 0 && n.failed === 0;
    end.hidden = !finished && sender.trouble === "";
    if (sender.trouble) {
      end.className = "say bad";
      end.textContent = sender.trouble;
      say(sender.trouble, true);
    } else if (finished) {
      const parts = [plural(n.kept, "is kept", "are kept")];
      if (n.held) parts.push(`${number.format(n.held)} held for a steward`);
      if (n.refused) parts.push(`${number.format(n.refused)} refused`);
      const text = `Everything has been sent: of ${plural(items.length, "file", "files")}, ${parts.join(", ")}. `;
      if (end.dataset.text !== text) {
        end.dataset.text = text;
        end.className = n.refused ? "say" : "say ok";
        end.replaceChildren(text);
        changed?.();
        if (sender.batch && !root.dataset.link) {
          const link = document.createElement("a");
          link.href = `/deposits/${sender.batch.id}`;
          link.textContent = "See the deposit";
          end.append(link);
        }
      }
      say(text, true);
    } else if (busy) say(`${number.format(n.done)} of ${plural(items.length, "file", "files")} sent, ${Math.floor(percent)} per cent.`);
    drawRows(items);
  }

  function drawOnward(waits: boolean, absent: number): void {
    const was = onward.hidden;
    onward.hidden = !waits;
    button("folder").classList.toggle("pri", !waits && sender.items.length === 0);
    if (!waits) return;
    const batch = sender.batch!;
    find<HTMLElement>("[data-onward-title]").textContent = `${plural(absent, "file is", "files are")} not sent yet`;
    const began = new Date(batch.began).toLocaleString("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    find<HTMLElement>("[data-onward-text]").textContent = batch.folder
      ? `You began on ${began}. Go on, and the browser asks whether it may read the folder again; what was sent is not sent again.`
      : `You began on ${began}. Choose the same folder again: what was sent is recognised, and not sent again.`;
    button("onward").textContent = batch.folder ? "Go on" : "Choose the folder again";
    if (was) say(`${plural(absent, "file is", "files are")} not sent yet. You can go on.`, true);
  }

  const rowOf = new Map<Item, { drawn: string; tr: HTMLTableRowElement }>();

  // row draws a file anew if something of it has changed.
  function row(item: Item): HTMLTableRowElement {
    const drawn = `${item.ordinal} ${item.state} ${item.fate} ${isMoving(item) ? Math.floor((100 * item.sent) / Math.max(1, item.size)) : ""} ${item.reasons[0]?.text ?? ""}`;
    const known = rowOf.get(item);
    if (known?.drawn === drawn) return known.tr;
    const tr = document.createElement("tr");
    const cell = (content: Node | string, kind = ""): HTMLTableCellElement => {
      const td = document.createElement("td");
      if (kind) td.className = kind;
      td.append(content);
      tr.append(td);
      return td;
    };
    cell(item.ordinal ? number.format(item.ordinal) : "–", "num dim");
    const name = document.createElement("bdi");
    name.textContent = item.path;
    cell(name).title = item.path;
    cell(size(item.size), "num");
    cell(status(item));
    cell(why(item));
    rowOf.set(item, { drawn, tr });
    return tr;
  }

  function nothing(text: string): HTMLTableRowElement {
    const tr = document.createElement("tr");
    const td = document.createElement("td");
    td.colSpan = 5;
    td.className = "mut";
    td.textContent = text;
    tr.append(td);
    return tr;
  }

  function drawRows(items: Item[]): void {
    const shown = items.filter((i) => (show === "look" ? isTrouble(i) : show === "way" ? i.state !== "done" && !isTrouble(i) : show === "kept" ? i.fate === "kept" || i.fate === "duplicate" : true));
    if (show === "all") shown.sort((a, b) => order(a) - order(b));
    const rows = shown.slice(0, rowsShown).map(row);
    if (rows.length === 0) rows.push(nothing(show === "look" ? "Nothing needs a look." : "None."));
    if (rows.length !== body.children.length || rows.some((r, k) => r !== body.children[k])) body.replaceChildren(...rows);
    const more = find<HTMLElement>("[data-more]");
    more.hidden = shown.length <= rowsShown;
    more.textContent = `and ${number.format(shown.length - rowsShown)} more`;
  }

  // take adds what was chosen, and says if there was nothing in it.
  async function take(found: { file: File; path: string }[], folder?: FileSystemDirectoryHandle): Promise<void> {
    if (found.length === 0) {
      say("Nothing was chosen, or the folder is empty.", true);
      return;
    }
    gathering = true;
    draw();
    try {
      await sender.add(found, folder);
    } finally {
      gathering = false;
      draw();
    }
  }

  async function chooseFolder(): Promise<void> {
    if (!window.showDirectoryPicker) {
      folderInput.click();
      return;
    }
    let folder: FileSystemDirectoryHandle;
    try {
      folder = await window.showDirectoryPicker({ id: "vitrine", mode: "read" });
    } catch (error) {
      if ((error as Error).name !== "AbortError") folderInput.click(); // it is there, and not allowed
      return;
    }
    await take(await fromFolder(folder), folder);
  }

  root.addEventListener("click", (event) => {
    const act = (event.target as HTMLElement).closest<HTMLElement>("[data-act]")?.dataset.act;
    const filter = (event.target as HTMLElement).closest<HTMLElement>("[data-show]");
    if (filter) {
      show = filter.dataset.show ?? "all";
      for (const b of root.querySelectorAll("[data-show]")) b.setAttribute("aria-pressed", String(b === filter));
      draw();
    }
    switch (act) {
      case "folder":
        void chooseFolder();
        break;
      case "files":
        filesInput.click();
        break;
      case "onward":
        void sender.onward().then((could) => (could ? undefined : chooseFolder()));
        break;
      case "forget":
        void sender.drop();
        break;
      case "pause":
        if (sender.paused || sender.trouble || !sender.busy) sender.goOn();
        else sender.pause();
        draw();
        break;
      case "stop":
        void sender.stop();
        break;
    }
  });
  for (const input of [folderInput, filesInput]) {
    input.addEventListener("change", () => {
      const found = fromInput(input.files!);
      void take(found).then(() => (input.value = ""));
    });
  }
  let over = 0;
  drop.addEventListener("dragenter", (event) => {
    event.preventDefault();
    over++;
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => {
    if (--over <= 0) drop.classList.remove("over");
  });
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    over = 0;
    drop.classList.remove("over");
    if (event.dataTransfer) void fromDrop(event.dataTransfer).then(({ found, folder }) => take(found, folder));
  });
  // What is dropped beside the zone must not take the page away.
  for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

  find<HTMLElement>("[data-plain]").hidden = true;
  ui.hidden = false;
  const before = await unfinished(root.dataset.collection ?? "", root.dataset.who ?? "");
  if (before[0]) await sender.restore(before[0]);
}
