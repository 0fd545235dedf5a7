// What the page shows is kept up to date by the server's events, and looks old once it is.

import { renew } from "./fragments.js";
import { rate, share, millis, span } from "./words.js";

const root = document.documentElement;
const STALE_AFTER_MS = 3500;
const RENEW_AFTER_MS = 100;
const AGAIN_AFTER_MS = 3000;
const REQUESTS_AFTER_MS = 1000;
const KEPT = 60;

const trends = new Map(); // Of each route: its latest readings, one a second.
let source = null;
let lastId = "";
let updated = Date.now();
let revision = null;
let soon = 0;

/** Listen, where the page has something to keep up to date. */
export function onEvents() {
  const standing = document.getElementById("standing");
  if (!standing) return;
  // What has happened since the page was made is told as well.
  lastId = standing.dataset.lastEvent;
  connect();
  setInterval(tick, 1000);
}

function connect() {
  const url = new URL(document.getElementById("standing").dataset.events, location.href);
  const kinds = ["change", "breaker", "alarm", "readings"];
  if (document.getElementById("requests")) kinds.push("requests");
  url.searchParams.set("kinds", kinds.join(","));
  if (lastId) url.searchParams.set("last_event_id", lastId);
  source = new EventSource(url);
  for (const kind of ["hello", "reset"]) source.addEventListener(kind, (event) => greeted(event, kind));
  for (const kind of ["change", "breaker"]) source.addEventListener(kind, (event) => heard(event) && renewSoon(RENEW_AFTER_MS));
  source.addEventListener("readings", (event) => show(heard(event)));
  source.addEventListener("requests", (event) => heard(event) && renewSoon(REQUESTS_AFTER_MS));
  source.addEventListener("error", () => {
    // The browser comes back by itself, save where it was refused: then the page's own address tells why.
    if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_AFTER_MS);
  });
}

async function again() {
  await renew();
  connect();
}

function heard(event) {
  if (event.lastEventId) lastId = event.lastEventId;
  updated = Date.now();
  tick();
  return JSON.parse(event.data);
}

function greeted(event, kind) {
  const hello = heard(event);
  if (kind === "reset" || (revision !== null && revision !== hello.revision)) renewSoon(0);
  revision = hello.revision;
}

function renewSoon(afterMs) {
  if (soon) return;
  soon = setTimeout(async () => {
    soon = 0;
    const resting = document.querySelector("#requests:hover, #requests:focus-within");
    if (!resting || afterMs !== REQUESTS_AFTER_MS) await renew();
    paint();
  }, afterMs);
}

/** Once a second: is what stands there still true? */
function tick() {
  const age = Date.now() - updated;
  const isStale = age > STALE_AFTER_MS;
  root.dataset.live = isStale ? "stale" : "on";
  const note = document.getElementById("connection");
  if (note) {
    if (note.hidden === isStale) say(note, isStale);
    const since = note.querySelector("[data-age]");
    if (since) since.textContent = `${span(age / 1000)} ago`;
  }
  for (const up of document.querySelectorAll("[data-since]")) up.textContent = span(Date.now() / 1000 - Number(up.dataset.since));
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = `${span((Date.now() - new Date(time.dateTime)) / 1000)} ago`;
  for (const time of document.querySelectorAll("time[data-ahead]")) time.textContent = `in ${span((new Date(time.dateTime) - Date.now()) / 1000)}`;
}

function say(note, isStale) {
  note.hidden = !isStale;
  if (!isStale) return note.replaceChildren();
  const age = document.createElement("span");
  age.dataset.age = "";
  // Who listens is told once, not each second.
  age.setAttribute("aria-hidden", "true");
  const lost = document.createElement("strong");
  lost.textContent = "Disconnected.";
  note.replaceChildren(lost, " What you see is old; connecting again. Last update ", age, ".");
}

function show(reading) {
  const seen = new Map(reading.routes.map((route) => [route.model, route]));
  const quiet = { requests_per_s: 0, error_share: null, first_byte_p95_ms: null, in_flight: 0 };
  for (const row of document.querySelectorAll("tr[data-model]")) {
    if (!trends.has(row.dataset.model)) trends.set(row.dataset.model, []);
  }
  for (const [model, trend] of trends) {
    trend.push(seen.get(model) ?? quiet);
    if (trend.length > KEPT) trend.shift();
  }
  const states = new Map(reading.endpoints.map((each) => [`${each.provider} ${each.model_id}`, each.state]));
  for (const place of document.querySelectorAll("[data-model-id]")) {
    const state = place.querySelector("[data-state]");
    if (state && state.dataset.state !== "drained") setState(state, states.get(`${place.dataset.provider} ${place.dataset.modelId}`) ?? "closed");
  }
  setText(document.querySelector("[data-total=per_s]"), rate(reading.total.requests_per_s));
  setText(document.querySelector("[data-total=errors]"), share(reading.total.error_share));
  paint();
}

const KINDS = { closed: ["well", "well"], half_open: ["trial", "on trial"], open: ["out", "out of service"] };

function setState(element, state) {
  const [kind, words] = KINDS[state] ?? KINDS.closed;
  element.dataset.state = kind;
  setText(element.querySelector(".word"), words);
}

/** Write each route's figures; those of one second jump, so some are of the last few. */
function paint() {
  for (const row of document.querySelectorAll("tr[data-model]")) {
    const trend = trends.get(row.dataset.model);
    if (!trend?.length) continue;
    const [few, many] = [trend.slice(-5), trend.slice(-30)];
    const requests = sum(many.filter((each) => each.error_share !== null), (each) => each.requests_per_s);
    const failed = sum(many, (each) => (each.error_share ?? 0) * each.requests_per_s);
    const errors = requests ? failed / requests : null;
    const p95 = few.map((each) => each.first_byte_p95_ms).filter((each) => each !== null);
    const figure = (name) => row.querySelector(`[data-figure=${name}]`);
    setText(figure("per_s"), rate(sum(few, (each) => each.requests_per_s) / few.length));
    setText(figure("errors"), share(errors));
    figure("errors")?.classList.toggle("bad", errors > 0);
    setText(figure("p95"), millis(p95.length ? Math.max(...p95) : null));
    setText(figure("in_flight"), String(trend.at(-1).in_flight));
    draw(row.querySelector(".spark polyline"), trend);
  }
}

function draw(line, trend) {
  if (!line) return;
  const most = Math.max(1, ...trend.map((each) => each.requests_per_s));
  const points = trend.map((each, index) => `${KEPT - trend.length + index + 0.5},${(19 - (each.requests_per_s / most) * 18).toFixed(1)}`);
  line.setAttribute("points", points.join(" "));
}

function sum(values, of) {
  return values.reduce((total, each) => total + of(each), 0);
}

function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
