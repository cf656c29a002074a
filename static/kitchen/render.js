// Draws the board. Nodes are kept for as long as what they show, so focus stays; text is only ever text.

import { config } from "./config.js";

const KEYS = 9;
const ROW = 4; // pixels, as grid-auto-rows
const AGES = { fresh: "", soon: "SOON", late: "LATE" };

const list = document.getElementById("tickets");
const nodes = new Map(); // of tickets, by id

const heights = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const rows = Math.ceil((target.getBoundingClientRect().height + 16) / ROW);
    target.parentNode.style.gridRowEnd = `span ${rows}`;
  }
});

export function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== "") node.textContent = text;
  return node;
}

export function nameOf({ order_kind, order_number, customer_name, table }) {
  if (order_kind === "takeaway" || !table) return `#${order_number} ${customer_name}`.trim();
  return table;
}

export function drawBoard(board, { showsStation }) {
  keep(list, nodes, board.open, makeTicket);
  board.open.forEach((ticket, index) => fillTicket(nodes.get(ticket.id), ticket, index, showsStation));
}

// Returns how many are late, and whether one has just become so.
export function drawAges(board, now) {
  let late = 0;
  let isNew = false;
  for (const ticket of board.open) {
    const node = nodes.get(ticket.id);
    const seconds = Math.max(0, Math.floor((now - Date.parse(ticket.sent_at)) / 1000));
    const age = ticket.status === "voided" ? "fresh" : ageOf(seconds);
    setText(node.time, clock(seconds));
    setText(node.age, AGES[age]);
    if (age === "late") {
      late += 1;
      isNew ||= node.dataset.age === "soon" || node.dataset.age === "fresh";
    }
    node.dataset.age = age;
  }
  return { late, isNew };
}

// Makes the children of `parent` those of `rows`, in their order, moving no node that is in place.
export function keep(parent, kept, rows, create) {
  const wanted = new Set(rows.map(({ id }) => id));
  for (const [id, node] of kept) if (!wanted.has(id)) kept.delete(id), node.remove();
  rows.forEach((row, index) => {
    if (!kept.has(row.id)) kept.set(row.id, create(row));
    const node = kept.get(row.id);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

function makeTicket({ id }) {
  const node = make("li", "ticket");
  node.dataset.ticket = id;
  const card = make("article", "card");
  const header = make("header");
  node.key = make("kbd", "key");
  node.heading = make("h2");
  node.age = make("span", "age");
  node.time = make("span", "time");
  node.who = make("p", "who");
  node.badges = make("p", "badges");
  node.note = make("p", "note");
  node.list = make("ul", "items");
  node.items = new Map();
  node.bump = make("button", "bump");
  node.bump.dataset.action = "bump";
  header.append(node.key, node.heading, node.time, node.who, node.age, node.badges);
  card.append(header, node.note, node.list, node.bump);
  node.append(card);
  heights.observe(card);
  return node;
}

function fillTicket(node, ticket, index, showsStation) {
  const key = index < KEYS ? String(index + 1) : "";
  setText(node.key, key);
  node.key.hidden = !key;
  if (!changes(node, [ticket, key, showsStation])) return;
  const isVoided = ticket.status === "voided";
  node.classList.toggle("voided", isVoided);
  node.classList.toggle("takeaway", ticket.order_kind === "takeaway");
  setText(node.heading, nameOf(ticket));
  setText(node.who, who(ticket, showsStation));
  node.badges.replaceChildren(...badges(ticket));
  node.badges.hidden = !node.badges.children.length;
  setText(node.note, ticket.order_note);
  node.note.hidden = !ticket.order_note;
  fillItems(node, ticket);
  node.bump.replaceChildren(make("span", "", isVoided ? "SEEN" : "BUMP"), make("kbd", "", key));
  node.bump.setAttribute("aria-label", `${isVoided ? "Seen" : "Bump"} ${nameOf(ticket)}`);
}

function who(ticket, showsStation) {
  const isTakeaway = ticket.order_kind === "takeaway";
  const guests = `${ticket.covers} ${ticket.covers === 1 ? "guest" : "guests"}`;
  const parts = isTakeaway ? [ticket.waiter] : [ticket.waiter, guests, `#${ticket.order_number}`];
  if (showsStation) parts.push(ticket.station);
  return parts.filter(Boolean).join(" · ");
}

function badges(ticket) {
  const texts = [];
  if (ticket.order_kind === "takeaway") texts.push(["takeaway", "TAKEAWAY"]);
  if (ticket.is_add_on) texts.push(["add-on", "ADD-ON"]);
  if (ticket.is_recalled) texts.push(["recalled", "RECALLED"]);
  if (ticket.status === "voided") texts.push(["void", "VOID – DO NOT MAKE"]);
  if (ticket.isWaiting) texts.push(["waiting", "… SENDING"]);
  return texts.map(([className, text]) => make("span", `badge ${className}`, text));
}

function fillItems(node, ticket) {
  const items = [...ticket.items].sort((a, b) => a.course - b.course); // else in the order they were added
  const courses = new Set(items.map(({ course }) => course));
  const rows = items.flatMap((item, index) => {
    const isFirst = courses.size > 1 && item.course !== items[index - 1]?.course;
    return isFirst ? [{ id: `course ${item.course}`, course: item.course }, item] : [item];
  });
  keep(node.list, node.items, rows, ({ course, quantity }) => (quantity ? makeItem() : make("li", "course", `COURSE ${course}`)));
  for (const item of items) fillItem(node.items.get(item.id), item, ticket.status);
}

function makeItem() {
  const node = make("li", "item");
  node.button = make("button");
  node.button.dataset.action = "done";
  node.append(node.button);
  return node;
}

function fillItem(node, item, status) {
  if (!changes(node, [item, status])) return;
  const isVoided = item.status === "voided" || status === "voided";
  node.dataset.item = item.id;
  node.classList.toggle("done", Boolean(item.done_at) && !isVoided);
  node.classList.toggle("voided", isVoided);
  node.button.disabled = isVoided;
  node.button.setAttribute("aria-pressed", String(Boolean(item.done_at)));
  const name = make("span", "name", item.name);
  if (item.seat) name.append(make("span", "seat", ` seat ${item.seat}`));
  node.button.replaceChildren(make("span", "quantity", `${item.quantity}×`), name);
  if (isVoided) node.button.append(make("strong", "mark", "VOID"));
  else if (item.done_at) node.button.append(make("span", "mark", "✓"));
  for (const modifier of item.modifiers) node.button.append(make("span", "modifier", modifier));
  if (item.note) node.button.append(make("span", "note", item.note));
}

// Remembers what a node shows; returns whether it is to show something else now.
function changes(node, what) {
  const text = JSON.stringify(what);
  if (node.shown === text) return false;
  node.shown = text;
  return true;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function ageOf(seconds) {
  if (seconds >= config.late_after_seconds) return "late";
  return seconds >= config.warn_after_seconds ? "soon" : "fresh";
}

function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
