// Moves through the pictures of a series: arrow keys, the wheel and the slider, and from window to window, without loading the page again. The links and the form do the same
// without script.
export default function stack(looker: HTMLElement): void {
  const figure = looker.querySelector("figure");
  if (!figure || !figure.querySelector("img")) return;
  let busy = false;
  let wanted = ""; // where to go when what is on its way has come

  async function go(address: string): Promise<void> {
    if (busy) {
      wanted = address;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(address);
      const page = answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
      const other = page?.querySelector<HTMLElement>("[data-island=stack]");
      const source = other?.querySelector("figure img") as HTMLImageElement | null;
      const picture = figure!.querySelector("img");
      if (!other || !source || !picture) {
        location.href = address; // the page says what is wrong
        return;
      }
      picture.src = source.src;
      picture.alt = source.alt;
      await picture.decode().catch(() => undefined);
      history.replaceState(null, "", address);
      exchange(figure!, other, "figcaption");
      exchange(looker, other, ".presets");
      exchange(document.body, page!.body, "#pick .which");
      const slider = looker.querySelector<HTMLInputElement>("input[type=range]");
      if (slider === document.activeElement) {
        // A slider that is being drawn stays; its neighbours follow.
        for (const rel of ["prev", "next"]) exchange(looker, other, `[data-step=${rel}]`);
        exchangeAll(looker, other);
      } else {
        exchange(looker, other, ".through");
        listen();
      }
    } finally {
      busy = false;
      if (wanted) {
        const next = wanted;
        wanted = "";
        void go(next);
      }
    }
  }

  function exchange(here: Element, there: Element, what: string): void {
    const mine = here.querySelector(what);
    const theirs = there.querySelector(what);
    if (mine && theirs) mine.replaceWith(theirs);
  }

  // exchangeAll takes over the hidden fields of the form.
  function exchangeAll(here: Element, there: Element): void {
    for (const old of here.querySelectorAll(".through input[type=hidden]")) old.remove();
    here.querySelector(".through")?.prepend(...there.querySelectorAll(".through input[type=hidden]"));
  }

  const step = (rel: "prev" | "next") => {
    const link = looker.querySelector<HTMLAnchorElement>(`.through a[rel=${rel}]`);
    if (link && !busy) void go(link.href);
  };

  function listen(): void {
    const form = looker.querySelector<HTMLFormElement>("form.through");
    if (!form) return;
    const slide = () => void go(`${form.getAttribute("action")}?${new URLSearchParams(new FormData(form) as unknown as Record<string, string>)}`);
    form.querySelector("input[type=range]")?.addEventListener("input", slide);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      slide();
    });
  }

  looker.addEventListener("click", (event) => {
    const link = (event.target as HTMLElement).closest<HTMLAnchorElement>(".presets a, .through a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    void go(link.href);
  });
  figure.tabIndex = 0;
  figure.setAttribute("aria-label", "Picture. Arrow keys go to the next and the previous one.");
  figure.addEventListener("keydown", (event) => {
    const rel = { ArrowUp: "prev", ArrowLeft: "prev", ArrowDown: "next", ArrowRight: "next" }[event.key] as "prev" | "next" | undefined;
    if (!rel) return;
    event.preventDefault();
    step(rel);
  });
  figure.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      step(event.deltaY > 0 ? "next" : "prev");
    },
    { passive: false },
  );
  listen();
}
