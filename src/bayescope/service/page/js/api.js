// Requests to the service.

let token = sessionStorage.getItem("token");
let askToken = async () => null;

export class ServiceError extends Error {}

/** `ask` resolves to the token that the user gives. */
export function onTokenNeeded(ask) {
  askToken = ask;
}

async function request(path, options = {}) {
  for (;;) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(path, { ...options, headers });
    if (answer.status === 401) {
      token = await askToken();
      sessionStorage.setItem("token", token);
    } else if (answer.status === 503) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
    } else if (!answer.ok) {
      throw new ServiceError((await answer.json().catch(() => ({}))).error ?? `${answer.status} ${answer.statusText}`);
    } else {
      return answer;
    }
  }
}

function form(source, fields) {
  const body = new FormData();
  if (source.file) body.append("files", source.file, source.name);
  else for (const [key, uid] of Object.entries(source.reference)) body.append(key, uid);
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null) body.append(key, typeof value === "object" ? JSON.stringify(value) : value);
  }
  return body;
}

export const modelCard = async () => (await request("v1/model")).json();

export const explain = async (source, fields) =>
  (await request("v1/explain", { method: "POST", body: form(source, fields) })).json();

export const report = async (source, fields) =>
  (await request("v1/report", { method: "POST", body: form(source, fields) })).blob();

/** Classify a file; `handle(kind, content)` hears each event: image, progress, record, error, done. */
export async function classify(source, fields, handle) {
  const answer = await request("v1/classify/events", { method: "POST", body: form(source, fields) });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (pending + value).split("\r\n\r\n");
    pending = blocks.pop();
    for (const block of blocks) tell(block, handle);
  }
}

function tell(block, handle) {
  const lines = block.split("\r\n");
  const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
  const [kind] = field("event");
  if (kind) handle(kind, JSON.parse(field("data").join("\n")));
}
