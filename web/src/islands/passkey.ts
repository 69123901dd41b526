// Signs in with a passkey, or adds one to the account (W3C Web Authentication, level 3: options and answers as JSON).
type Options = { publicKey: Record<string, unknown> };

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  const out = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) out[i] = plain.charCodeAt(i);
  return out;
}

function text(buffer: ArrayBuffer | null | undefined): string | undefined {
  if (!buffer) return undefined;
  let plain = "";
  for (const b of new Uint8Array(buffer)) plain += String.fromCharCode(b);
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// decode turns what JSON carries as text into bytes: challenge, the user's handle, and the ids of credentials.
function decode(options: Options): Record<string, unknown> {
  const key = { ...options.publicKey } as Record<string, any>;
  key.challenge = bytes(key.challenge);
  if (key.user) key.user = { ...key.user, id: bytes(key.user.id) };
  for (const list of ["excludeCredentials", "allowCredentials"]) {
    if (key[list]) key[list] = key[list].map((c: { id: string }) => ({ ...c, id: bytes(c.id) }));
  }
  return key;
}

async function post(path: string, body?: unknown): Promise<any> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? "The node did not answer. Try again.");
  return said;
}

async function signIn(next: string): Promise<string> {
  const options = await post("/signin/passkey/begin");
  const got = (await navigator.credentials.get({ publicKey: decode(options) as unknown as PublicKeyCredentialRequestOptions })) as PublicKeyCredential;
  const r = got.response as AuthenticatorAssertionResponse;
  const said = await post(`/signin/passkey/finish?next=${encodeURIComponent(next)}`, {
    id: got.id,
    rawId: text(got.rawId),
    type: got.type,
    response: { authenticatorData: text(r.authenticatorData), clientDataJSON: text(r.clientDataJSON), signature: text(r.signature), userHandle: text(r.userHandle) },
  });
  return said.to;
}

async function register(name: string): Promise<string> {
  const options = await post("/account/passkeys/begin");
  const made = (await navigator.credentials.create({ publicKey: decode(options) as unknown as PublicKeyCredentialCreationOptions })) as PublicKeyCredential;
  const r = made.response as AuthenticatorAttestationResponse;
  const said = await post(`/account/passkeys/finish?name=${encodeURIComponent(name)}`, {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: { attestationObject: text(r.attestationObject), clientDataJSON: text(r.clientDataJSON), transports: r.getTransports?.() ?? [] },
  });
  return said.to;
}

export default function passkey(panel: HTMLElement): void {
  const button = panel.querySelector("button");
  const alert = panel.querySelector<HTMLElement>("[role=alert]");
  if (!button || !alert) return;
  if (!window.PublicKeyCredential) {
    alert.textContent = "This browser has no passkeys, or the page was not loaded over TLS. Ask the node's administrator for a sign-in link.";
    alert.hidden = false;
    return;
  }
  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    alert.hidden = true;
    try {
      const name = panel.querySelector<HTMLInputElement>("input[name=name]")?.value ?? "";
      location.href = panel.dataset.do === "register" ? await register(name) : await signIn(panel.dataset.next ?? "/");
    } catch (error) {
      const e = error as Error;
      alert.textContent = e.name === "NotAllowedError" ? "It was cancelled, or took too long. Try again." : e.message;
      alert.hidden = false;
      button.disabled = false;
    }
  });
}
