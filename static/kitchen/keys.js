// Bump bars are keyboards.

export function onKeys({ bump, recall, allDay, soldOut, undo, close }) {
  const actions = { r: recall, a: allDay, s: soldOut, u: undo, backspace: undo, escape: close };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.matches("input")) return;
    const action = /^[1-9]$/.test(event.key) ? () => bump(Number(event.key) - 1) : actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
