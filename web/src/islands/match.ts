// Compares what is written with the terms while it is written: the form is asked about as its button "See whether it fits" does, and what it says is put in place. Nothing is stored by that.
const pause = 700; // after the last change

export default function match(element: HTMLElement): void {
  const form = element as HTMLFormElement;
  const shown = form.querySelector<HTMLElement>("#match");
  if (!shown) return;
  let due = 0;
  let asked = 0;

  async function compare(): Promise<void> {
    const mine = ++asked;
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
    body.set("do", "check");
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected || mine !== asked) return;
    const there = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#match");
    if (!there || there.innerHTML === shown!.innerHTML) return;
    shown!.replaceChildren(...document.importNode(there, true).childNodes);
  }

  // What no term depends on needs no comparison.
  const plain = ["title", "summary", "aims", "benefit", "outputs", "funding", "place", "evidence", "members", "ror", "named", "organisation-name"];
  const changed = (event: Event): void => {
    const at = event.target as HTMLInputElement;
    if (plain.includes(at.name)) return;
    window.clearTimeout(due);
    due = window.setTimeout(() => void compare().catch(() => undefined), pause);
  };
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
}
