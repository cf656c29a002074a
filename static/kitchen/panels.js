// Beside the board: what is to be made in all, what was bumped lately, and what is sold out.

import { get, post, timeOfDay } from "./config.js";
import { keep, make, nameOf, setText } from "./render.js";

const aside = document.getElementById("panel");
const title = document.getElementById("panel-title");
const rows = document.getElementById("panel-rows");
const empty = document.getElementById("panel-empty");
const TITLES = { "all-day": "All day", recall: "Recall", "sold-out": "86 – sold out" };
const EMPTY = { "all-day": "Nothing to make.", recall: "Nothing was bumped lately.", "sold-out": "The menu is empty." };

let shown = null;
let kept = new Map();
let menu = []; // [{id, name, is_sold_out}]

export function toggle(name) {
  shown = shown === name ? null : name;
  kept = new Map();
  rows.replaceChildren();
  aside.hidden = !shown;
  if (shown) setText(title, TITLES[shown]);
  for (const button of document.querySelectorAll("[data-panel]")) {
    button.setAttribute("aria-expanded", String(button.dataset.panel === shown));
  }
}

export const isShown = (name) => shown === name;

export function draw(board) {
  if (!shown) return;
  const wanted = { "all-day": allDay, recall, "sold-out": soldOut }[shown](board);
  keep(rows, kept, wanted, ({ action }) => makeRow(action));
  for (const row of wanted) fillRow(kept.get(row.id), row);
  empty.hidden = wanted.length > 0;
  setText(empty, EMPTY[shown]);
}

function allDay(board) {
  return board.allDay().map(([name, count]) => ({ id: name, lead: String(count), text: name }));
}

function recall(board) {
  return board.recent.map((ticket) => ({
    id: ticket.id,
    lead: nameOf(ticket),
    text: `${timeOfDay(Date.parse(ticket.bumped_at))} · ${ticket.items.map((i) => `${i.quantity} ${i.name}`).join(", ")}`,
    action: "recall",
    label: "Recall",
  }));
}

function soldOut() {
  return menu.map(({ id, name, is_sold_out }) => ({
    id,
    lead: is_sold_out ? "86" : "",
    text: name,
    action: "sold-out",
    label: is_sold_out ? "Back on" : "Sold out",
    isMarked: is_sold_out,
  }));
}

function makeRow(action) {
  const node = make("li");
  node.lead = make("strong", "lead");
  node.text = make("span", "text");
  node.append(node.lead, node.text);
  if (action) {
    node.button = make("button");
    node.button.dataset.action = action;
    node.append(node.button);
  }
  return node;
}

function fillRow(node, { id, lead, text, label, isMarked = false }) {
  node.dataset.row = id;
  node.classList.toggle("marked", isMarked);
  setText(node.lead, lead);
  setText(node.text, text);
  if (node.button) {
    setText(node.button, label);
    node.button.setAttribute("aria-label", `${label}: ${lead} ${text}`);
  }
}

export async function readMenu() {
  const { categories } = await get("menu");
  menu = categories.flatMap(({ items }) => items);
}

export function isSoldOut(id) {
  return menu.find((item) => item.id === id)?.is_sold_out ?? false;
}

export function markSoldOut(id, is_sold_out) {
  menu = menu.map((item) => (item.id === id ? { ...item, is_sold_out } : item));
}

export async function sellOut(id, is_sold_out) {
  await post(`items/${id}/sold-out`, { is_sold_out });
  markSoldOut(id, is_sold_out);
}
