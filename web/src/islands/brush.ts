// A histogram that filters: drag over the bars, or move a handle with pointer or arrow keys. The two lists below it say the same without script.
const space = "http://www.w3.org/2000/svg";
const wide = 220;
const high = 54;

function make(name: string, attributes: Record<string, string | number>): SVGElement {
  const e = document.createElementNS(space, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  return e;
}

export default function brush(section: HTMLElement): void {
  const svg = section.querySelector<SVGSVGElement>("svg.hist");
  const [fromList, toList] = section.querySelectorAll<HTMLSelectElement>(".range select");
  const now = section.querySelector<HTMLElement>(".now");
  if (!svg || !fromList || !toList) return;
  const bars = [...svg.querySelectorAll<SVGRectElement>(".bar")];
  const band = svg.querySelector<SVGRectElement>(".band");
  const n = bars.length;
  const w = wide / n;
  const title = section.querySelector("h2")?.firstChild?.textContent ?? "";
  const first = Number(bars[0]!.dataset.from);
  const last = Number(bars[n - 1]!.dataset.to);
  // What is chosen are the bars from a to before z.
  let a = bars.findIndex((b) => !b.classList.contains("off"));
  let z = n - [...bars].reverse().findIndex((b) => !b.classList.contains("off"));
  if (a < 0) [a, z] = [0, n];
  let sent = `${a} ${z}`;

  // The drawing has a role and a name for those who see no bars; with sliders in it, it is a group.
  svg.setAttribute("role", "group");
  const handles = (["from", "to"] as const).map((side) => {
    const g = make("g", { class: "handle", role: "slider", tabindex: 0, "data-side": side, "aria-label": `${title}, ${side}`, "aria-orientation": "horizontal" });
    g.append(
      make("rect", { class: "touch", x: -12, y: -2, width: 24, height: high + 6 }),
      make("path", { class: "edge", d: `M0 0V${high}` }),
      make("rect", { class: "grip", x: -4, y: high / 2 - 8, width: 8, height: 16, rx: 3 }),
      make("rect", { class: "ring", x: -7, y: high / 2 - 11, width: 14, height: 22, rx: 5 }),
    );
    svg.append(g);
    return g;
  });

  const from = (): number => Number(bars[a]!.dataset.from);
  const to = (): number => Number(bars[z - 1]!.dataset.to);
  const said = (side: number): string => {
    const open = side === 1 && to() >= 120 && to() < 1000;
    return open ? "and over" : String(side ? to() : from());
  };

  // phrase says the range as the page does: an end that is not narrowed is open.
  function phrase(): string {
    if (a === 0 && z === n) return "any";
    if (z === n) return `${from()} and over`;
    if (a === 0) return `up to ${to()}`;
    return from() === to() ? String(from()) : `${from()} to ${to()}`;
  }

  function draw(): void {
    bars.forEach((b, i) => b.classList.toggle("off", i < a || i >= z));
    band?.setAttribute("x", String(a * w));
    band?.setAttribute("width", String((z - a) * w));
    band?.setAttribute("opacity", a === 0 && z === n ? "0" : "1");
    handles.forEach((h, side) => {
      h.setAttribute("transform", `translate(${(side ? z : a) * w} 0)`);
      h.setAttribute("aria-valuemin", String(first));
      h.setAttribute("aria-valuemax", String(last));
      h.setAttribute("aria-valuenow", String(side ? to() : from()));
      h.setAttribute("aria-valuetext", said(side));
    });
    if (now) now.textContent = phrase();
  }

  // tell hands over what is chosen: an end that is not narrowed is left open.
  function tell(): void {
    if (`${a} ${z}` === sent) return;
    sent = `${a} ${z}`;
    fromList!.value = a === 0 ? "" : String(from());
    toList!.value = z === n ? "" : String(to());
    toList!.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function move(side: number, at: number): void {
    if (side === 0) a = Math.max(0, Math.min(at, z - 1));
    else z = Math.min(n, Math.max(at, a + 1));
    draw();
  }

  let waiting = 0;
  handles.forEach((h, side) => {
    h.addEventListener("keydown", (event) => {
      const by: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 5, PageDown: -5, Home: -n, End: n };
      const step = by[event.key];
      if (step === undefined) return;
      event.preventDefault();
      move(side, (side ? z : a) + step);
      clearTimeout(waiting);
      waiting = window.setTimeout(tell, 350); // a key that is held down asks once
    });
  });

  const place = (event: PointerEvent): number => {
    const box = svg.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * n;
  };
  let dragged = -1;
  let start = 0;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    const at = place(event);
    const handle = (event.target as Element).closest(".handle");
    if (handle) {
      dragged = handles.indexOf(handle as SVGElement);
      (handle as SVGElement).focus();
    } else {
      dragged = 2; // a new range, from here on
      start = Math.max(0, Math.min(n - 1, Math.floor(at)));
      [a, z] = [start, start + 1];
      draw();
    }
  });
  svg.addEventListener("pointermove", (event) => {
    if (dragged < 0) return;
    const at = place(event);
    if (dragged < 2) {
      move(dragged, Math.round(at));
      return;
    }
    const over = Math.max(0, Math.min(n - 1, Math.floor(at)));
    [a, z] = [Math.min(start, over), Math.max(start, over) + 1];
    draw();
  });
  for (const end of ["pointerup", "pointercancel"] as const) {
    svg.addEventListener(end, () => {
      if (dragged < 0) return;
      dragged = -1;
      tell();
    });
  }
  draw();
  section.classList.add("on");
  section.dispatchEvent(new CustomEvent("brushed", { bubbles: true }));
}
