"""The page over made-up rings: sizes, lies, silence."""

import itertools

import fake_agent as fake
from ringlab import wait
from world import check, expect

LIE = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>"

# Boxes of nodes that touch, labels on a box, things beyond the window's edge, texts that leave their box.
GEOMETRY = """
const out = [];
const seen = (e) => { const r = e.getBoundingClientRect(); return {l: r.left, t: r.top, r: r.right, b: r.bottom, what: e.textContent}; };
const touch = (a, b) => a.l < b.r - 1 && b.l < a.r - 1 && a.t < b.b - 1 && b.t < a.b - 1;
const boxes = [...document.querySelectorAll('#ring .box')].map((e) => ({...seen(e), what: e.parentNode.textContent}));
const labels = [...document.querySelectorAll('#ring .lag')].filter((e) => e.textContent).map(seen);
boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => touch(a, b) && out.push(`boxes touch: ${a.what} / ${b.what}`)));
labels.forEach((a, i) => { boxes.forEach((b) => touch(a, b) && out.push(`"${a.what}" lies on ${b.what}`));
  labels.slice(i + 1).forEach((b) => touch(a, b) && out.push(`"${a.what}" lies on "${b.what}"`)); });
document.querySelectorAll('#ring a').forEach((a) => { const box = seen(a.querySelector('.box'));
  a.querySelectorAll('text').forEach((e) => { const r = seen(e); if (r.r > box.r || r.l < box.l) out.push(`${r.what} leaves its box`); }); });
const edge = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > edge) out.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${edge}`);
boxes.forEach((b) => (b.l < 0 || b.r > edge) && out.push(`${b.what} is beyond the edge`));
document.querySelectorAll('main *, header *').forEach((e) => { const r = e.getBoundingClientRect();
  if (r.width && r.right > edge + 1 && !e.closest('.unseen, thead')) out.push(`${e.tagName} ${e.className} is beyond the edge`); });
return out;
"""

# Texts with less than 4.5 : 1 between them and what they stand on.
CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
const out = [];
document.querySelectorAll('body *:not(svg *)').forEach((e) => {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length || e.closest('.unseen, noscript')) return;
  const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) out.push(`${e.textContent.slice(0, 40)}: ${ratio.toFixed(2)}`);
});
const card = light(behind(document.querySelector('.card')));
document.querySelectorAll('#ring text').forEach((e) => {
  const box = e.closest('a')?.querySelector(e.matches('.glyph') ? '.bar' : '.box');
  const [a, b] = [light(parse(getComputedStyle(e).fill)), box ? light(parse(getComputedStyle(box).fill)) : card];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) out.push(`${e.textContent}: ${ratio.toFixed(2)}`);
});
return out;
"""


def many_troubles():
    """Twelve nodes with long names, and one of everything that can be the matter."""
    status = fake.ring(12, [f"database-{n:02d}.frankfurt" for n in range(1, 13)])
    for i in (2, 3):
        fake.take_out(status, i)
    fake.take_out(status, 7, mysql="up", phase="settling", rejoin_in_ms=640, read_only=True)
    nodes = status["nodes"]
    nodes[5] |= {"agent": "dead", "mysql": "unknown"}
    nodes[9]["upstreams"][0] |= {"io": "connecting", "lag_ms": None, "errno": 2003, "error": "error connecting to master 'ringagent_repl@10.0.0.9:3306'"}
    nodes[10]["upstreams"].append(fake.link(nodes[0]["name"], desired=False))
    nodes[11]["position"]["value"] = ",".join(f"3e11fa47-71ca-11e1-9e33-c80aa942956{i}:1-2147483" for i in range(4))
    status["problems"].append(fake.problem("critical", "link_down", nodes[9]["name"], f"{nodes[9]['name']} <- {nodes[8]['name']}: io connecting"))
    status["health"] = "critical"
    return status


def show(world, status):
    browser = world.browser
    world.fake.say(status)
    if not browser.at("/url", method="GET").startswith(world.fake.url):
        browser.open(world.fake.url)
    browser.wait("return document.getElementById('cluster').textContent === arguments[0] && document.querySelectorAll('#nodes tr').length === arguments[1]",
                 10, "the page to show the ring", status["cluster"], len(status["nodes"]))


@check
def page_looks(world):
    """Two, four, twelve nodes, well and ill, wide and narrow, light and dark: nothing overlaps, leaves its box or the window,
    and every text can be read (4.5 : 1)."""
    browser = world.browser
    rings = {"2": fake.ring(2), "4": fake.ring(4), "4-out": fake.take_out(fake.ring(4), 2), "3": fake.ring(3), "7": fake.ring(7),
             "12": fake.ring(12), "12-ill": many_troubles()}
    faults = []
    for (name, status), (width, height), dark in itertools.product(rings.items(), [(1280, 900), (390, 844)], [False, True]):
        status["cluster"] = f"shop-{name}-{width}-{dark}"
        browser.dark(dark)
        browser.size(width, height)
        show(world, status)
        browser.js("return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        for script in (GEOMETRY, CONTRAST):
            faults += [f"{status['cluster']}: {fault}" for fault in browser.js(script)]
        if world.shots:
            world.shots.mkdir(parents=True, exist_ok=True)
            browser.size(width, browser.js("return document.documentElement.scrollHeight"))
            browser.screenshot(world.shots / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    browser.dark(False)
    browser.size(1280, 900)
    expect(not faults, "\n".join(faults[:20]))
    expect(not browser.console(), f"the console: {browser.console()}")


@check
def page_is_not_fooled(world):
    """What hostile hosts say is shown as they said it, and never becomes markup or code."""
    status = fake.take_out(fake.ring(3, [f"a{LIE}", f"b{LIE}", f"c{LIE}"]), 1, mysql_why=LIE)
    status |= {"cluster": f"shop{LIE}", "paused_why": LIE}
    status["nodes"][0] |= {"address": LIE, "mysql_version": LIE, "agent_version": LIE}
    status["nodes"][0]["position"]["value"] = LIE
    status["nodes"][0]["upstreams"][0] |= {"error": LIE, "errno": 1, "io": "stopped"}
    status["problems"] = [fake.problem("critical", LIE, LIE, LIE, LIE, LIE)]
    world.fake.history = [{"seq": 1, "time": LIE, "kind": "epoch", "generation": 0, "epoch": 1, "what": LIE, "why": LIE, "who": LIE, "ok": True,
                           "took_ms": 1.0, "steps": [{"name": LIE, "took_ms": 1.0}]}]
    show(world, status)
    world.browser.wait("return document.querySelectorAll('#history li').length === 1", 5, "the history")
    world.fake.history = []
    found = world.browser.js("return [window.hacked ?? null, document.querySelectorAll('img, script:not([src])').length, document.querySelector('#problems .text').textContent]")
    expect(found == [None, 0, LIE], f"the page was fooled: {found}")
    expect(not world.browser.console(), "the console was told something")


@check
def page_knows_silence(world):
    """A line that is cut without a word, an agent that hangs and one that has no stream to spare: the page says so, since
    when, and is live again by itself."""
    browser, agent = world.browser, world.fake
    shown = "const e = document.getElementById('lost'); return !e.hidden && e.getAttribute('role') === 'alert' && e.textContent.includes(arguments[0]) && document.body.classList.contains('old')"
    live = "return document.getElementById('lost').hidden && !document.body.classList.contains('old') && document.getElementById('live').textContent.startsWith(arguments[0])"
    show(world, fake.ring(4, cluster="silence"))
    browser.wait(live, 5, "a live page", "live")
    agent.silent = True
    agent.say(agent.status)
    browser.wait(shown, 10, "the page to notice the silence", "Connection lost since ")
    expect("–" not in browser.js("return document.getElementById('epoch').textContent"), "the old ring is gone from the page")
    agent.silent = False
    agent.say(agent.status)
    browser.wait(live, 10, "the page to be live again", "live")
    agent.age_ms = 9000
    browser.wait(shown, 10, "the page to notice that the agent hangs", "The agent has not looked since ")
    agent.age_ms = 100
    browser.wait(live, 10, "the page to trust the agent again", "live")
    agent.streams_max = 0
    browser.open("about:blank")
    wait(lambda: agent.open == 0, 10, "the old stream to end")
    browser.open(agent.url)
    browser.wait(live, 10, "the page to ask instead of listening", "live, every second")
    agent.streams_max = 8
    browser.wait("return document.getElementById('live').textContent === 'live'", 10, "the page to listen again")
    browser.console()  # a 503 is told there
