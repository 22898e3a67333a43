// What the status document says, in words for people.

// As `ringagent status` writes it: two or three digits, rounded down.
export function duration(ms) {
  if (ms < 1000) return `${Math.max(ms, 0)} ms`;
  if (ms < 10_000) return `${Math.floor(ms / 1000)}.${Math.floor((ms % 1000) / 100)} s`;
  if (ms < 120_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

const REASONS = {
  mysqld_down: "MySQL down", mysqld_hung: "MySQL hung", silent: "host silent", refused: "refuses connections",
  headless: "nobody follows it", unsafe: "needs reseed", stuck: "stuck", link: "link stuck",
  leaving: "leaving", maintenance: "maintenance",
};

const PHASES = { following: "catching up", settling: "settling", draining: "draining", ready: "ready to come back", checking: "being checked" };

export function reasonWords(reason) {
  return REASONS[reason] ?? (reason ?? "not taken in yet").replaceAll("_", " ");
}

// Without its agent nobody can tell how a node's links are now.
function told(node) {
  return node.agent === "alive" || node.agent === "suspect";
}

export function runs(upstream) {
  return upstream.io === "running" && upstream.sql === "running";
}

// runs | broken | unknown
export function linkLook(node) {
  if (node.mysql === "unknown" || (!told(node) && node.mysql !== "down")) return "unknown";
  const upstream = node.upstreams.find((link) => link.desired);
  return upstream && runs(upstream) ? "runs" : "broken";
}

export function linkWords(upstream) {
  if (runs(upstream)) return "running";
  if (upstream.errno) return `error ${upstream.errno}`;
  if (upstream.io === "connecting") return "connecting";
  if (upstream.io === "running") return "applier stopped";
  return upstream.sql === "running" ? "receiver stopped" : "stopped";
}

// {look: ok | warning | critical | unknown, words}: the worst thing about a node in a few words.
export function nodeWords(node) {
  if (node.role === "witness") return told(node) ? { look: "ok", words: "witness" } : { look: "warning", words: "witness, silent" };
  if (node.role !== "ring" && node.mysql === "up") return { look: linkLook(node) === "broken" && node.role === "leaf" ? "warning" : "ok", words: node.role };
  if (!node.in) {
    if (node.rejoin_in_ms !== null) return { look: "warning", words: node.rejoin_in_ms < 1000 ? "back soon" : `back in ${Math.floor(node.rejoin_in_ms / 1000)} s` };
    if (node.mysql === "up") return { look: "warning", words: PHASES[node.phase] ?? reasonWords(node.reason) };
    return { look: "warning", words: reasonWords(node.reason) };
  }
  if (node.mysql === "down") return { look: "critical", words: "MySQL down" };
  if (node.mysql === "hung") return { look: "critical", words: "MySQL hung" };
  if (node.mysql === "denied") return { look: "critical", words: "login denied" };
  if (node.agent === "dead") return { look: "warning", words: "agent silent" };
  if (node.agent === "left") return { look: "warning", words: "agent stopped" };
  if (node.mysql !== "up") return { look: "unknown", words: "not known" };
  if (linkLook(node) === "broken") return { look: "critical", words: "link broken" };
  if (node.writer) return node.read_only ? { look: "critical", words: "writer, waits" } : { look: "ok", words: "the writer" };
  if (node.writer === false && node.read_only) return { look: "ok", words: "read-only" };
  if (node.read_only) return { look: "warning", words: "read-only" };
  return { look: "ok", words: "takes writes" };
}

export function nodeSentence(node) {
  const link = node.upstreams.find((upstream) => upstream.desired);
  const follows = link ? `, follows ${link.node}, ${linkWords(link)}${link.lag_ms === null ? "" : `, ${duration(link.lag_ms)} behind`}` : "";
  return `${node.name}: ${node.in ? "in the ring" : "not in the ring"}, ${nodeWords(node).words}, MySQL ${node.mysql}${follows}`;
}

export function summaryWords(status) {
  const critical = status.problems.find((problem) => problem.severity === "critical");
  const worst = critical ?? status.problems[0];
  if (!worst) return `All ${status.ring.length} nodes of the ring are in, and every link runs.`;
  const more = status.problems.length - 1;
  return worst.text + (more ? ` (and ${more} more)` : "");
}
