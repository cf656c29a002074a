// What the screen knows: the server's tickets, and on top of them what was done here and is not confirmed.

const REMEMBERED = 60; // bumped tickets, for the recall list and so that old news cannot bring one back

export class Store {
  constructor() {
    this.tickets = new Map();
    this.epoch = null;
    this.offset = 0; // the server's clock minus ours
  }

  now() {
    return Date.now() + this.offset;
  }

  setServerTime(text) {
    this.offset = Date.parse(text) - Date.now();
  }

  // Returns the ids of tickets on the board that were not known.
  replaceAll({ epoch, tickets, recall }) {
    const known = epoch === this.epoch ? this.tickets : new Map();
    const isFirst = this.epoch === null;
    this.tickets = new Map();
    for (const ticket of [...tickets, ...recall]) {
      const ours = known.get(ticket.id);
      this.tickets.set(ticket.id, ours?.version > ticket.version ? ours : ticket);
    }
    this.epoch = epoch;
    return isFirst ? [] : tickets.filter(({ id }) => !known.has(id)).map(({ id }) => id);
  }

  forget() {
    this.tickets.clear();
    this.epoch = null;
  }

  // Returns whether this was news.
  put(ticket) {
    if (this.tickets.get(ticket.id)?.version >= ticket.version) return false;
    this.tickets.set(ticket.id, ticket);
    this.forgetOldest();
    return true;
  }

  forgetOldest() {
    const bumped = [...this.tickets.values()].filter((ticket) => ticket.bumped_at);
    bumped.sort((a, b) => compare(b.bumped_at, a.bumped_at));
    for (const { id } of bumped.slice(REMEMBERED)) this.tickets.delete(id);
  }

  // The tickets as they will be once the waiting commands are carried out, in their order.
  foresee(commands) {
    const foreseen = new Map(this.tickets);
    for (const command of commands) {
      const ticket = foreseen.get(command.ticketId);
      if (ticket) foreseen.set(ticket.id, { ...EFFECTS[command.action](ticket, command), isWaiting: true });
    }
    return new Board([...foreseen.values()]);
  }
}

const EFFECTS = {
  bump: (ticket, { at }) => ({ ...ticket, bumped_at: at, status: ticket.status === "open" ? "bumped" : ticket.status }),
  recall: (ticket) => ({ ...ticket, bumped_at: null, status: "open", is_recalled: true }),
  done: (ticket, { itemId, isDone, at }) => ({
    ...ticket,
    items: ticket.items.map((item) => (item.id === itemId ? { ...item, done_at: isDone ? at : null } : item)),
  }),
};

class Board {
  constructor(tickets) {
    this.open = tickets.filter((ticket) => !ticket.bumped_at);
    this.open.sort((a, b) => compare(a.sent_at, b.sent_at) || compare(a.id, b.id));
    this.recent = tickets.filter((ticket) => ticket.status === "bumped");
    this.recent.sort((a, b) => compare(b.bumped_at, a.bumped_at));
  }

  find(ticketId) {
    return this.open.find(({ id }) => id === ticketId);
  }

  // [name, how many are still to be made], most first
  allDay() {
    const counts = new Map();
    for (const ticket of this.open) {
      if (ticket.status !== "open") continue;
      for (const item of ticket.items) {
        if (item.status === "voided" || item.done_at) continue;
        counts.set(item.name, (counts.get(item.name) ?? 0) + item.quantity);
      }
    }
    return [...counts].sort((a, b) => b[1] - a[1] || compare(a[0], b[0]));
  }
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
