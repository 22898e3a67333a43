// The ring as a drawing: where each node stands, and which way each link runs.
//
// Wide, the nodes stand on an ellipse in their home order; one that is out is drawn inside of it, and the link of the
// living passes it by. Narrow, the ring goes down one column and up the other, and who is out stands underneath.
// The drawing is made anew only when it is another one: lags and words change in place, so the flow does not stutter.
// All text comes from hosts that may lie: it goes into text nodes and attributes, never into markup.

import { duration, linkLook, nodeSentence, nodeWords } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const GLYPHS = { ok: "✓", warning: "!", critical: "✕", unknown: "?" };

function element(name, attributes, text) {
  const out = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) out.setAttribute(key, value);
  if (text !== undefined) out.textContent = text;
  return out;
}

// ---- what is to be drawn

function stopsOf(status) {
  const known = new Map(status.nodes.map((node) => [node.name, node]));
  const home = status.nodes.filter((node) => node.in).map((node) => node.name);
  const first = status.ring.indexOf(home[0]);
  const turned = first < 0 ? status.ring : [...status.ring.slice(first), ...status.ring.slice(0, first)];
  // An order that is not the home order: the ring as it is, and the others after it.
  const nodes = turned.join("\n") === home.join("\n") ? status.nodes
    : [...turned.map((name) => known.get(name)).filter(Boolean), ...status.nodes.filter((node) => !status.ring.includes(node.name))];
  return nodes.map((node) => ({ node, inside: status.ring.includes(node.name) }));
}

function linksOf(status, stops) {
  const at = new Map(stops.map((stop, i) => [stop.node.name, i]));
  const links = [];
  status.ring.forEach((name, i) => {
    const from = at.get(status.ring[(i + status.ring.length - 1) % status.ring.length]);
    const to = at.get(name);
    if (from === undefined || to === undefined || from === to) return;
    const upstream = stops[to].node.upstreams.find((link) => link.desired);
    links.push({ from, to, ring: true, look: linkLook(stops[to].node), lag: upstream?.lag_ms });
  });
  stops.forEach((stop, to) => {
    for (const upstream of stop.node.upstreams) {
      const from = at.get(upstream.node);
      if (from === undefined || (stop.inside && upstream.desired)) continue;
      const runs = upstream.io === "running" && upstream.sql === "running";
      links.push({ from, to, ring: false, look: stop.inside ? "foreign" : runs ? "runs" : "broken", lag: upstream.lag_ms });
    }
  });
  return links;
}

// ---- where it stands

function ellipse(stops, width) {
  const n = stops.length;
  const box = { w: n > 8 ? 124 : 142, h: 50 };
  const w = Math.min(width, 800);
  const h = n <= 2 ? 270 : n <= 4 ? 400 : n <= 8 ? 500 : 610;
  const rx = w / 2 - box.w / 2 - 6;
  const ry = h / 2 - box.h / 2 - 8;
  const point = (angle, inward = 1) => ({ x: w / 2 + rx * inward * Math.cos(angle), y: h / 2 + ry * inward * Math.sin(angle) });
  // Angles that part the circumference, not the circle, into equal pieces.
  const steps = 720;
  const lengths = [0];
  const start = n === 2 ? Math.PI : -Math.PI / 2;
  for (let i = 1; i <= steps; i++) {
    const a = point(start + (2 * Math.PI * (i - 1)) / steps);
    const b = point(start + (2 * Math.PI * i) / steps);
    lengths.push(lengths[i - 1] + Math.hypot(a.x - b.x, a.y - b.y));
  }
  const angles = stops.map((_, k) => start + (2 * Math.PI * lengths.findIndex((length) => length >= (lengths[steps] * k) / n)) / steps);
  let outs = 0;
  const places = stops.map((stop, k) => {
    outs = stop.inside ? 0 : outs + 1;
    return point(angles[k], stop.inside ? 1 : outs % 2 ? 0.58 : 0.2);
  });
  const arc = (from, to) => {
    let end = angles[to];
    while (end <= angles[from]) end += 2 * Math.PI;
    const pieces = 240;
    return Array.from({ length: pieces + 1 }, (_, i) => point(angles[from] + ((end - angles[from]) * i) / pieces));
  };
  const middle = { x: w / 2, y: h / 2 };
  return { w, h, box, places, arc, middle: places.some((p) => Math.hypot(p.x - middle.x, p.y - middle.y) < 90) ? null : middle };
}

function columns(stops, width) {
  const w = Math.max(width, 250);
  const box = { w: Math.min(142, w / 2 - 20), h: 50 };
  const inside = stops.map((_, i) => i).filter((i) => stops[i].inside);
  const two = inside.length === 2;  // side by side there would be no room between them
  const right = Math.floor(inside.length / 2);
  const left = inside.length - right;
  const pitch = 92;
  const tall = Math.max(left, right, 1);
  const bottom = 34 + (tall - 1) * pitch;
  const spread = (k, count) => (count === 1 ? (34 + bottom) / 2 : 34 + ((bottom - 34) * k) / (count - 1));
  const places = [];
  inside.forEach((i, k) => {
    const isRight = k >= 1 && k <= right;
    const row = isRight ? k - 1 : k === 0 ? 0 : left - (k - right);
    places[i] = { x: isRight ? w - box.w / 2 - 3 : box.w / 2 + 3, y: spread(row, isRight ? right : left) };
    if (two) places[i] = { x: w / 2, y: 34 + k * 116 };
  });
  const below = bottom + box.h / 2 + (two ? 130 : 14);
  stops.map((_, i) => i).filter((i) => !stops[i].inside).forEach((i, k) => {
    places[i] = { x: k % 2 ? w - box.w / 2 - 3 : box.w / 2 + 3, y: below + 44 + Math.floor(k / 2) * 62 };
  });
  const outs = stops.length - inside.length;
  const h = outs ? below + 44 + (Math.ceil(outs / 2) - 1) * 62 + 34 : below + 8;
  const arc = (from, to) => {
    const [a, b] = [places[from], places[to]];
    const bulge = two ? 56 * (a.y < b.y ? 1 : -1) : 0;
    return Array.from({ length: 121 }, (_, i) => {
      const t = i / 120;
      return { x: a.x + (b.x - a.x) * t + bulge * Math.sin(Math.PI * t), y: a.y + (b.y - a.y) * t };
    });
  };
  return { w, h, box, places, arc, middle: null, outLabel: outs ? { x: w / 2, y: below + 6 } : null };
}

// The part of a line that lies outside of both boxes, with room for the head of the arrow.
function visible(points, a, b, box) {
  const outside = (p, c, gap) => Math.abs(p.x - c.x) > box.w / 2 + gap || Math.abs(p.y - c.y) > box.h / 2 + gap;
  const first = points.findIndex((p) => outside(p, a, 3));
  let last = points.length - 1;
  while (last > first && !outside(points[last], b, 9)) last--;
  return points.slice(Math.max(first, 0), last + 1);
}

// Across the ring, a little bent, so that it does not lie on a link the other way.
function across(a, b) {
  return Array.from({ length: 121 }, (_, i) => {
    const bend = 0.14 * Math.sin((Math.PI * i) / 120);
    return { x: a.x + ((b.x - a.x) * i) / 120 - (b.y - a.y) * bend, y: a.y + ((b.y - a.y) * i) / 120 + (b.x - a.x) * bend };
  });
}

// Beside the middle of a link, on the inner side if there is room, and upon nothing else; null where nothing is free.
function labelPlace(line, layout, taken) {
  const half = { x: 25, y: 9 };
  const { w, h, box, places, middle } = layout;
  const free = (c) => c.x > half.x && c.x < w - half.x
    && !places.some((b) => Math.abs(b.x - c.x) < box.w / 2 + half.x && Math.abs(b.y - c.y) < box.h / 2 + half.y)
    && !taken.some((t) => Math.abs(t.x - c.x) < 2 * half.x && Math.abs(t.y - c.y) < 2 * half.y)
    && !(middle && Math.abs(middle.x - c.x) < 130 && Math.abs(middle.y - c.y) < 40)
    && !line.some((q) => Math.abs(q.x - c.x) < half.x + 2 && Math.abs(q.y - c.y) < half.y);
  for (const part of [0.5, 0.35, 0.65, 0.2, 0.8]) {
    const at = Math.floor((line.length - 1) * part);
    const [p, before, after] = [line[at], line[Math.max(at - 1, 0)], line[Math.min(at + 1, line.length - 1)]];
    const length = Math.hypot(after.x - before.x, after.y - before.y) || 1;
    const normal = { x: -(after.y - before.y) / length, y: (after.x - before.x) / length };
    const inward = normal.x * (w / 2 - p.x) + normal.y * (h / 2 - p.y) < 0 ? -1 : 1;
    for (const away of [16, 22, 28, 34, 40, 48, 56, 64, -16, -22, -28, -34, -40]) {
      const place = { x: p.x + normal.x * away * inward, y: p.y + normal.y * away * inward };
      if (!free(place)) continue;
      taken.push(place);
      return place;
    }
  }
  return null;
}

// ---- the drawing

function drawLink(svg, link, layout, taken) {
  const [a, b] = [layout.places[link.from], layout.places[link.to]];
  const line = visible(link.ring ? layout.arc(link.from, link.to) : across(a, b), a, b, layout.box);
  if (line.length < 2) return null;
  const d = "M" + line.map((p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("L");
  svg.append(element("path", { class: `link ${link.look}`, d }));
  const tip = line[line.length - 1];
  const before = line[Math.max(line.length - 4, 0)];
  const turn = (Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI;
  svg.append(element("path", { class: `head ${link.look}`, d: "M8 0L-5 -7L-5 7Z", transform: `translate(${tip.x.toFixed(1)} ${tip.y.toFixed(1)}) rotate(${turn.toFixed(0)})` }));
  const at = labelPlace(line, layout, taken);
  if (!at) return null;
  const label = element("text", { class: `lag ${link.look}`, x: at.x.toFixed(1), y: at.y.toFixed(1) });
  svg.append(label);
  return label;
}

// What all names have in common from a dot on says nothing here.
function withoutDomain(names) {
  const first = names[0] ?? "";
  for (let at = first.indexOf("."); at > 0; at = first.indexOf(".", at + 1)) {
    const domain = first.slice(at);
    if (names.length > 1 && names.every((name) => name.endsWith(domain) && name.length > domain.length)) {
      return names.map((name) => name.slice(0, name.length - domain.length));
    }
  }
  return names;
}

// Names differ at their ends, so it is the middle that goes.
function fitted(text, room, glyph) {
  const most = Math.max(Math.floor(room / glyph), 5);
  const letters = [...text];
  if (letters.length <= most) return text;
  const before = Math.ceil((most - 1) / 2);
  return letters.slice(0, before).join("") + "…" + letters.slice(letters.length - (most - 1 - before)).join("");
}

function drawNode(svg, stop, place, box, index) {
  const link = element("a", { href: `#node-${index}`, transform: `translate(${(place.x - box.w / 2).toFixed(1)} ${(place.y - box.h / 2).toFixed(1)})` });
  link.append(
    element("rect", { class: "box", width: box.w, height: box.h, rx: 8 }),
    element("path", { class: "bar", d: `M8 0H26V${box.h}H8A8 8 0 0 1 0 ${box.h - 8}V8A8 8 0 0 1 8 0Z` }),
    element("text", { class: "glyph", x: 13, y: box.h / 2 + 5 }),
    element("text", { class: "name", x: 34, y: 21 }),
    element("text", { class: "words", x: 34, y: 39 }),
  );
  svg.append(link);
  return link;
}

export class Ring {
  constructor(parent) {
    this.parent = parent;
    this.drawn = "";
    new ResizeObserver(() => this.status && this.show(this.status)).observe(parent);
  }

  show(status) {
    this.status = status;
    const width = Math.floor(this.parent.clientWidth);
    if (width === 0) return;
    const stops = stopsOf(status);
    const links = linksOf(status, stops);
    const shape = JSON.stringify([width, stops.map((s) => [s.node.name, s.inside]), links.map((l) => [l.from, l.to, l.look])]);
    if (shape !== this.drawn) this.draw(stops, links, width);
    this.drawn = shape;
    this.fill(status, stops, links);
  }

  draw(stops, links, width) {
    const focused = this.parent.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const layout = width < 560 ? columns(stops, width) : ellipse(stops, width);
    const svg = element("svg", { viewBox: `0 0 ${layout.w} ${layout.h.toFixed(0)}`, role: "group" });
    svg.style.maxWidth = `${layout.w}px`;
    svg.style.margin = "0 auto";
    const taken = [];
    this.labels = links.map((link) => drawLink(svg, link, layout, taken));
    this.nodes = stops.map((stop, i) => drawNode(svg, stop, layout.places[i], layout.box, i));
    this.middle = [];
    if (layout.middle && stops.length > 1) {
      this.middle = [element("text", { class: "middle big", x: layout.middle.x, y: layout.middle.y - 2 }),
        element("text", { class: "middle", x: layout.middle.x, y: layout.middle.y + 20 })];
      svg.append(...this.middle);
    }
    if (layout.outLabel) svg.append(element("text", { class: "middle", ...layout.outLabel }, "not in the ring"));
    this.room = layout.box.w - 40;
    this.parent.replaceChildren(svg);
    if (focused) this.nodes.find((node) => node.getAttribute("href") === focused)?.focus();
  }

  fill(status, stops, links) {
    const svg = this.parent.firstChild;
    svg.setAttribute("aria-label", status.ring.length ? `The ring: ${status.ring.join(", then ")}, and back` : "There is no ring yet");
    links.forEach((link, i) => {
      if (!this.labels[i]) return;
      const text = link.look === "broken" ? "✕" : link.look === "unknown" ? "?" : link.lag === null || link.lag === undefined ? "" : duration(link.lag);
      if (this.labels[i].textContent !== text) this.labels[i].textContent = text;
    });
    const names = withoutDomain(stops.map((stop) => stop.node.name));
    stops.forEach((stop, i) => {
      const { node, inside } = stop;
      const { look, words } = nodeWords(node);
      const link = this.nodes[i];
      const [, , glyph, name, line] = link.childNodes;
      link.setAttribute("class", `node ${look}${inside ? "" : " out"}${node.name === status.node ? " self" : ""}`);
      name.setAttribute("class", [...names[i]].length * 9 > this.room ? "name long" : "name");
      link.setAttribute("aria-label", nodeSentence(node));
      link.setAttribute("href", `#node-${status.nodes.indexOf(node)}`);
      for (const [text, value] of [[glyph, GLYPHS[look]], [name, fitted(names[i], this.room, 7.6)], [line, words]]) {
        if (text.textContent !== value) text.textContent = value;
      }
    });
    if (this.middle.length) {
      this.middle[0].textContent = `${status.ring.length} of ${status.nodes.filter((n) => n.role === "ring").length} in the ring`;
      this.middle[1].textContent = status.paused ? "paused" : `epoch ${status.epoch}`;
    }
  }
}
