// The kitchen screen: joins what it hears, what it knows, what it shows and what cooks do.

import { Commands } from "./commands.js";
import { config, timeOfDay } from "./config.js";
import { onKeys } from "./keys.js";
import * as panels from "./panels.js";
import { drawAges, drawBoard, nameOf, setText } from "./render.js";
import { chime, isOn, startSound, stayAwake } from "./sound.js";
import { Store } from "./store.js";
import { Stream } from "./stream.js";

const UNDO_MS = 5000;
const $ = (id) => document.getElementById(id);

const store = new Store();
let stationId = config.station_id;
let board = store.foresee([]);
let toast = null; // {text, ticket, until}

const commands = new Commands({
  onChange: refresh,
  onAnswer: (ticket) => store.put(ticket),
  onRefused: (command, detail) => showToast(detail),
});

const stream = new Stream(
  {
    onServerTime: (text) => store.setServerTime(text),
    onSnapshot: (snapshot) => announce(store.replaceAll(snapshot)),
    onEvent: handle,
    onNews: refresh,
  },
  stationId,
);

function handle({ type, data }) {
  if (type.startsWith("ticket.")) {
    if (!store.put(data)) return; // it was this screen that did it
    if (type === "ticket.created") announce([data.id]);
    else if (type !== "ticket.bumped") chime("changed");
  } else if (type === "item.sold_out" || type === "item.back") {
    panels.markSoldOut(data.id, type === "item.sold_out");
  }
}

function announce(ticketIds) {
  if (!ticketIds.length) return;
  chime("created");
  const names = ticketIds.map((id) => nameOf(store.tickets.get(id)));
  setText($("announcement"), `New: ${names.join(", ")}`);
}

// Showing

function refresh() {
  board = store.foresee(commands.waiting);
  drawBoard(board, { showsStation: !stationId && config.stations.length > 1 });
  panels.draw(board);
  tick();
}

function tick() {
  const { late, isNew } = drawAges(board, store.now());
  if (isNew) chime("late");
  const { state } = stream;
  document.body.dataset.state = state;
  setText($("state"), { live: "LIVE", connecting: "CONNECTING", offline: "OFFLINE" }[state]);
  setText($("heartbeat"), state === "live" ? `${Math.floor(stream.silence / 1000)} s` : "");
  setText($("offline-since"), timeOfDay(store.now() - stream.silence));
  $("offline").hidden = state !== "offline";
  const open = board.open.length;
  setText($("counts"), state === "live" || open ? `${open} open${late ? ` · ${late} late` : ""}` : "");
  $("counts").classList.toggle("some-late", late > 0);
  const waiting = commands.waiting.length;
  $("waiting").hidden = !waiting;
  setText($("waiting"), `${waiting} to send`);
  setText($("clock"), timeOfDay(store.now()));
  $("nothing").hidden = open > 0 || state === "offline";
  setText($("nothing"), state === "live" ? "All done. New orders appear here." : "Fetching the orders…");
  $("sound").hidden = isOn();
  if (toast && performance.now() > toast.until) hideToast();
}

function showToast(text, ticket = null) {
  toast = { ticket, until: performance.now() + UNDO_MS };
  setText($("toast-text"), text);
  $("undo").hidden = !ticket;
  $("toast").hidden = false;
}

function hideToast() {
  toast = null;
  $("toast").hidden = true;
}

// Doing

function bump(ticket) {
  if (!ticket) return;
  commands.add("bump", ticket.id);
  if (ticket.status === "open") showToast(`${nameOf(ticket)} bumped`, ticket);
}

function undo() {
  if (!toast?.ticket) return;
  const { id } = toast.ticket;
  hideToast();
  if (!commands.takeBack(id)) commands.add("recall", id);
}

function toggleDone(ticketId, itemId) {
  const item = board.find(ticketId)?.items.find(({ id }) => id === itemId);
  if (item) commands.add("done", ticketId, { itemId, isDone: !item.done_at });
}

async function openPanel(name) {
  panels.toggle(name);
  refresh();
  if (panels.isShown("sold-out")) await attempt(panels.readMenu(), "The menu cannot be read just now.");
}

async function attempt(promise, complaint) {
  await promise.catch((error) => showToast(error.name === "Error" ? error.message : complaint));
  refresh();
}

function chooseStation(link) {
  stationId = link.dataset.station || null;
  for (const other of document.querySelectorAll("[data-station]")) other.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  history.replaceState(null, "", link.href);
  store.forget();
  stream.restart(stationId);
  refresh();
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("button, a");
  if (!target) return;
  const { action, panel, station } = target.dataset;
  const ticketId = target.closest("[data-ticket]")?.dataset.ticket;
  const rowId = target.closest("[data-row]")?.dataset.row;
  if (station !== undefined) event.preventDefault(), chooseStation(target);
  else if (panel) openPanel(panel);
  else if (action === "bump") bump(board.find(ticketId));
  else if (action === "done") toggleDone(ticketId, target.closest("[data-item]").dataset.item);
  else if (action === "recall") commands.add("recall", rowId);
  else if (action === "sold-out") attempt(panels.sellOut(rowId, !panels.isSoldOut(rowId)), "No connection: not changed.");
  else if (action === "undo") undo();
  else if (action === "close") panels.toggle(null), refresh();
});

onKeys({
  bump: (index) => bump(board.open[index]),
  recall: () => openPanel("recall"),
  allDay: () => openPanel("all-day"),
  soldOut: () => openPanel("sold-out"),
  undo,
  close: () => (panels.toggle(null), refresh()),
});

// Any touch counts as the one that a browser wants before it lets a page sound.
for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, () => startSound().then(tick));

stayAwake();
refresh();
setInterval(tick, 1000);
commands.sendAll();
