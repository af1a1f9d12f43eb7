"use strict";
// What every part of the page uses: its data and state, elements, numbers, scales. Strings only ever become text.

const page = JSON.parse(document.getElementById("page-data").textContent);
const SVG = "http://www.w3.org/2000/svg";

/** What is shown: which run and generation, which two objectives, and the chosen member by its index in the run. */
const state = {run: 0, generation: 0, member: null, x: 1, y: 0, wide: false};
const views = [];

function update(change) {
  Object.assign(state, change);
  for (const view of views) view(change);
}

const byId = (id) => document.getElementById(id);
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
const last = (list) => list[list.length - 1];
const extent = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return element;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** A number as the page's data have it, which are rounded there: whole ones in groups of three digits. */
function number(value) {
  const text = String(value);
  return /^-?\d{5,}$/.test(text) ? text.replace(/\B(?=(\d{3})+$)/g, "\u202f") : text;
}
const suffixed = (value, unit) => (unit && unit !== "share" ? `${number(value)}\u00a0${unit}` : number(value));
const shown = (value, objective) => suffixed(value, page.objectives[objective].unit);
const heading = ({label, unit}) => (unit ? `${label}, ${unit === "share" ? "share of images" : unit}` : label);
const percent = (share) => `${(share * 100).toFixed(share < .0995 ? 1 : 0)}\u00a0%`;

/** A number for an axis: short, and as many digits as its step needs. */
function tickText(value, step) {
  const size = Math.max(Math.abs(value), step);
  const [by, suffix] = size >= 2e9 ? [1e9, "G"] : size >= 2e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  const digits = Math.max(0, -Math.floor(Math.log10(step / by) + 1e-9));
  return (value / by).toFixed(Math.min(digits, 8)) + (value === 0 ? "" : suffix);
}

function ticks(low, high, count) {
  const raw = (high - low || 1) / Math.max(count, 1);
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = base * [1, 2, 5, 10].find((times) => times * base >= raw * .999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return {step, values: found};
}

function scale(low, high, from, to) {
  const at = (value) => from + ((value - low) / (high - low || 1)) * (to - from);
  return Object.assign(at, {low, high, back: (pixel) => low + ((pixel - from) / (to - from)) * (high - low)});
}
function padded([low, high], share = .06) {
  const room = (high - low || Math.abs(high) || 1) * share;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  (r) => `M${-r * .88} ${-r * .88}h${r * 1.76}v${r * 1.76}h${-r * 1.76}z`,
  (r) => `M0 ${-r * 1.2}L${r * 1.12} ${r * .85}H${-r * 1.12}z`,
  (r) => `M0 ${-r * 1.25}L${r * 1.25} 0L0 ${r * 1.25}L${-r * 1.25} 0z`,
  (r) => `M${-r * 1.12} ${-r * .85}H${r * 1.12}L0 ${r * 1.2}z`,
  (r) => `M${-r * .4} ${-r * 1.2}h${r * .8}v${r * .8}h${r * .8}v${r * .8}h${-r * .8}v${r * .8}h${-r * .8}v${-r * .8}h${-r * .8}v${-r * .8}h${r * .8}z`,
];
const CROSS = (r) => `M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}`;
const tone = (configuration) => `tone-${configuration % SHAPES.length}`;
const mark = (path, x, y, names) => s("path", {d: path, class: `mark ${names}`, transform: `translate(${x} ${y})`});
const polyline = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

let ruler;
function textWidth(text, share = .78, weight = 400) {
  ruler = ruler || document.createElement("canvas").getContext("2d");
  ruler.font = `${weight} ${share * rem()}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/** Axes with a grid in ``host``, as wide as it is; what is drawn goes into ``inside``, cut off at the axes. */
function axes(host, {x, y, height, whole = false}) {
  const width = Math.max(host.clientWidth, 200), em = rem();
  const down = ticks(...y.range, Math.max(3, height / (3.4 * em)));
  const left = Math.max(...down.values.map((v) => textWidth(tickText(v, down.step)))) + .8 * em;
  const [top, right, bottom] = [2 * em, .9 * em, 2.9 * em];
  const at = {x: scale(...x.range, left, width - right), y: scale(...y.range, height - bottom, top)};
  const across = ticks(...x.range, Math.max(2, Math.min((width - left) / (5 * em), whole ? x.range[1] - x.range[0] : 99)));
  const svg = s("svg", {viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true"});
  for (const value of down.values) {
    svg.append(
      s("path", {class: "grid", d: `M${left} ${at.y(value)}H${width - right}`}),
      s("text", {class: "end", x: left - .5 * em, y: at.y(value) + .28 * em}, tickText(value, down.step)),
    );
  }
  for (const value of across.values) {
    svg.append(
      s("path", {class: "grid", d: `M${at.x(value)} ${top}V${height - bottom}`}),
      s("text", {class: "middle", x: at.x(value), y: height - bottom + 1.15 * em}, tickText(value, across.step)),
    );
  }
  const id = `clip-${host.dataset.chart || "x"}`;
  const inside = s("g", {"clip-path": `url(#${id})`}), above = s("g");
  svg.append(
    s("clipPath", {id}, s("rect", {x: left - 7, y: top, width: width - right - left + 14, height: height - bottom - top + 7})),
    s("path", {class: "axis", d: `M${left} ${height - bottom}H${width - right}`}),
    s("text", {class: "title", x: left, y: 1.05 * em}, y.title),
    s("text", {class: "title end", x: width - right, y: height - .3 * em}, x.title),
    inside, above,
  );
  host.querySelector("svg")?.remove();
  host.prepend(svg);
  return {svg, inside, above, at, left, right: width - right, top, bottom: height - bottom, width, height};
}

/** Draw now, and again whenever the width of the chart changes. */
function drawn(host, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth && Math.abs(host.clientWidth - width) > 1) {
      width = host.clientWidth;
      draw();
    }
  }).observe(host);
}

const swatch = (...children) => s("svg", {viewBox: "0 0 24 16", "aria-hidden": "true"}, ...children);
const legend = (entries) => h("ul", {class: "legend"}, entries.map(([picture, text]) => h("li", {}, picture, text)));

function facts(rows) {
  return h("dl", {class: "facts"}, rows.map(([name, value, data, small]) => [
    h("dt", {}, name), h("dd", data || {}, value, [small].flat().filter(Boolean).map((line) => h("small", {}, line))),
  ]));
}
