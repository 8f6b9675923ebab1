// One hit beside its twin, and the words for both. Everything is shown by textContent alone.

const LONGEST = 2000; // characters of one value
const SIGNS = { delivered: "✓", queued: "…", later: "↻", skipped: "–", duplicate: "=", dropped: "⊘", refused: "✗" };
const REASONS = { queued: "waits to be sent", duplicate: "an event of this name and id was taken before" };
export const RELAYS = {
  native: "The gateway passes the browser's own request on",
  background: "The gateway relays the browser's copy in the background",
  browser: "The browser sends its copy to Meta itself",
  none: "Nobody brings a browser's copy to Meta",
};
// Where the hit says what the twin says; keys of user_data and custom_data are found by rule.
const HIT_NAMES = {
  event_name: ["ev"], event_id: ["eid"], event_time: ["ts"], event_source_url: ["dl"], referrer_url: ["rl"],
  "user_data.fbp": ["fbp"], "user_data.fbc": ["fbc"], data_processing_options: ["dpo"],
  data_processing_options_country: ["dpoco"], data_processing_options_state: ["dpost"],
};
const GROUPS = { user_data: "Customer", custom_data: "Custom data" };
const MARKS = { "=": "same", "+": "added by the server", "~": "changed by the server" };

export const gone = (close) => [closer(close), el("h2", "", "No longer in memory"), el("p", "", "The gateway shows its latest hits only.")];

// What the panel shows of a record; its button calls `close`.
export function detail(record, close) {
  const state = el("span", "chip state", stateText(record));
  state.dataset.state = record.state;
  const head = el("h2", "", record.event_name, " ", state);
  const key = [record.pixel_name || record.pixel_id, record.event_name, short(record.event_id) || "no id"].join(" · ");
  return [closer(close), head, el("p", "why", reason(record)), facts(record, key), table(record), legend(record)];
}

function facts(record, key) {
  const known = {
    "De-duplicated by": key,
    Received: `${new Date(record.received_at * 1000).toLocaleDateString()} ${clock(record.received_at)}`,
    Page: record.source_url,
    "Browser copy": RELAYS[record.relay] ?? record.relay,
    Notes: (record.notes ?? []).join(", ").replaceAll("_", " "),
  };
  const list = el("dl");
  for (const [term, text] of Object.entries(known)) if (text) list.append(el("dt", "", term), el("dd", "", short(text)));
  return list;
}

function table(record) {
  const head = el("tr", "", ...["Parameter", "Browser hit", "", "Server twin"].map((text) => el("th", "", text)));
  const table = el("table", "", el("thead", "", head));
  for (const [group, pairs] of Map.groupBy(pair(record), (one) => one.group)) {
    const title = el("th", "group", group);
    title.colSpan = 4;
    table.append(el("tbody", "", el("tr", "", title), ...pairs.map(line)));
  }
  return table;
}

function line({ name, hit, twin, sign }) {
  const cell = el("td", "sign", sign);
  cell.title = MARKS[sign] ?? "";
  const row = el("tr", "", el("th", "", ...breakable(name)), el("td", hit ? "" : "nil", hit || "–"), cell);
  row.append(el("td", twin ? "" : "nil", twin || "–"));
  row.dataset.sign = sign;
  return row;
}

function legend(record) {
  if (!record.twin) return el("p", "legend", "This hit has no twin.");
  const signs = Object.entries(MARKS).map(([sign, meaning]) => `${sign} ${meaning}`);
  return el("p", "legend", signs.join("   "), "   Of hashes the first 8 characters are shown.");
}

// The twin's values with the hit's beside them, then what only the hit knows.
function pair(record) {
  const hit = new Map(record.hit);
  const used = new Set();
  const pairs = fields(record.twin ?? {}).map(([path, value]) => {
    const name = hitNames(path).find((one) => hit.has(one));
    used.add(name);
    return pairOf(path, hit.get(name), value);
  });
  for (const [name, value] of hit) {
    if (!used.has(name)) pairs.push({ group: record.twin ? "Only in the hit" : "Hit", name, hit: short(value), twin: "", sign: "" });
  }
  return pairs;
}

function fields(twin) {
  return Object.entries(twin).flatMap(([key, value]) =>
    key in GROUPS ? Object.entries(value ?? {}).map(([inner, one]) => [`${key}.${inner}`, one]) : [[key, value]],
  ).sort(([one], [other]) => order(one) - order(other));
}

const order = (path) => ["user_data", "custom_data"].indexOf(path.split(".")[0]);

function pairOf(path, hit, twin) {
  const [section, ...rest] = path.split(".");
  const sign = hit === undefined ? "+" : same(path, hit, twin) ? "=" : "~";
  const [left, right] = path === "event_time" ? [hit && moment(hit / 1000), moment(twin)] : [hit, twin];
  return { group: GROUPS[section] ?? "Event", name: rest.join(".") || section, hit: show(left), twin: show(right), sign };
}

function hitNames(path) {
  const [section, ...rest] = path.split(".");
  const groups = { user_data: ["ud", "udff"], custom_data: ["cd"] }[section] ?? [];
  return HIT_NAMES[path] ?? groups.map((group) => `${group}[${rest.join(".")}]`);
}

function same(path, hit, twin) {
  if (path === "event_time") return Math.floor(hit / 1000) === twin;
  if (typeof twin === "number") return Number(hit) === twin;
  if (typeof twin !== "object") return hit === String(twin);
  if (Array.isArray(twin) && (twin.join(",") === hit || twin.includes(hit.toLowerCase()))) return true;
  return canonical(parsed(hit)) === canonical(twin);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function canonical(value) {
  if (value === null || typeof value !== "object") return String(value);
  const entries = Object.entries(value).map(([key, item]) => [key, canonical(item)]);
  return JSON.stringify(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
}

// ---- texts and elements

export const stateText = (s) => `${SIGNS[s.state] ?? ""} ${s.state}`;
const words = (text) => (/^[a-z_]+$/.test(text) ? text.replaceAll("_", " ") : text); // names from the code
export const reason = (s) => words(s.detail) || REASONS[s.state] || "";

const pad = (number, width = 2) => String(number).padStart(width, "0");
// Hashes by their first characters, novels by their first page.
export const short = (text) =>
  String(text).slice(0, LONGEST).replace(/\b[0-9a-f]{64}\b/gi, (hash) => `${hash.slice(0, 8)}…`);
const moment = (seconds) => (Number.isFinite(seconds) ? `${clock(seconds).slice(0, 8)} (${Math.floor(seconds)})` : "");

export function clock(seconds) {
  const at = new Date(seconds * 1000);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

function show(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return short(value.join(", ")) || "(empty list)";
  return short(typeof value === "object" ? JSON.stringify(value) : value);
}

function el(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// A name that may wrap after its underscores.
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);

function closer(close) {
  const button = el("button", "close", "×");
  button.ariaLabel = "Close";
  button.onclick = close;
  return button;
}
