// What cooks do, sent to the server one after another. It waits on this device while there is no line,
// also through a reload; the key of each makes sure that sending it twice does it once.

import { config, newKey, post, Refused } from "./config.js";

const STORED_AS = `fynlo.kitchen.${config.restaurant_id}.${config.device_id}.commands`;
const RETRY_MS = 2000;
const MOST_ERRORS = 5; // of the server's own: one command that it cannot bear must not hold up the others

export class Commands {
  // `onAnswer(ticket)` gets what the server made of one, `onRefused(command, detail)` what it would not do.
  constructor({ onChange, onAnswer, onRefused }) {
    Object.assign(this, { onChange, onAnswer, onRefused });
    this.waiting = JSON.parse(localStorage.getItem(STORED_AS) ?? "[]");
    this.sending = null;
  }

  add(action, ticketId, fields = {}) {
    const at = new Date().toISOString();
    this.waiting.push({ key: newKey(), tries: 0, action, ticketId, at, ...fields });
    this.changed();
    this.sendAll();
  }

  // Takes back a bump that never left. Returns whether there was one.
  takeBack(ticketId) {
    const index = this.waiting.findLastIndex((c) => c.ticketId === ticketId && c.action === "bump");
    if (index < 0 || this.waiting[index].tries) return false;
    this.waiting.splice(index, 1);
    this.changed();
    return true;
  }

  async sendAll() {
    if (this.sending) return;
    clearTimeout(this.timer);
    while ((this.sending = this.waiting[0])) {
      this.sending.tries += 1;
      this.store();
      try {
        this.onAnswer(await carryOut(this.sending));
      } catch (error) {
        if (mayRetry(error, this.sending)) {
          this.timer = setTimeout(() => this.sendAll(), RETRY_MS);
          break;
        }
        this.onRefused(this.sending, error.message);
      }
      this.waiting.shift();
      this.changed();
    }
    this.sending = null;
  }

  changed() {
    this.store();
    this.onChange();
  }

  store() {
    localStorage.setItem(STORED_AS, JSON.stringify(this.waiting));
  }
}

function mayRetry(error, { tries }) {
  if (!(error instanceof Refused)) return true; // no line
  return error.isTemporary && !(error.isBroken && tries >= MOST_ERRORS);
}

function carryOut({ action, ticketId, itemId, isDone, key }) {
  if (action === "done") return post(`kitchen/tickets/${ticketId}/items/${itemId}/done`, { is_done: isDone }, key);
  return post(`kitchen/tickets/${ticketId}/${action}`, {}, key);
}
