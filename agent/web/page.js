// The page: listens to the agent and shows what it says.
//
// Intuition: a page that shows an old ring as if it were the present one is worse than none. So silence is a state of
// its own: the agent gives a sign of life every two seconds, and when five have passed without one, the page says since
// when, turns grey, and tries again until somebody answers.
//
// Every text comes from other hosts: it is set as text, never as markup.

import { Ring } from "./ring.js";
import { duration, linkLook, linkWords, nodeWords, reasonWords, runs, summaryWords } from "./words.js";

const SILENCE_MS = 5000;
const STALE_MS = 5000;
const RETRY_MS = 1000;
const HISTORY = 40;

const $ = (id) => document.getElementById(id);
const ring = new Ring($("ring"));

function make(name, className, text) {
  const out = document.createElement(name);
  if (className) out.className = className;
  if (text !== undefined) out.textContent = text;
  return out;
}

// Only what changes is touched: a screen reader, a selection and a focus stay where they are.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function replace(element, children) {
  const fresh = make(element.tagName);
  fresh.append(...children);
  if (fresh.innerHTML !== element.innerHTML) element.replaceChildren(...fresh.childNodes);
}

// ---- head and problems

const SIGNS = { ok: "✓", degraded: "!", critical: "✕" };

function showHead(status) {
  $("top").dataset.health = status.health;
  say($("sign"), SIGNS[status.health] ?? "?");
  say($("cluster"), status.cluster);
  say($("health"), status.health);
  say($("summary"), summaryWords(status));
  say($("seen-by"), status.node);
  say($("epoch"), status.generation ? `${status.epoch} (generation ${status.generation})` : String(status.epoch));
  const { reachable, needed, voters, held } = status.quorum;
  say($("votes"), `${reachable} of ${voters.length}`);
  say($("quorum"), voters.length === 0 ? "There are no voters yet."
    : `${held ? "Held" : "LOST, nothing can be changed"}: ${reachable} of ${voters.length} voters can be reached, ${needed} needed (${voters.join(", ")}).`);
  say($("version"), `This agent is version ${status.version}.`);
  document.title = `${SIGNS[status.health] ?? "?"} ${status.health} – ${status.cluster}`;
}

function problemItem(problem) {
  const item = make("li", "problem");
  item.dataset.severity = problem.severity;
  item.dataset.code = problem.code;
  item.append(make("p", "severity", `${problem.severity}${problem.node ? ` · ${problem.node}` : ""}`), make("p", "text", problem.text));
  const help = make("dl");
  help.append(make("dt", "", "means"), make("dd", "", problem.means), make("dt", "", "do"), make("dd", "", problem.do));
  item.append(help);
  return item;
}

let announced = null;

function showProblems(status) {
  const order = [...status.problems].sort((a, b) => (a.severity === "critical" ? 0 : 1) - (b.severity === "critical" ? 0 : 1));
  replace($("problems"), order.map(problemItem));
  $("no-problems").hidden = order.length > 0;
  // Said aloud once, and not again while only its seconds count up.
  const kinds = JSON.stringify([status.health, order.map((problem) => [problem.code, problem.node])]);
  if (kinds !== announced) say($("news"), `${status.health}: ${order.length ? order.map((problem) => problem.text).join("; ") : summaryWords(status)}`);
  announced = kinds;
}

// ---- the table

const TITLES = ["Place", "MySQL", "Writes", "Follows", "Lag", "Agent", "Position"];

function rowOf(index) {
  const body = $("nodes");
  while (body.children.length <= index) {
    const row = make("tr");
    row.setAttribute("role", "row");
    row.id = `node-${body.children.length}`;
    row.tabIndex = -1;
    const head = make("th");
    head.setAttribute("role", "rowheader");
    head.scope = "row";
    row.append(head);
    for (const title of TITLES) {
      const cell = make("td");
      cell.setAttribute("role", "cell");
      cell.dataset.title = title;
      cell.append(make("div"));
      row.append(cell);
    }
    row.lastChild.className = "position";
    body.append(row);
  }
  return body.children[index];
}

const span = (look, text) => make("span", look, text);
const small = (text) => make("small", "", text);
const maybe = (text) => (text ? [small(text)] : []);

function positionParts(node) {
  const value = node.position.value;
  if (!value) return [span("unknown", "–")];
  if (value.length <= 60) return [make("code", "", value)];
  const more = make("details");
  const short = make("summary");
  short.append(make("code", "", value.slice(0, 44) + "…"));
  more.append(short, make("code", "", value));
  return [more];
}

function cellsOf(node, status) {
  const links = [...node.upstreams].sort((a, b) => Number(b.desired) - Number(a.desired));
  const look = linkLook(node);
  const mysqlLook = node.mysql === "up" ? "ok" : node.mysql === "unknown" ? "unknown" : node.in ? "critical" : "warning";
  const agentLook = node.agent === "alive" ? "ok" : "warning";
  const out = node.role === "ring" ? "out" : node.role;
  const follows = links.flatMap((link) => [
    span(runs(link) ? (link.desired ? "ok" : "warning") : look === "unknown" ? "unknown" : "critical",
      `${link.node}: ${look === "unknown" ? "?" : linkWords(link)}${link.desired || !node.in ? "" : " (not wanted)"}`),
    ...maybe(link.error)]);
  const lag = links[0]?.lag_ms;
  return [
    [span(node.in ? "ok" : node.role === "ring" ? "warning" : "", node.in ? "in" : out),
      ...maybe(node.in || node.role !== "ring" ? "" : reasonWords(node.reason)),
      ...maybe(node.rejoin_in_ms === null ? "" : `back in ${duration(node.rejoin_in_ms)} if it stays healthy`)],
    [span(mysqlLook, node.mysql), ...maybe(node.mysql === "up" ? "" : node.mysql_why), ...maybe(node.mysql_version), ...maybe(node.address)].map((part) => {
      if (part.textContent.length < 28) part.classList.add("whole");
      return part;
    }),
    [node.read_only === null ? span("unknown", "?") : span(node.read_only && node.in && node.writer !== false ? "warning" : "", node.read_only ? (node.writer ? "not yet" : "no, read-only") : node.writer ? "yes, the writer" : "yes")],
    follows.length ? follows : [span("unknown", "nobody")],
    [lag === null || lag === undefined ? span("unknown", "?") : span("whole", duration(lag))],
    [span(agentLook, node.agent), ...maybe(node.agent_version), ...maybe(node.vote ? "votes" : "")],
    positionParts(node),
  ];
}

function showNodes(status) {
  status.nodes.forEach((node, i) => {
    const row = rowOf(i);
    const { look, words } = nodeWords(node);
    row.dataset.look = look;
    row.dataset.node = node.name;
    replace(row.firstChild, [document.createTextNode(node.name), small(node.name === status.node ? `${words}; seen from here` : words)]);
    cellsOf(node, status).forEach((parts, k) => {
      const cell = row.children[k + 1].firstChild;
      if (cell.querySelector("details[open]") && parts[0].tagName === "DETAILS") parts[0].open = true;
      replace(cell, parts);
    });
  });
  while ($("nodes").children.length > status.nodes.length) $("nodes").lastChild.remove();
}

// ---- the history

function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  const two = (value, digits = 2) => String(value).padStart(digits, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
}

function historyItem(entry) {
  const item = make("li");
  const time = make("time", "", moment(entry.time));
  time.dateTime = entry.time;
  const what = make("div");
  const title = entry.kind === "epoch" ? `Epoch ${entry.epoch}: ${entry.what}` : entry.what;
  what.append(make("span", "what", title), document.createTextNode(entry.why ? `: ${entry.why}` : ""));
  if (!entry.ok) what.append(" ", make("strong", "failed", "failed"));
  const facts = [entry.who && `by ${entry.who}`, entry.took_ms > 0 && `${entry.took_ms.toFixed(1)} ms`].filter(Boolean).join(", ");
  if (entry.steps.length) {
    const more = make("details");
    more.append(make("summary", "", facts || "steps"),
      make("p", "", entry.steps.map((step) => `${step.name} ${step.took_ms.toFixed(1)} ms`).join(", ")));
    what.append(more);
  } else if (facts) {
    what.append(make("p", "more", facts));
  }
  item.append(time, what);
  return item;
}

let newest = -1;  // the last seq that was asked for

async function showHistory(seq) {
  if (seq === newest) return;
  newest = seq;
  try {
    const answer = await fetch(`/history?n=${HISTORY}`, { signal: AbortSignal.timeout(SILENCE_MS) });
    if (!answer.ok) throw new Error(answer.statusText);
    const entries = await answer.json();
    $("no-history").hidden = entries.length > 0;
    $("history").replaceChildren(...entries.reverse().map(historyItem));
  } catch {
    newest = -1;  // the next news ask again
  }
}

// ---- the line to the agent

let stream = null;
let heard = Date.now();
let tried = Date.now();
let since = null;  // when the line was lost
let stale = 0;     // how long ago the agent's own loop looked
let hangs = null;  // since when that has been too long

function show(status) {
  if (status.format !== 1) return;
  showHead(status);
  ring.show(status);
  showProblems(status);
  showNodes(status);
}

function alive(age) {
  heard = Date.now();
  since = null;
  stale = age;
  hangs = stale > STALE_MS ? hangs ?? Date.now() - stale : null;
  showLine("live");
}

function showLine(word) {
  const old = since ?? hangs;
  document.body.classList.toggle("old", old !== null);
  $("live").dataset.live = old === null ? "yes" : "old";
  say($("live"), old === null ? word : "old");
  $("lost").hidden = old === null;
  if (old === null) return;
  const at = new Date(old).toTimeString().slice(0, 8);
  // The seconds are in a part that is not read aloud each time.
  if (!$("lost").firstChild) $("lost").append(make("span"), make("span"));
  const [text, count] = $("lost").childNodes;
  count.setAttribute("aria-hidden", "true");
  say(text, since === null ? `The agent has not looked since ${at}` : `Connection lost since ${at}`);
  say(count, ` (${duration(Math.floor((Date.now() - old) / 1000) * 1000)}): what you see is how it was then. Trying again.`);
}

function lost() {
  since = since ?? heard;
  stream?.close();
  stream = null;
  showLine("");
  setTimeout(connect, RETRY_MS);
}

// All streams are taken: ask now and then instead.
async function ask() {
  try {
    const answer = await fetch("/status", { signal: AbortSignal.timeout(SILENCE_MS) });
    if (!answer.ok) return;
    const status = await answer.json();
    alive(status.age_ms);
    showLine("live, every second");
    show(status);
    showHistory(status.epoch);
  } catch {
    // The next try says more.
  }
}

function connect() {
  if (stream) return;
  tried = Date.now();
  const mine = new EventSource("/events");
  stream = mine;
  mine.addEventListener("status", (event) => {
    alive(0);
    show(JSON.parse(event.data));
  });
  mine.addEventListener("history", (event) => showHistory(Number(event.data)));
  mine.addEventListener("beat", (event) => alive(JSON.parse(event.data).age_ms));
  mine.addEventListener("error", () => {
    if (mine !== stream) return;
    if (mine.readyState === EventSource.CLOSED) {
      stream = null;
      ask();
      setTimeout(connect, RETRY_MS);
      return;
    }
    lost();
  });
}

setInterval(() => {
  if (Date.now() - heard > SILENCE_MS) since = since ?? heard;
  if (stream && Date.now() - Math.max(heard, tried) > SILENCE_MS) lost();
  if (since !== null || hangs !== null) showLine("");
}, 500);

// A page that nobody sees any more, but which the browser keeps, gives its stream to somebody else.
addEventListener("pagehide", () => {
  stream?.close();
  stream = null;
});
addEventListener("pageshow", (event) => event.persisted && connect());

connect();
