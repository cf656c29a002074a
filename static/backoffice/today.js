// Keeps the figures of today up to date while the page is looked at.
const section = document.querySelector("[data-today]");
const stale = section.querySelector(".stale");

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch(section.dataset.today, { headers: { Accept: "application/json" }, redirect: "error" });
    if (!response.ok) throw new Error(String(response.status));
    for (const [name, text] of Object.entries(await response.json())) {
      const figure = section.querySelector(`[data-figure="${name}"]`);
      if (figure && figure.textContent !== text) figure.textContent = text;
    }
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
}

setInterval(refresh, 10_000);
document.addEventListener("visibilitychange", refresh);
