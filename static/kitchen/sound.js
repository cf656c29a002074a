// Chimes, made here rather than played from files. A browser lets a page sound only after a touch.

const CHIMES = {
  created: [[660, 0], [880, 0.16]],
  changed: [[520, 0], [520, 0.2]],
  late: [[392, 0], [330, 0.22], [392, 0.44]],
};

let context = null;

export function isOn() {
  return context?.state === "running";
}

export async function startSound() {
  context ??= new AudioContext();
  await context.resume();
}

export function chime(name) {
  if (!isOn()) return;
  for (const [frequency, delay] of CHIMES[name]) tone(frequency, context.currentTime + delay);
}

function tone(frequency, at) {
  const oscillator = new OscillatorNode(context, { frequency, type: "triangle" });
  const volume = new GainNode(context, { gain: 0 });
  volume.gain.setValueAtTime(0, at);
  volume.gain.linearRampToValueAtTime(0.4, at + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.001, at + 0.35);
  oscillator.connect(volume).connect(context.destination);
  oscillator.start(at);
  oscillator.stop(at + 0.4);
}

// The screen does not go dark. The browser takes this back whenever the page is hidden.
export async function stayAwake() {
  if (document.visibilityState !== "visible") return;
  await navigator.wakeLock?.request("screen").catch(() => {});
  if (context) await context.resume();
}

document.addEventListener("visibilitychange", stayAwake);
