// Follows the restaurant's event log: by websocket or, where that fails, by asking every few seconds.
// Every event is applied once and in order; after a gap the screen starts again from what it has.

import { config, get, leave, socketUrl } from "./config.js";

const PING_MS = 5000;
const POLL_MS = 3000;
const OPEN_WITHIN_MS = 5000;
const DEAD_AFTER_MS = 10000;
const RETRY_MS = [500, 5000];
const FAILURES_BEFORE_POLLING = 3;
const STALE_PONGS = 3;
const GAP = 4000;
const MOVED = 1012; // this server is about to stop, and another one is there already
const NOT_WELCOME = [4401, 4403];
const ALIVE = ["snapshot", "welcome", "events", "pong"];

export class Stream {
  // `follower` has onServerTime(text), onSnapshot(snapshot), onEvent(event) and onNews(), which shows what
  // those two brought: only then is it confirmed to the server as shown.
  constructor(follower, stationId) {
    this.follower = follower;
    this.lastTraffic = null; // on the clock of performance.now()
    this.startedAt = performance.now();
    this.failures = 0;
    this.attempt = 0;
    this.restart(stationId);
    setInterval(() => this.checkPulse(), 1000);
    setInterval(() => this.send({ t: "ping" }), PING_MS);
    setInterval(() => this.poll(), POLL_MS);
    addEventListener("online", () => this.isWelcome || this.connect());
  }

  restart(stationId) {
    Object.assign(this, { stationId, epoch: null, last: -1, isWelcome: false, isMoving: false });
    this.connect();
  }

  // "live", "connecting" or "offline"
  get state() {
    if (this.silence > DEAD_AFTER_MS) return "offline";
    const isFollowing = this.isWelcome || this.isPolling || this.isMoving;
    return this.last >= 0 && isFollowing ? "live" : "connecting";
  }

  // For how many milliseconds nothing was heard.
  get silence() {
    return performance.now() - (this.lastTraffic ?? this.startedAt);
  }

  get isPolling() {
    return !this.isWelcome && this.failures >= FAILURES_BEFORE_POLLING;
  }

  connect() {
    this.drop();
    const socket = (this.socket = new WebSocket(socketUrl(), "fynlo.kitchen.v1"));
    this.openBy = performance.now() + OPEN_WITHIN_MS;
    this.stalePongs = 0;
    socket.onopen = () =>
      this.send({ t: "hello", v: 1, epoch: this.epoch, last_seq: this.last, station: this.stationId });
    socket.onmessage = (message) => this.receiveFromSocket(JSON.parse(message.data));
    socket.onclose = ({ code }) => {
      if (NOT_WELCOME.includes(code)) leave();
      else if (code === MOVED && this.isWelcome) this.move();
      else this.retry();
    };
  }

  // Does not wait for the other side to agree: on a dead line that takes minutes.
  drop(code) {
    clearTimeout(this.retryTimer);
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(code);
    this.socket = null;
    this.isWelcome = false;
  }

  // Nothing is wrong: the screen goes on as it was, and is back in the time that the server named.
  move() {
    this.drop();
    this.isMoving = true;
    this.retryTimer = setTimeout(() => this.connect(), this.retryMs * (0.5 + Math.random()));
  }

  retry(code) {
    this.drop(code);
    this.isMoving = false;
    this.failures += 1;
    const wait = Math.min(RETRY_MS[0] * 2 ** this.attempt, RETRY_MS[1]);
    this.attempt += 1;
    this.retryTimer = setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  checkPulse() {
    if (!this.socket) return;
    const isOpen = this.socket.readyState === WebSocket.OPEN && this.isWelcome;
    if (isOpen ? this.silence > DEAD_AFTER_MS : performance.now() > this.openBy) this.retry();
  }

  receive(message) {
    if (!ALIVE.includes(message.t)) return; // such as one that says the server itself is cut off
    this.lastTraffic = performance.now();
    if (message.server_time) this.follower.onServerTime(message.server_time);
    if (message.t === "snapshot") this.start(message);
    else if (message.t === "events") this.apply(message);
    else if (message.t === "pong") this.compare(message.head);
  }

  receiveFromSocket(message) {
    if (message.t === "snapshot" || message.t === "welcome") {
      Object.assign(this, { isWelcome: true, isMoving: false, failures: 0, attempt: 0 });
    } else if (message.t === "bye") {
      this.retryMs = message.retry_ms;
    }
    this.receive(message);
    if (message.t === "snapshot" || message.t === "events") this.send({ t: "ack", seq: this.last });
  }

  start(snapshot) {
    if (snapshot.epoch === this.epoch && snapshot.seq < this.last) return; // overtaken on the way
    this.epoch = snapshot.epoch;
    this.last = snapshot.seq;
    this.follower.onSnapshot(snapshot);
    this.follower.onNews();
  }

  apply({ from, to, ev }) {
    if (to <= this.last) return;
    if (from > this.last + 1) return this.retry(GAP);
    for (const event of ev) if (event.seq > this.last) this.handle(event);
    this.last = to;
    this.stalePongs = 0;
    this.follower.onNews();
  }

  handle(event) {
    if (event.type === "device.revoked" && event.data.id === config.device_id) leave();
    else this.follower.onEvent(event);
  }

  compare(head) {
    this.stalePongs = head > this.last ? this.stalePongs + 1 : 0;
    if (this.stalePongs >= STALE_PONGS) this.retry();
  }

  // Asking for what follows tells the server that all before it is shown.
  async poll() {
    if (!this.isPolling || this.isAsking) return;
    this.isAsking = true;
    const { stationId } = this;
    const question = new URLSearchParams({ after: Math.max(this.last, 0) });
    if (this.epoch) question.set("epoch", this.epoch);
    if (stationId) question.set("station", stationId);
    try {
      const answer = await get(`kitchen/events?${question}`);
      if (stationId === this.stationId) this.receive(answer); // else another was chosen meanwhile
    } catch {
      // Silence says it: the screen shows for how long nothing was heard.
    } finally {
      this.isAsking = false;
    }
  }
}
