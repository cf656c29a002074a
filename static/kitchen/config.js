// What the server says about this screen, and how the screen speaks to the server.

export const config = JSON.parse(document.getElementById("config").textContent);

const API = `/api/v1/restaurants/${config.restaurant_id}/`;
const TIMEOUT_MS = 8000;

export class Refused extends Error {
  constructor(status, { code, detail = "The server did not take it." }) {
    super(detail);
    // The same request may succeed in a moment.
    this.isTemporary = status >= 500 || status === 429 || code === "request_in_flight";
    this.isBroken = status === 500;
  }
}

// crypto.randomUUID is not there without HTTPS, as on a screen in somebody's own network.
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function get(path) {
  return request("GET", path);
}

export async function post(path, body = {}, key = newKey()) {
  return request("POST", path, body, key);
}

async function request(method, path, body, key) {
  const headers = { "X-Requested-With": "fynlo" };
  if (key) Object.assign(headers, { "Content-Type": "application/json", "Idempotency-Key": key });
  const answer = await fetch(API + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    cache: "no-store",
  });
  if (answer.status === 401) leave();
  const document = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, document);
  return document;
}

// This screen counts no more: it was revoked, or its restaurant is closed.
export function leave() {
  location.replace("/kitchen/join");
}

export function socketUrl() {
  const base = config.websocket_url || location.origin.replace(/^http/, "ws");
  return `${base}/ws/v1/restaurants/${config.restaurant_id}/kitchen`;
}

const wallClock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", timeZone: config.timezone,
});

export const timeOfDay = (milliseconds) => wallClock.format(milliseconds);
