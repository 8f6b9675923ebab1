// The Test Events page: a list that follows /api/stream, and one hit beside its twin.
// Everything a hit can say is shown by textContent alone.

import { RELAYS, account, clock, detail, gone, noteNames, short, stateText } from "./detail.js";

const MOST = 1000; // rows; the gateway remembers no more
const HEALTH_EVERY = 3000; // milliseconds
const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const $ = (id) => document.getElementById(id);
const rows = new Map(); // by record id: {summary, text, item, button}
const waiting = new Map(); // summaries not drawn yet, by record id
const cleared = new Set(); // ids that this view shall not show again
let paused = false;
let scheduled = false;
let onlyState = "";
let selected = null;

// ---- following the gateway

function follow() {
  const stream = new EventSource(`/api/stream?replay=${MOST}`);
  stream.onopen = () => live("live", "live");
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.onerror = () => {
    live("lost", "reconnecting");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}

function live(state, text) {
  $("live").dataset.live = state;
  $("live").textContent = text;
}

function take(summary) {
  if (cleared.has(summary.id)) return;
  waiting.set(summary.id, summary);
  if (waiting.size > MOST) waiting.delete(waiting.keys().next().value);
  schedule();
}

function schedule() {
  if (!scheduled) requestAnimationFrame(draw);
  scheduled = true;
}

async function health() {
  const [ready, outbox] = await Promise.all(["/readyz", "/api/outbox"].map(ask));
  $("ready").textContent = ready.ready ? "ready" : `not ready: ${ready.reason ?? "no answer"}`;
  $("ready").dataset.ready = Boolean(ready.ready);
  $("config").textContent = ready.config ? `config ${ready.config.slice(0, 8)}` : "";
  $("outbox").textContent = Object.entries(outbox).filter(([, depth]) => depth?.ready >= 0).map(depthText).join("   ");
  setTimeout(health, HEALTH_EVERY);
}

async function ask(path) {
  try {
    return await (await fetch(path)).json();
  } catch {
    return {};
  }
}

function depthText([destination, { ready, leased, held, dead, oldest_at: oldest }]) {
  const waiting = held ? `, ${held} held for consent` : "";
  const age = oldest ? `, oldest ${Math.max(0, Math.round(Date.now() / 1000 - oldest))} s` : "";
  return `${destination}: ${ready} ready, ${leased} under way${waiting}, ${dead} dead${age}`;
}

// ---- the list

function draw() {
  scheduled = false;
  $("pause").textContent = paused ? `Resume${waiting.size ? ` (${waiting.size})` : ""}` : "Pause";
  if (paused) return;
  waiting.forEach(put);
  const reopen = selected && waiting.has(selected);
  waiting.clear();
  trim();
  sift();
  if (reopen) open(selected);
}

function put(summary) {
  const row = rows.get(summary.id) ?? newRow(summary.id);
  row.summary = summary;
  row.text = haystack(summary);
  fill(row.button, summary);
}

function newRow(id) {
  const item = $("row").content.firstElementChild.cloneNode(true);
  const row = { item, button: item.firstElementChild };
  row.button.dataset.id = id;
  $("rows").prepend(item);
  if (waiting.size < 20 && !CALM.matches) item.animate([{ backgroundColor: "var(--chosen)" }, {}], 900);
  rows.set(id, row);
  return row;
}

function fill(button, summary) {
  const [time, event, pixel, eid, relay, state, why] = button.children;
  time.textContent = clock(summary.received_at);
  event.textContent = event.title = summary.event_name;
  pixel.textContent = summary.pixel_name || summary.pixel_id;
  eid.textContent = short(summary.event_id);
  relay.textContent = summary.relay;
  relay.title = RELAYS[summary.relay] ?? "";
  relay.dataset.relay = summary.relay;
  state.textContent = stateText(summary);
  state.dataset.state = summary.state;
  why.textContent = account(summary);
  why.title = [account(summary), ...noteNames(summary)].join("\n");
  why.dataset.notes = summary.notes.length || "";
}

function trim() {
  for (const [id, row] of rows) {
    if (rows.size <= MOST) return;
    row.item.remove();
    rows.delete(id);
  }
}

// Show what the filter wants, and count it.
function sift() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = { "": 0 };
  let shown = 0;
  for (const { summary, text, item } of rows.values()) {
    const wanted = words.every((word) => text.includes(word));
    if (wanted) counts[""] += 1;
    if (wanted) counts[summary.state] = (counts[summary.state] ?? 0) + 1;
    item.hidden = !wanted || (onlyState !== "" && summary.state !== onlyState);
    shown += item.hidden ? 0 : 1;
  }
  for (const tile of document.querySelectorAll("#flow button")) count(tile, counts[tile.dataset.state] ?? 0);
  $("empty").hidden = rows.size > 0;
  $("nothing").hidden = shown > 0 || rows.size === 0;
}

function count(tile, number) {
  tile.firstElementChild.textContent = number;
  tile.classList.toggle("none", number === 0);
  tile.setAttribute("aria-pressed", tile.dataset.state === onlyState);
}

const haystack = (s) =>
  [s.event_name, s.event_id, s.pixel_name, s.pixel_id, s.state, account(s), ...noteNames(s), s.source_url].join("\n").toLowerCase();

// ---- the opened hit

async function open(id) {
  const fresh = id !== selected;
  if (fresh) mark(id);
  const answer = await fetch(`/api/events/${encodeURIComponent(id)}`).catch(() => null);
  if (id !== selected) return; // another was opened meanwhile
  $("detail").replaceChildren(...(answer?.ok ? detail(await answer.json(), close) : gone(close)));
  $("detail").hidden = false;
  if (fresh) $("detail").scrollTop = 0;
  if (fresh && getComputedStyle($("detail")).position === "fixed") $("detail").focus(); // it covers the list
}

function close() {
  const button = rows.get(selected)?.button;
  mark(null);
  $("detail").hidden = true;
  button?.focus();
}

function mark(id) {
  rows.get(selected)?.button.removeAttribute("aria-current");
  rows.get(id)?.button.setAttribute("aria-current", "true");
  selected = id;
}

// ---- hands

function walk(step) {
  const shown = [...$("rows").children].filter((item) => !item.hidden).map((item) => item.firstElementChild);
  const at = shown.indexOf(document.activeElement);
  const next = shown[Math.min(Math.max(at + step, 0), shown.length - 1)];
  next?.focus();
  if (next && selected) open(next.dataset.id);
}

function pause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  draw();
}

function clear() {
  for (const id of [...rows.keys(), ...waiting.keys()]) cleared.add(id);
  rows.clear();
  waiting.clear();
  $("rows").replaceChildren();
  if (selected) close();
  sift();
}

const KEYS = { ArrowDown: () => walk(1), ArrowUp: () => walk(-1), "/": () => $("filter").focus(), p: pause };

document.onkeydown = (press) => {
  if (press.key === "Escape" && selected) return close();
  const act = KEYS[press.key];
  const busy = press.target.matches("input, aside, aside *") || press.ctrlKey || press.metaKey || press.altKey;
  if (!act || busy) return undefined;
  press.preventDefault();
  return act();
};
$("rows").onclick = (click) => {
  const button = click.target.closest("button");
  if (button) open(button.dataset.id);
};
$("flow").onclick = (click) => {
  const tile = click.target.closest("button");
  if (!tile) return;
  onlyState = onlyState === tile.dataset.state ? "" : tile.dataset.state;
  sift();
};
$("filter").oninput = sift;
$("pause").onclick = pause;
$("clear").onclick = clear;
sift();
follow();
health();
