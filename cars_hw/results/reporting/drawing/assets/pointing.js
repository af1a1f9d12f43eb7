// Pointing at what a chart shows: with the mouse, by touch and by keys. One box tells what is pointed at.

const tip = h("div", {class: "tip", id: "tip", hidden: true});
const spoken = h("div", {class: "unseen", role: "status", "aria-live": "polite"});

function showTip(content, host, x, y) {
  tip.replaceChildren(...[content].flat());
  tip.hidden = false;
  const box = host.getBoundingClientRect(), own = tip.getBoundingClientRect(), room = .9 * rem();
  const [px, py] = [box.left + x, box.top + y], edge = document.documentElement.clientWidth - 8;
  const left = px + room + own.width < edge ? px + room : Math.max(8, Math.min(px - room - own.width, edge - own.width));
  const covers = left < px && left + own.width > px;
  const above = covers || py + own.height + room > innerHeight;
  const top = above ? py - own.height - room : py - own.height / 3;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${Math.max(top, 4 - (covers ? scrollY : 0)) + scrollY}px`;
}
function hideTip() {
  tip.hidden = true;
}

/**
 * Let the points of a chart be pointed at and chosen.
 *
 * ``host.points`` holds them, each ``{x, y, tell, choose}`` in the chart's own units; drawing puts them there.
 * ``along``: the nearest counts by x alone, however far above or below the pointer is.
 */
function pointing(host, {along = false, reach = 2.2} = {}) {
  let at = -1;
  const ratio = () => (host.querySelector("svg")?.viewBox.baseVal.width || 1) / host.clientWidth;
  const go = (index, aloud) => {
    at = index;
    host.querySelectorAll(".pointer").forEach((one) => one.remove());
    const point = host.points[at];
    if (!point) return hideTip();
    const by = ratio();
    host.querySelector("svg").append(
      s("circle", {class: "ring pointer", cx: point.x, cy: point.y, r: (point.r || 5) + 3.5}));
    const told = point.tell();
    showTip(told, host, point.x / by, point.y / by);
    if (aloud) spoken.textContent = tip.innerText.replace(/\s+/g, " ");
    return undefined;
  };
  const nearest = (event) => {
    const box = host.getBoundingClientRect(), by = ratio();
    const [x, y] = [(event.clientX - box.left) * by, (event.clientY - box.top) * by];
    let [found, least] = [-1, along ? Infinity : (reach * rem()) ** 2];
    (host.points || []).forEach((point, i) => {
      const away = (point.x - x) ** 2 + (along ? .002 : 1) * (point.y - y) ** 2 - (point.weight || 0);
      if (away < least) [found, least] = [i, away];
    });
    return found;
  };
  const leave = () => go(-1);
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1};
  host.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    if (found !== at || tip.hidden) go(found);
  });
  host.addEventListener("pointerleave", leave);
  host.addEventListener("blur", leave);
  host.addEventListener("click", (event) => host.points?.[nearest(event)]?.choose?.());
  host.addEventListener("keydown", (event) => {
    const n = (host.points || []).length;
    if (!n) return;
    if (event.key in step) go(at < 0 ? (step[event.key] > 0 ? 0 : n - 1) : (at + step[event.key] + n) % n, true);
    else if (event.key === "Home") go(0, true);
    else if (event.key === "End") go(n - 1, true);
    else if ((event.key === "Enter" || event.key === " ") && host.points[at]) host.points[at].choose?.();
    else if (event.key === "Escape") leave();
    else return;
    event.preventDefault();
  });
}

/** Replace the still pictures of a section by a chart that keys and pointers reach. */
function chart(name, label, options) {
  const place = byId(`${name}-chart`);
  if (!place) return null;
  const host = h("div", {
    class: "chart", tabindex: "0", role: "group", "data-chart": name, "aria-roledescription": "chart", "aria-label": label,
  });
  place.classList.remove("still");
  place.replaceChildren(host);
  pointing(host, options);
  return host;
}
