// One hit beside its twin, and the words for both. Everything is shown by textContent alone.

const LONGEST = 2000; // characters of one value
const SIGNS = {
  delivered: "✓", unacked: "?", queued: "…", held: "‖", later: "↻", skipped: "–", duplicate: "=", dropped: "⊘", refused: "✗", expired: "⌛", shed: "∅",
};
const REASONS = {
  queued: "waits to be sent",
  held: "waits for the visitor's answer",
  duplicate: "an event of this name and id was taken before",
};
export const RELAYS = {
  native: "The gateway passes the browser's own request on",
  background: "The gateway relays the browser's copy in the background",
  browser: "The browser sends its copy to Meta itself",
  held: "The gateway held the browser's copy when it came: it goes once the visitor consents",
  withheld: "The gateway kept the browser's copy from Meta: consent or a rule wants it so",
  none: "Nobody brings a browser's copy to Meta",
};
// The gateway's remarks; what Events Manager's Diagnostics has a name for begins with that name.
const NOTES = {
  clock_repaired: "The browser's clock is wrong: event_time is the time of receipt",
  event_id_in_custom_data: "eventID was given as custom data, not as the fourth argument of fbq: it de-duplicates nothing",
  value_ignored: "Invalid value parameter: cd[value] is no number",
  currency_ignored: "Invalid currency code: cd[currency] is not three letters",
  contents_ignored: "No product of cd[contents] has both id and quantity",
  matching_data_ignored: "Invalid match key parameters: what is no SHA-256 value was left out",
  limited_by_geolocation: "Limited data use without country and state: Meta looks where the visitor is",
  no_user_agent: "Missing client_user_agent: Meta requires it for website events",
  no_client_ip: "Missing client_ip_address",
  unknown_content_type: "content_type is neither product nor product_group",
  value_without_currency: "Missing currency parameter: value has none",
  limited_without_client_ip: "Limited data use without client_ip_address: Meta cannot look where the visitor is",
  personal_data_removed: "Potentially violating personal data, removed before anything was sent",
  rule_fault: "A rule, or a field of it, gave nothing that can be used",
  event_name_of_twin_alone: "The browser's copy has another event_name: Meta counts both copies",
  event_id_of_twin_alone: "The browser's copy has another event_id: Meta counts both copies",
};
// Where the hit says what the twin says; keys of user_data and custom_data are found by rule.
const HIT_NAMES = {
  event_name: ["ev"], event_id: ["eid"], event_time: ["ts"], event_source_url: ["dl"], referrer_url: ["rl"],
  "user_data.fbp": ["fbp"], "user_data.fbc": ["fbc"], data_processing_options: ["dpo"],
  data_processing_options_country: ["dpoco"], data_processing_options_state: ["dpost"],
};
// Who gave what the hit does not have, and what it has otherwise, when no source and no rule did: the words of
// mapping/origins.py. Headers are not kept, so that what they alone could tell stays open.
const LIMITS = {
  data_processing_options: "consent",
  data_processing_options_country: "consent, or Meta's geolocation",
  data_processing_options_state: "consent, or Meta's geolocation",
};
const IDS = { "user_data.fbp": "cookie _fbp, or new", "user_data.fbc": "cookie _fbc, or fbclid" };
const GIVERS = {
  "+": {
    ...LIMITS, ...IDS, action_source: "gateway", event_id: "new, written into the browser's copy",
    event_time: "time of receipt", event_source_url: "Referer", "user_data.client_user_agent": "User-Agent",
    "user_data.client_ip_address": "peer, X-Forwarded-For or cookie _fbi",
  },
  "~": { ...LIMITS, ...IDS, event_time: "time of receipt" },
};
const GROUPS = { user_data: "Customer", custom_data: "Custom data" };
const MARKS = { "=": "same", "+": "added by the server", "~": "changed by the server" };
const HEADS = ["Parameter", "Browser hit", "", "Server twin", "Where from"];

export const gone = (close) => [closer(close), el("h2", "", "No longer in memory"), el("p", "", "The gateway shows its latest hits only.")];

// What the panel shows of a record; its button calls `close`.
export function detail(record, close) {
  const state = el("span", "chip state", stateText(record));
  state.dataset.state = record.state;
  const head = el("h2", "", record.event_name, " ", state);
  const why = el("p", "why", short(reason(record)));
  return [closer(close), head, why, warnings(record), facts(record), table(record), legend(record)];
}

function warnings(record) {
  const kinds = Map.groupBy(record.notes, (note) => note.split(":")[0]);
  return el("ul", "notes", ...[...kinds].map(([kind, notes]) => el("li", "", noteText(kind, notes))));
}

// One line for all notes of a kind: what they are about comes after their colons.
function noteText(kind, notes) {
  const about = notes.map((note) => note.slice(kind.length + 2)).filter(Boolean);
  return short([NOTES[kind] ?? words(kind), about.join(", ")].filter(Boolean).join(": "));
}

function facts(record) {
  const key = [record.pixel_name || record.pixel_id, record.event_name, short(record.event_id) || "no id"].join(" · ");
  const known = {
    "De-duplicated by": key,
    Received: `${new Date(record.received_at * 1000).toLocaleDateString()} ${clock(record.received_at)}`,
    Page: record.source_url,
    "Browser copy": isPosted(record) ? "None here: a server posted this event" : RELAYS[record.relay] ?? record.relay,
    Consent: record.consent,
    Rules: record.rules.join(", "),
  };
  const list = el("dl");
  for (const [term, text] of Object.entries(known)) if (text) list.append(el("dt", "", term), el("dd", "", short(text)));
  return list;
}

function table(record) {
  const head = el("tr", "", ...HEADS.map((text) => el("th", "", text)));
  const table = el("table", "", el("thead", "", head));
  for (const [group, pairs] of Map.groupBy(pair(record), (one) => one.group)) {
    const title = el("th", "group", group);
    title.colSpan = HEADS.length;
    table.append(el("tbody", "", el("tr", "", title), ...pairs.map(line)));
  }
  return table;
}

function line({ name, hit, twin, sign, from }) {
  const cell = el("td", "sign", sign);
  cell.title = MARKS[sign] ?? "";
  const row = el("tr", "", el("th", "", ...breakable(name)), el("td", hit ? "" : "nil", hit || "–"), cell);
  row.append(el("td", twin ? "" : "nil", twin || "–"), el("td", "from", from));
  row.dataset.sign = sign;
  return row;
}

function legend(record) {
  if (!record.twin) return el("p", "legend", "This hit has no twin.");
  const signs = Object.entries(MARKS).map(([sign, meaning]) => `${sign} ${meaning}`);
  return el("p", "legend", signs.join("   "), "   Of hashes the first 8 characters are shown.");
}

// ---- the pairs

// The twin's values with the hit's beside them, then what only the hit knows.
function pair(record) {
  const hit = new Map(record.hit);
  const used = new Set();
  const pairs = fields(record.twin ?? {}).map(([path, value]) => {
    const names = hitNames(path).filter((one) => hit.has(one));
    const name = names.find((one) => same(path, hit.get(one), value) || holds(value, hit.get(one))) ?? names[0];
    used.add(name);
    return pairOf(record, path, name, hit.get(name), value);
  });
  const group = record.twin ? "Only in the hit" : "Hit";
  for (const [name, value] of hit) {
    if (!used.has(name)) pairs.push({ group, name, hit: short(value), twin: "", sign: "", from: "" });
  }
  return pairs;
}

function fields(twin) {
  return Object.entries(twin).flatMap(([key, value]) =>
    key in GROUPS ? Object.entries(value ?? {}).map(([inner, one]) => [`${key}.${inner}`, one]) : [[key, value]],
  ).sort(([one], [other]) => order(one) - order(other));
}

const order = (path) => ["user_data", "custom_data"].indexOf(path.split(".")[0]);

function pairOf(record, path, name, hit, twin) {
  const [section, ...rest] = path.split(".");
  const sign = compared(path, hit, twin);
  const [left, right] = path === "event_time" ? [hit && moment(hit / 1000), moment(twin)] : [hit, twin];
  const shown = { group: GROUPS[section] ?? "Event", name: rest.join(".") || section, hit: show(left), twin: show(right) };
  if (isPosted(record) && !record.origins[path]) return { ...shown, sign: "", from: "posted" };
  const given = (hit || sign === "=") && `hit ${name}`;
  return { ...shown, sign, from: origin(record.origins[path], path, given, sign) };
}

// An event of a shop's own back end: no hit came with it.
const isPosted = (record) => record.hit.length === 0;

function hitNames(path) {
  const [section, ...rest] = path.split(".");
  const groups = { user_data: ["ud", "udff"], custom_data: ["cd"] }[section] ?? [];
  return HIT_NAMES[path] ?? groups.map((group) => `${group}[${rest.join(".")}]`);
}

// Who gave the twin its value: a source or a rule, these after the hit, or who else is known to.
function origin(named, path, given, sign) {
  if (named) return sign === "+" && given ? `${given}, ${named}` : named;
  return GIVERS[sign]?.[path] ?? (given || "");
}

// "=" when both say the same, "+" when the twin says it and more, or the hit nothing, "~" when they differ.
function compared(path, hit, twin) {
  if (hit !== undefined && same(path, hit, twin)) return "=";
  return !hit || holds(twin, hit) ? "+" : "~";
}

const holds = (twin, hit) => Array.isArray(twin) && twin.includes(hit.toLowerCase());

function same(path, hit, twin) {
  if (path === "event_time") return Math.floor(hit / 1000) === twin;
  if (typeof twin === "number") return hit !== "" && Number(hit) === twin;
  if (typeof twin !== "object") return hit === String(twin);
  if (Array.isArray(twin) && [hit, hit.toLowerCase()].includes(twin.join(","))) return true;
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
const words = (text) => text.replace(/^[a-z]+(_[a-z]+)+(?![^ :])/, (name) => name.replaceAll("_", " ")); // names from the code
export const reason = (s) => words(s.detail) || REASONS[s.state] || "";
export const noteNames = (s) => s.notes.map((kind) => NOTES[kind] ?? words(kind));

// A row's line: why it is where it is, and what rules and consent decided besides. What Meta said to a twin comes last.
export function account(s) {
  const why = reason(s);
  const rules = s.rules.filter((rule) => !why.endsWith(`: ${rule}`)).join(", ");
  const decided = [rules && `rules: ${rules}`, s.consent && !why.startsWith("consent ") && `consent: ${s.consent}`];
  return short((s.state === "delivered" ? [...decided, why] : [why, ...decided]).filter(Boolean).join(" · "));
}

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
