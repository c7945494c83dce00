"""What is wrong with a page for those who do not see it, or who go through it by the keyboard."""

from __future__ import annotations

from typing import Any

from tests.figures.looking import contrast

READABLE = 4.5  # WCAG 2, level AA, of text that is not large

LOOK = """() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const none = (what, selector, isWrong = () => true) =>
    all(selector).filter(isWrong).forEach((each) => found.push(`${what}: ${each.outerHTML.slice(0, 120)}`));
  const named = (each) =>
    each.getAttribute('aria-label')?.trim() || each.textContent.trim() ||
    document.getElementById(each.getAttribute('aria-labelledby'))?.textContent.trim();

  if (document.documentElement.lang !== 'en') found.push('no language');
  if (!document.title.trim()) found.push('no title');
  if (document.compatMode !== 'CSS1Compat') found.push('quirks');
  for (const one of ['h1', 'main']) if (all(one).length !== 1) found.push(`not one ${one}`);
  const ids = all('[id]').map((each) => each.id);
  none('an id twice', '[id]', ({ id }) => ids.indexOf(id) !== ids.lastIndexOf(id));
  none('an id with blanks', '[id]', ({ id }) => !id || /\\s/.test(id));
  for (const name of ['popovertarget', 'aria-labelledby', 'for', 'data-table', 'data-section']) {
    none(`${name} of nothing`, `[${name}]`, (each) => !document.getElementById(each.getAttribute(name)));
  }
  none('a link to nothing', 'a[href^="#"]', (each) => !document.getElementById(each.hash.slice(1)));
  none('no alt', 'img', (each) => !each.alt.trim());
  none('no label', 'input, select, textarea', (each) => !named(each) && !each.labels.length);
  none('no name', 'svg, button, a, summary, [role=region], [role=dialog]', (each) => !named(each));
  none('nested', 'button button, a button, button a, summary button, p ul, p table, p div');
  none('a head that says nothing', 'thead th:empty');
  none('no scope', 'thead th', (each) => each.scope !== 'col');
  none('no scope', 'tbody th', (each) => !['row', 'rowgroup'].includes(each.scope));
  none('in no list', 'dt, dd', (each) => !each.closest('dl'));
  let level = 0;
  none('a level left out before', 'h1, h2, h3, h4, h5', (each) => {
    const [before, now] = [level, Number(each.tagName[1])];
    level = now;
    return now > before + 1;
  });
  none('no keys scroll it', '.scroll, .card', (each) => each.scrollWidth > each.clientWidth + 1 && each.tabIndex !== 0);
  return found;
}"""


def ailments(page: Any) -> list[str]:
    """What a page gets wrong, with everything unfolded: ids, names, labels, scopes, the order of its headings."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return list(page.evaluate(LOOK))


# every text that is seen with its colour and that of the nearest ground below it, as sRGB from 0 to 1
GROUNDS = """() => {
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const seen = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map(each => each / 255);
  };
  const cache = new Map();
  const read = (colour) => cache.get(colour) ?? cache.set(colour, seen(colour)).get(colour);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim();
    if (!text || element.closest('script') || !element.checkVisibility({ visibilityProperty: true })) continue;
    let ground = element;
    while (ground && read(getComputedStyle(ground).backgroundColor)[3] < 1) ground = ground.parentElement;
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    found.push([text, read(ink).slice(0, 3), read(getComputedStyle(ground).backgroundColor).slice(0, 3)]);
  }
  return found;
}"""


def faint(page: Any) -> list[tuple[float, str]]:
    """Texts that stand out too little from their ground, with their contrast."""
    grounds = page.evaluate(GROUNDS)
    assert len(grounds) > 20
    return sorted(
        {
            (round(contrast(ink, ground), 1), text[:20])
            for text, ink, ground in grounds
            if contrast(ink, ground) < READABLE
        }
    )
