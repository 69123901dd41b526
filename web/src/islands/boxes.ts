// Boxes drawn on the picture of a held image: with a pointer, or with the keyboard alone, in pixels of the image however large it is shown. The page's form has them as hidden
// fields; without script it has rows of numbers, which stay here as another way to the same boxes.
type Box = { first: number; last: number; x: number; y: number; w: number; h: number };

const MOVES: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export default function boxes(root: HTMLElement): void {
  const find = <T extends HTMLElement>(what: string) => root.querySelector<T>(what)!;
  const columns = Number(root.dataset.columns);
  const rows = Number(root.dataset.rows);
  const frames = Number(root.dataset.frames);
  const item = root.dataset.item!;
  let frame = Number(root.dataset.frame);
  const all: Box[] = (root.dataset.boxes ?? "").split(";").filter(Boolean).map(parse);

  const figure = find<HTMLElement>(".hd-pic");
  const sheet = find<HTMLElement>(".hd-pic .hd-sheet");
  let img = find<HTMLImageElement>(".hd-pic img");
  const tool = (name: string) => find<HTMLButtonElement>(`[data-bx=${name}]`);
  const pressed = (name: string) => tool(name).getAttribute("aria-pressed") === "true";
  const press = (name: string, on: boolean) => tool(name).setAttribute("aria-pressed", String(on));
  const fields = find("#bxothers");
  const say = find("#bxsay");
  const body = find<HTMLTableSectionElement>(".bx-rows tbody");
  const blank = body.querySelector<HTMLTableRowElement>(".bx-new")!;
  const form = document.querySelector<HTMLFormElement>("#decideform")!;
  const accept = form.querySelector<HTMLButtonElement>("button[value=draw]");

  const layer = document.createElement("div");
  layer.className = "bx-layer";
  sheet.append(layer);
  const wrong = document.createElement("p");
  wrong.className = "say bad";
  wrong.setAttribute("role", "alert");
  wrong.hidden = true;
  figure.before(wrong);
  for (const mark of root.querySelectorAll(".hd-pic .hd-mark")) mark.remove();

  // What stands for a box on the page.
  const shown = new Map<Box, { box: HTMLElement; row: HTMLTableRowElement; inputs: HTMLInputElement[] }>();

  function parse(text: string): Box {
    const [range = "", numbers = ""] = text.split(":");
    const [first, last] = range.split("-");
    const [x = 0, y = 0, w = 1, h = 1] = numbers.split(",").map(Number);
    return { first: Number(first), last: last === undefined ? Number(first) : Number(last) || frames, x, y, w, h };
  }
  const format = (b: Box) => `${b.first === b.last ? b.first : `${b.first}-${b.last}`}:${b.x},${b.y},${b.w},${b.h}`;
  const here = () => all.filter((b) => b.first <= frame && frame <= b.last);
  const clamp = (n: number, least: number, most: number) => Math.min(Math.max(Math.round(n) || 0, least), most);

  function fit(b: Box): void {
    b.w = clamp(b.w, 1, columns);
    b.h = clamp(b.h, 1, rows);
    b.x = clamp(b.x, 0, columns - b.w);
    b.y = clamp(b.y, 0, rows - b.h);
    b.first = clamp(b.first, 1, frames);
    b.last = clamp(b.last, b.first, frames);
  }

  // The sheet is as large as the picture is shown: pixels of the image are parts of it, whatever the shape of a pixel.
  function size(): void {
    const w = img.naturalWidth;
    const h = img.naturalHeight;
    if (!w || !h) return;
    const fits = Math.min(figure.clientWidth / w, (innerHeight * 0.8) / h);
    sheet.style.width = `${Math.round(w * (pressed("full") ? Math.max(1, fits * 2) : fits))}px`;
  }

  function draw(): void {
    const now = here();
    for (const [b, s] of shown) {
      if (now.includes(b)) continue;
      s.box.remove();
      s.row.remove();
      shown.delete(b);
    }
    now.forEach((b, k) => {
      const s = shown.get(b) ?? show(b);
      const name = `Box ${k + 1}`;
      s.box.style.left = `${(b.x / columns) * 100}%`;
      s.box.style.top = `${(b.y / rows) * 100}%`;
      s.box.style.width = `${(b.w / columns) * 100}%`;
      s.box.style.height = `${(b.h / rows) * 100}%`;
      s.box.setAttribute("aria-label", `${name}, ${b.w} by ${b.h} pixels, ${b.x} from the left, ${b.y} from the top`);
      const values = [b.x, b.y, b.w, b.h, b.first, b.last];
      s.inputs.forEach((input, i) => {
        if (input !== document.activeElement) input.value = String(values[i]);
        input.setAttribute("aria-label", `${name}, ${["left", "top", "width", "height", "from frame", "to frame"][i]}`);
      });
      s.row.querySelector("button")!.setAttribute("aria-label", `Remove ${name.toLowerCase()}`);
    });
    fields.replaceChildren(
      ...all.map((b) => {
        const field = document.createElement("input");
        Object.assign(field, { type: "hidden", name: "box", value: format(b) });
        field.setAttribute("form", form.id);
        return field;
      }),
    );
    const others = all.length - now.length;
    find(".bx-count").textContent = others ? `${others} ${others === 1 ? "box is" : "boxes are"} in other frames alone.` : now.length ? "" : "There are none.";
    find(".bx-rows").hidden = !now.length;
    if (accept) accept.disabled = !all.length;
    const path = all
      .filter((b) => b.first === 1)
      .map((b) => `M${b.x} ${b.y}h${b.w}v${b.h}h${-b.w}z`)
      .join("");
    for (const p of root.querySelectorAll(".bx-others path")) p.setAttribute("d", path);
  }

  function show(b: Box): { box: HTMLElement; row: HTMLTableRowElement; inputs: HTMLInputElement[] } {
    const box = document.createElement("div");
    box.tabIndex = 0;
    box.setAttribute("role", "application"); // arrow keys are its own
    box.setAttribute("aria-roledescription", "box");
    box.className = "bx-box";
    box.setAttribute("aria-describedby", "bxhelp");
    for (const corner of ["nw", "ne", "sw", "se"]) {
      const handle = document.createElement("span");
      handle.className = `bx-grip ${corner}`;
      handle.dataset.corner = corner;
      box.append(handle);
    }
    box.addEventListener("keydown", (event) => key(event, b));
    layer.append(box);
    const row = blank.cloneNode(true) as HTMLTableRowElement;
    row.className = "";
    const inputs = [...row.querySelectorAll("input")];
    for (const input of inputs) {
      input.removeAttribute("name");
      input.removeAttribute("form");
      input.required = true;
      input.addEventListener("change", () => {
        const [x = 0, y = 0, w = 1, h = 1, first = b.first, last = b.last] = inputs.map((i) => i.valueAsNumber);
        Object.assign(b, { x, y, w, h, first, last });
        fit(b);
        changed();
        inputs.forEach((i, at) => (i.value = String([b.x, b.y, b.w, b.h, b.first, b.last][at])));
      });
    }
    const remove = document.createElement("button");
    Object.assign(remove, { type: "button", className: "btn s", textContent: "Remove" });
    remove.addEventListener("click", () => drop(b, ".bx-rows tbody button"));
    row.lastElementChild!.replaceChildren(remove);
    row.addEventListener("focusin", () => box.classList.add("on"));
    row.addEventListener("focusout", () => box.classList.remove("on"));
    body.append(row);
    const s = { box, row, inputs };
    shown.set(b, s);
    return s;
  }

  // changed draws what is other, and the picture as it came: what it showed painted is not what would be painted now.
  function changed(): void {
    if (pressed("painted")) void paint(false);
    draw();
  }

  function drop(b: Box, then: string): void {
    const at = here().indexOf(b);
    all.splice(all.indexOf(b), 1);
    changed();
    say.textContent = "Removed.";
    const left = root.querySelectorAll<HTMLElement>(then);
    (left[Math.min(at, left.length - 1)] ?? tool("add")).focus();
  }

  function add(b: Box): void {
    fit(b);
    all.push(b);
    changed();
  }

  function key(event: KeyboardEvent, b: Box): void {
    const move = MOVES[event.key];
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      drop(b, ".bx-box");
      return;
    }
    if (!move || event.altKey || event.metaKey) return;
    event.preventDefault();
    const step = event.ctrlKey ? 10 : event.repeat ? 4 : 1;
    if (event.shiftKey) {
      b.w = clamp(b.w + move[0] * step, 1, columns - b.x);
      b.h = clamp(b.h + move[1] * step, 1, rows - b.y);
    } else {
      b.x += move[0] * step;
      b.y += move[1] * step;
    }
    fit(b);
    changed();
    say.textContent = `${b.w} by ${b.h}, at ${b.x}, ${b.y}`;
  }

  // A pointer draws on the picture, moves a box by its middle, and changes its size by a corner.
  let drag: { id: number; b: Box; was: Box; corner: string; fresh: boolean; x: number; y: number } | null = null;

  function point(event: PointerEvent): [number, number] {
    const at = layer.getBoundingClientRect();
    return [((event.clientX - at.left) / at.width) * columns, ((event.clientY - at.top) / at.height) * rows];
  }

  layer.addEventListener("pointerdown", (event) => {
    if (drag && !event.isPrimary) return cancel(); // two fingers zoom
    if (!event.isPrimary || event.button !== 0) return;
    const [x, y] = point(event);
    const at = (event.target as HTMLElement).closest<HTMLElement>(".bx-box");
    const found = [...shown].find(([, s]) => s.box === at);
    if (found) {
      drag = { id: event.pointerId, b: found[0], was: { ...found[0] }, corner: (event.target as HTMLElement).dataset.corner ?? "", fresh: false, x, y };
      found[1].box.focus({ preventScroll: true });
    } else if (pressed("draw")) {
      const b = { first: 1, last: frames, x: clamp(Math.floor(x), 0, columns - 1), y: clamp(Math.floor(y), 0, rows - 1), w: 1, h: 1 };
      drag = { id: event.pointerId, b, was: { ...b }, corner: "se", fresh: true, x, y };
    } else {
      return;
    }
    event.preventDefault();
    layer.setPointerCapture(event.pointerId);
  });

  layer.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const [x, y] = point(event);
    const { b, was, corner } = drag;
    if (!corner) {
      b.x = was.x + Math.round(x - drag.x);
      b.y = was.y + Math.round(y - drag.y);
      fit(b);
    } else {
      // The corner follows the pointer; the one across stays. A pixel that the pointer is in is in the box.
      const fx = drag.fresh ? drag.x : corner.includes("w") ? was.x + was.w : was.x;
      const fy = drag.fresh ? drag.y : corner.includes("n") ? was.y + was.h : was.y;
      const [x0, x1, y0, y1] = [Math.min(fx, x), Math.max(fx, x), Math.min(fy, y), Math.max(fy, y)];
      b.x = clamp(Math.floor(x0), 0, columns - 1);
      b.y = clamp(Math.floor(y0), 0, rows - 1);
      b.w = clamp(Math.ceil(x1) - b.x, 1, columns - b.x);
      b.h = clamp(Math.ceil(y1) - b.y, 1, rows - b.y);
    }
    if (drag.fresh && !all.includes(b)) {
      if (b.w < 3 && b.h < 3) return;
      all.push(b);
    }
    changed();
  });

  function release(): void {
    if (!drag) return;
    const { b, fresh } = drag;
    drag = null;
    if (fresh && all.includes(b)) {
      shown.get(b)?.box.focus({ preventScroll: true });
      say.textContent = `A box of ${b.w} by ${b.h}.`;
    }
  }

  function cancel(): void {
    if (!drag) return;
    const { b, was, fresh } = drag;
    drag = null;
    if (fresh && all.includes(b)) all.splice(all.indexOf(b), 1);
    else Object.assign(b, was);
    changed();
  }

  layer.addEventListener("pointerup", release);
  layer.addEventListener("pointercancel", cancel);
  root.addEventListener("keydown", (event) => event.key === "Escape" && cancel());

  tool("draw").addEventListener("click", () => {
    press("draw", !pressed("draw"));
    layer.classList.toggle("drawing", pressed("draw"));
  });
  tool("add").addEventListener("click", () => {
    const b: Box = { first: 1, last: frames, w: columns / 4, h: Math.max(rows / 16, 8), x: columns * 0.375, y: rows * 0.45 };
    add(b);
    shown.get(b)?.box.focus();
    say.textContent = `A box of ${b.w} by ${b.h} in the middle of the picture.`;
  });
  tool("full").addEventListener("click", () => {
    press("full", !pressed("full"));
    figure.classList.toggle("bx-full", pressed("full"));
    void load();
  });
  tool("painted").addEventListener("click", () => void paint(!pressed("painted")));

  function paint(on: boolean): Promise<void> {
    press("painted", on);
    layer.classList.toggle("painted", on);
    return load();
  }

  // load shows the picture of the frame, as it came or with the boxes painted over: by the node, as they would be.
  let wanted = "";
  async function load(): Promise<void> {
    const painted = pressed("painted");
    const query = new URLSearchParams({ frame: String(frame) });
    if (pressed("full")) query.set("size", "full");
    if (painted) for (const b of here()) query.append("box", `${b.x},${b.y},${b.w},${b.h}`);
    const address = `${item}/${painted ? "painted" : "picture"}?${query}`;
    if (address === wanted) return;
    wanted = address;
    const picture = new Image();
    picture.src = address;
    let why = "";
    try {
      await picture.decode();
    } catch {
      const answer = await fetch(address, { headers: { Accept: "application/problem+json" } }).catch(() => null);
      const problem = answer && !answer.ok ? ((await answer.json().catch(() => null)) as { detail?: string } | null) : null;
      why = problem?.detail ?? "The node gave no picture.";
    }
    if (address !== wanted) return; // something else is asked for by now
    wrong.hidden = !why;
    wrong.textContent = why.charAt(0).toUpperCase() + why.slice(1).replace(/([^.])$/, "$1.");
    if (why) {
      if (painted) {
        press("painted", false);
        layer.classList.remove("painted");
        wanted = "";
      }
      return;
    }
    img.replaceWith(picture); // asked for once: each is in the audit log
    img = picture;
    size();
    img.alt = `Frame ${frame} of ${frames}, ${painted ? "with the boxes painted over" : "as it came: not cleaned"}`;
    if (painted) say.textContent = "The picture is shown painted.";
  }

  for (const step of root.querySelectorAll<HTMLButtonElement>("[data-step]")) {
    step.addEventListener("click", (event) => {
      event.preventDefault();
      frame = clamp({ first: 1, prev: frame - 1, next: frame + 1, last: frames }[step.dataset.step ?? ""] ?? frame, 1, frames);
      for (const other of root.querySelectorAll<HTMLButtonElement>("[data-step]")) {
        const off = /first|prev/.test(other.dataset.step!) ? frame === 1 : frame === frames;
        if (off && other === document.activeElement) root.querySelector<HTMLButtonElement>(`[data-step=${frame === 1 ? "next" : "prev"}]`)!.disabled = false;
        other.disabled = off;
      }
      if (step.disabled) root.querySelector<HTMLButtonElement>(`[data-step=${frame === 1 ? "next" : "prev"}]`)?.focus();
      find("#whichframe").textContent = `frame ${frame.toLocaleString("en")} of ${frames.toLocaleString("en")}`;
      form.querySelector<HTMLInputElement>("[name=at]")!.value = String(frame);
      history.replaceState(null, "", `${item}?frame=${frame}#picture`);
      draw();
      void load();
    });
  }

  img.addEventListener("load", size);
  new ResizeObserver(size).observe(figure);
  addEventListener("resize", size);
  layer.classList.add("drawing");
  blank.remove();
  body.replaceChildren();
  for (const b of all) fit(b);
  draw();
  size();
}
