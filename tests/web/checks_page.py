"""The page over the real ring, in a real browser."""

import time

from browser import ENTER, TAB
from ringlab import wait
from world import check, expect

# Notes inside of the page, with its own clock, when a node's row and box first say each thing.
WATCH = """
window.seen = {};
const note = () => {
  document.querySelectorAll('#nodes tr').forEach((row) => {
    const place = row.children[1].textContent.startsWith('in') ? 'in' : 'out';
    const mysql = row.children[2].firstChild.firstChild?.textContent;
    for (const key of [`${row.dataset.node} ${place}`, `${row.dataset.node} MySQL ${mysql}`]) window.seen[key] ??= Date.now();
  });
  const boxes = [...document.querySelectorAll('#ring a')].filter((a) => a.classList.contains('out')).map((a) => a.querySelector('.name').textContent);
  window.seen[`drawn out ${boxes.join(' ')}`] ??= Date.now();
  for (const p of document.querySelectorAll('.problem')) window.seen[`problem ${p.dataset.code}`] ??= Date.now();
};
new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
note();
"""
SEEN = "return window.seen[arguments[0]] ?? null"
FOCUS = """
const e = document.activeElement;
if (!e || e === document.body) return null;
const style = getComputedStyle(e.matches('#ring a') ? e.querySelector('.box') : e);
return {text: (e.getAttribute('aria-label') ?? e.textContent).trim(), tag: e.tagName.toLowerCase(),
        ring: e.matches(':focus-visible') && (e.matches('#ring a') ? parseFloat(style.strokeWidth) >= 4 : parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== 'none')};
"""


def open_page(world, which=1):
    world.browser.console()
    world.browser.open(world.url(which))
    world.browser.wait("return document.getElementById('health').textContent === 'ok' && document.querySelectorAll('#nodes tr').length === 4", 10, "the page to show the ring")


@check
def page_sees_death_and_return(world):
    """A killed mysqld shows on the page within a second, in the table, in the drawing and among the problems, and so does its
    return; the console has nothing to say."""
    browser = world.browser
    open_page(world)
    browser.js(WATCH)
    asked = time.time()
    clocks = browser.js("return Date.now()") / 1000 - (asked + time.time()) / 2
    expect(abs(clocks) < 0.05, f"the page's clock is {clocks:.3f} s off")
    killed = time.time()
    world.node(3).kill("mysqld")
    shows = {what: browser.wait(SEEN, 10, what, what) / 1000 - killed for what in
             ("db3 MySQL down", "db3 out", "drawn out db3", "problem node_out")}
    expect(max(shows.values()) < 1, f"seconds from the kill to the page: {shows}")
    history = "return document.querySelector('#history .what').textContent"
    wait(lambda: "db3" in browser.js(history), 5, "the history to tell of it")
    browser.js("window.seen = {}")
    world.node(3).start("mysqld")
    names = [node.name for node in world.lab.nodes]
    began = time.time()
    world.lab.wait(lambda: (world.node(1).ask("/status") or {}).get("ring") == names, 30, "db3 to be back", every=0.005)
    back = time.time()
    returned = {what: browser.wait(SEEN, 10, what, what) / 1000 - back for what in ("db3 in", "db3 MySQL up", "drawn out ")}
    expect(max(returned.values()) < 1, f"seconds from the return to the page: {returned}")
    browser.wait("return document.getElementById('health').textContent === 'ok' && !document.querySelector('.problem')", 15, "the page to be content")
    world.whole()
    expect(not browser.console(), f"the console: {browser.console()}")
    yield "kill -> visible on the page: " + ", ".join(f"{what} {took * 1000:.0f} ms" for what, took in shows.items())
    yield f"return -> visible: {max(0, max(returned.values())) * 1000:.0f} ms after the agent's status has it ({back - began:.1f} s after mysqld was ready)"


@check
def page_outlives_its_agent(world):
    """The agent behind the page ends: the page says since when it is old, and is live again when the agent is back."""
    browser = world.browser
    open_page(world, 2)
    world.node(2).term("agent")
    browser.wait("const e = document.getElementById('lost'); return !e.hidden && e.textContent.startsWith('Connection lost since ')", 3, "the page to notice")
    world.node(2).start("agent")
    browser.wait("return document.getElementById('lost').hidden && document.getElementById('live').textContent === 'live'", 10, "the page to be live again")
    world.whole()
    browser.console()  # a refused connection is told there


@check
def page_by_keyboard(world):
    """Tab reaches every node of the drawing, every link and every detail in the order of the page, and where it is can be
    seen; Enter on a node goes to its row."""
    browser = world.browser
    open_page(world)
    browser.wait("return document.querySelectorAll('#history li').length > 0", 5, "the history")
    browser.js("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    wanted = browser.js("return [...document.querySelectorAll('a[href], summary')].map((e) => (e.getAttribute('aria-label') ?? e.textContent).trim())")
    expect(len(wanted) > 12, f"there is little to reach: {wanted}")
    reached = []
    for _ in range(len(wanted) + 3):
        browser.press(TAB)
        focus = browser.js(FOCUS)
        if focus is None or len(reached) == len(wanted):
            break
        expect(focus["ring"], f"nobody can see that the focus is on {focus}")
        reached.append(focus["text"])
    strip = [text.split(",")[0] for text in reached]  # lags move on
    expect(strip == [text.split(",")[0] for text in wanted], f"reached {strip} of {wanted}")
    browser.js("document.querySelectorAll('#ring a')[2].focus()")
    browser.press(ENTER)
    expect(browser.js("return document.querySelector(':target')?.dataset.node") == "db3", "Enter on a node does not go to its row")
    browser.press(TAB)
    browser.open("about:blank")


@check
def page_for_screen_readers(world):
    """The accessibility tree has the headline, the ring's nodes as sentences, a table with its headers, a status region and
    names for all that can be used; a death is said aloud."""
    browser = world.browser
    open_page(world)
    browser.cdp("Accessibility.enable")
    tree = browser.accessible()
    named = {(role, name) for role, name, _ in tree}

    def has(role, start):
        return any(r == role and name.startswith(start) for r, name in named)
    for role, start in (("heading", f"{world.lab.name}: ok"), ("heading", "Problems"), ("table", "Nodes"), ("columnheader", "Follows"), ("rowheader", "db1"),
                        ("region", "Ring"), ("navigation", "The same for programs"), ("list", "Legend"), ("group", "The ring: db1, then db2, then db3, then db4"),
                        ("link", "db2: in the ring, takes writes, MySQL up, follows db1, running"), ("link", "Skip to the problems")):
        expect(has(role, start), f"no {role} \"{start}\" among {sorted(n for n in named if n[0] == role)}")
    expect(sum(role == "row" for role, _, _ in tree) == 5, "the table does not have its rows")
    nameless = [role for role, name, _ in tree if role in ("link", "button", "heading", "table", "image", "region") and not name.strip()]
    expect(not nameless, f"things without a name: {nameless}")
    expect(any(role == "status" and properties.get("live") == "polite" for role, _, properties in tree), "no region speaks of changes")
    browser.size(390, 844)
    narrow = browser.accessible()
    browser.size(1280, 900)
    expect(sum(role == "row" for role, _, _ in narrow) == 5 and any(role == "table" for role, _, _ in narrow), "on a phone the table is none")
    world.node(4).kill("mysqld")
    browser.wait("return document.getElementById('news').textContent.includes('db4 is out')", 5, "the death to be said aloud")
    world.node(4).start("mysqld")
    world.whole()
    browser.wait("return document.getElementById('news').textContent.startsWith('ok: ')", 10, "the return to be said aloud")
