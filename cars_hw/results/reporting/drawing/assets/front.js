// The front: any two objectives, generation by generation, with what was measured of its members.

const run = () => page.runs[state.run];
const newest = (one) => last(one.generations);
const isFinal = () => state.generation >= newest(run()).index;

/** The newest generation of a run that is not after ``index`` and whose members the page has. */
function generationOf(one, index) {
  const kept = one.generations.filter((generation) => generation.population.length);
  return last(kept.filter((generation) => generation.index <= index)) || kept[0];
}

/** All costs of the members of a generation as they were then, those of its front first. */
function populationOf(one, generation) {
  const bad = new Set(generation.infeasible);
  return generation.population.map((member, i) => {
    const costs = generation.others[member] || [...one.members.costs[member]];
    costs[errorAt] = errorAt < 0 ? costs[errorAt] : generation.errors[i];
    return {member, costs, isFront: i < generation.front, isInfeasible: bad.has(member), latencies: {}};
  });
}
const errorAt = page.objectives.findIndex((objective) => objective.name === "error");
const entryOf = (one, member) => one.front.find((entry) => entry.member === member);

function nameOf(one, member) {
  const entry = entryOf(one, member);
  const own = entry ? [`#${entry.number}`, ...entry.picks].join(" \u00b7 ") : "not in the last front";
  return page.runs.length > 1 ? `${one.name} ${own}` : own;
}
const between = ([low, high]) => `${number(low)} to ${number(high)}`;

/** What is known of a member, cost by cost: measured where it was, with what had been predicted below. */
function rowsOf(one, {member, costs}) {
  const entry = entryOf(one, member);
  return page.objectives.map(({name, label}, i) => {
    const latency = entry?.latencies[name], data = {"data-objective": name, "data-value": costs[i]};
    const predicted = latency?.predicted_interval ? `predicted, 95 %: ${between(latency.predicted_interval)}` : boundText(one, member, i);
    if (!latency || latency.measured === null || costs !== entry.costs) return [label, shown(costs[i], i), data, predicted];
    const [low, high] = latency.measured_interval || [null, null];
    const small = [low === null ? null : `95 %: ${between([low, high])}`, `predicted ${shown(latency.predicted, i)}`];
    const all = {...data, "data-low": low, "data-high": high, "data-predicted": latency.predicted};
    return [`${label}, measured`, shown(latency.measured, i), all, small];
  });
}
function boundText(one, member, objective) {
  const bound = one.members.bound[member]?.[objective];
  const differs = bound !== undefined && bound !== one.members.costs[member][objective];
  return differs ? `a limit counts ${shown(bound, objective)}` : null;
}

function tellMember(one, known) {
  const entry = entryOf(one, known.member);
  const marks = [
    ...(entry && known.costs === entry.costs ? entry.violations : known.isInfeasible ? ["infeasible"] : []),
    entry?.dominated ? "dominated, as measured" : null,
  ].filter(Boolean);
  return [
    h("strong", {}, nameOf(one, known.member)),
    ...marks.map((text) => h("p", {class: "small"}, text)),
    facts(rowsOf(one, known)),
    h("p", {class: "mono"}, one.members.architecture[known.member]),
  ];
}

/** The part of the plane that is shown: the later fronts; with ``wide`` every member. */
function ranges() {
  const kept = page.runs.flatMap((one) => {
    const generations = one.generations.filter((generation) => generation.population.length);
    const fronts = generations.slice(-Math.ceil(generations.length / 2)).flatMap((generation) =>
      populationOf(one, generation).slice(0, generation.front));
    return [...(state.wide ? one.members.costs : fronts.map(({costs}) => costs)), ...one.front.map((entry) => entry.costs)];
  });
  return [state.x, state.y].map((i) => padded(extent(kept.map((costs) => costs[i])), .1));
}

/** The front of the shown generation; what was measured counts in the last one alone. */
function frontOf(one) {
  const generation = generationOf(one, state.generation);
  if (generation === newest(one)) return one.front.map((entry) => Object.assign(entry, {isInfeasible: entry.violations.length > 0}));
  return populationOf(one, generation).slice(0, generation.front);
}

function stairs(front, at) {
  const points = front.map(({costs}) => [costs[state.x], costs[state.y]]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const kept = points.reduce((list, point) => (!list.length || point[1] < last(list)[1] ? [...list, point] : list), []);
  return kept.map(([x, y], i) => (i ? `H${at.x(x)}V${at.y(y)}` : `M${at.x(x)} ${at.y(y)}`)).join("");
}

function drawLimits(frame) {
  const {at, inside, above} = frame;
  page.objectives.forEach(({name, label}, i) => {
    const limit = run().limits[name], em = rem(), of = run().limit_texts[name] || label;
    if (limit === undefined) return;
    const text = `limit of ${of}: ${shown(limit, i)}`;
    if (i === state.x && limit < at.x.high) {
      const x = at.x(limit);
      inside.append(
        s("rect", {class: "beyond", x, y: frame.top, width: frame.right - x, height: frame.bottom - frame.top}),
        s("path", {class: "limit", d: `M${x} ${frame.top}V${frame.bottom}`}));
      above.append(s("text", {class: "warm end", x: x - .4 * em, y: frame.top + em}, text));
    } else if (i === state.y && limit < at.y.high) {
      const y = at.y(limit);
      inside.append(
        s("rect", {class: "beyond", x: frame.left, y: frame.top, width: frame.right - frame.left, height: y - frame.top}),
        s("path", {class: "limit", d: `M${frame.left} ${y}H${frame.right}`}));
      above.append(s("text", {class: "warm end", x: frame.right - .4 * em, y: y - .4 * em}, text));
    }
  });
}

/** Where a member was measured: its interval as a whisker, and a line to where it had been predicted. */
function drawMeasured(layer, entry, at) {
  const axis = (i, along) => {
    const found = entry.latencies[page.objectives[i].name], here = along(entry.costs[i]);
    return found && found.measured !== null ? {here, then: along(found.predicted), ends: found.measured_interval?.map(along)} : {here, then: here};
  };
  const [x, y] = [axis(state.x, at.x), axis(state.y, at.y)];
  if (x.then === x.here && y.then === y.here && !x.ends && !y.ends) return;
  layer.append(
    s("path", {class: "link", d: `M${x.here} ${y.here}L${x.then} ${y.then}`}),
    mark(SHAPES[0](3.4), x.then, y.then, "ghost"));
  if (x.ends) layer.append(s("path", {class: "whisker", d: `M${x.ends[0]} ${y.here - 4}v8M${x.ends[0]} ${y.here}H${x.ends[1]}m0 -4v8`}));
  if (y.ends) layer.append(s("path", {class: "whisker", d: `M${x.here - 4} ${y.ends[0]}h8M${x.here} ${y.ends[0]}V${y.ends[1]}m-4 0h8`}));
}

const isInside = ({at}, costs) => [[at.x, state.x], [at.y, state.y]].every(([along, i]) => costs[i] >= along.low && costs[i] <= along.high);

function drawPopulation(frame, points) {
  const one = run(), {at, inside} = frame, generation = generationOf(one, state.generation);
  const trail = one.members.costs.filter((costs) => isInside(frame, costs)).map((costs) => `M${at.x(costs[state.x]).toFixed(1)} ${at.y(costs[state.y]).toFixed(1)}h.01`);
  inside.append(s("path", {class: "trail", d: trail.join(""), "stroke-width": .22 * rem()}));
  for (const known of populationOf(one, generation).slice(generation.front)) {
    if (!isInside(frame, known.costs)) continue;
    const [x, y] = [at.x(known.costs[state.x]), at.y(known.costs[state.y])], {member} = known;
    inside.append(known.isInfeasible ? mark(CROSS(3.2), x, y, "bad") : mark(SHAPES[0](3.6), x, y, "population"));
    points.push({x, y, member, tell: () => tellMember(one, known), choose: () => update({member}), r: 3.6});
  }
}

function drawRun(frame, one, points) {
  const front = frontOf(one).filter(({costs}) => isInside(frame, costs)), index = page.runs.indexOf(one), isCurrent = index === state.run, {at} = frame;
  const layer = s("g", {class: `${tone(one.configuration)} ${isCurrent ? "" : "other"}`}), r = .3 * rem() * (isCurrent ? 1.1 : .85);
  layer.append(s("path", {class: "stairs", d: stairs(front, at)}));
  if (isCurrent) front.forEach((entry) => drawMeasured(layer, entry, at));
  for (const entry of front) {
    const [x, y] = [at.x(entry.costs[state.x]), at.y(entry.costs[state.y])], {member} = entry;
    const kind = entry.isInfeasible || entry.dominated ? "dominated" : "front";
    layer.append(mark(SHAPES[one.configuration % SHAPES.length](r), x, y, kind));
    if (isCurrent && member === state.member) layer.prepend(mark(SHAPES[0](r + 5), x, y, "halo"));
    const choose = () => update(isCurrent ? {member} : {run: index, member});
    points.push({x, y, member, r, weight: isCurrent ? 40 : 0, tell: () => tellMember(one, entry), choose});
  }
  if (isCurrent && isFinal()) front.filter(({picks}) => picks.length).forEach((entry) => labelPick(layer, entry, entry.picks.join(", "), frame));
  frame.inside.append(layer);
}

/** The front of all seeds of a configuration together. */
function drawPooled({at, inside}, configuration) {
  if (configuration.runs.length < 2) return;
  const members = configuration.front.map(([r, number]) => page.runs[r].front.find((entry) => entry.number === number));
  inside.append(s("g", {class: tone(page.configurations.indexOf(configuration))}, s("path", {class: "pooled", d: stairs(members, at)})));
}

function labelPick(layer, entry, text, {at, right}) {
  const x = at.x(entry.costs[state.x]), end = x + textWidth(text) + rem() > right;
  layer.append(s("text", {
    class: `label ${end ? "end" : ""}`, x: x + (end ? -.6 : .6) * rem(), y: at.y(entry.costs[state.y]) - .6 * rem(),
  }, text));
}

function frontLegend() {
  const one = run(), circle = (names, r = 4.5) => swatch(mark(SHAPES[0](r), 12, 8, names));
  const isMeasured = isFinal() && one.front.some((entry) => Object.values(entry.latencies).some((latency) => latency.measured !== null));
  const fronts = page.configurations.length > 1
    ? page.configurations.map(({label}, i) => [swatch(s("g", {class: tone(i)}, mark(SHAPES[i % SHAPES.length](5), 12, 8, "front"))), `front, ${label}`])
    : [[swatch(s("g", {class: tone(0)}, mark(SHAPES[0](5), 12, 8, "front"))), "front"]];
  return legend([
    ...fronts,
    ...page.configurations.filter(({runs}) => runs.length > 1 && isFinal()).map((configuration) => [
      swatch(s("g", {class: tone(page.configurations.indexOf(configuration))}, s("path", {class: "pooled", d: "M2 3V8H14V13H22"}))),
      `all seeds of ${configuration.label} together`]),
    [circle("population", 3.8), "others of the population"],
    ...(isMeasured ? [[swatch(s("path", {class: "link", d: "M4 8H20"}), mark(SHAPES[0](3.4), 4, 8, "ghost")), "predicted, joined to what was measured, with its 95 % interval"]] : []),
    ...(one.generations.some((generation) => generation.infeasible.length) ? [[swatch(mark(CROSS(3.6), 12, 8, "bad")), "infeasible"]] : []),
    ...(isMeasured && one.front.some((entry) => entry.dominated || entry.violations.length) ? [[circle("dominated"), "of the front, but dominated or infeasible as measured"]] : []),
    [swatch(s("path", {class: "trail", d: "M5 8h.01M12 5h.01M19 10h.01", "stroke-width": 3.6})), "every member of any generation"],
  ]);
}

function axisChoice(axis, text) {
  const choices = page.objectives.map((objective, i) => h("option", {value: i, selected: i === state[axis]}, objective.label));
  const select = h("select", {onchange: (event) => {
    const [chosen, other] = [Number(event.target.value), axis === "x" ? "y" : "x"];
    update(state[other] === chosen ? {[axis]: chosen, [other]: state[axis]} : {[axis]: chosen});
  }}, choices);
  views.push(() => { select.value = state[axis]; });
  return h("label", {}, text, select);
}

function runChoice() {
  if (page.runs.length < 2) return null;
  const select = h("select", {onchange: (event) => update({run: Number(event.target.value), member: null})},
    page.runs.map((one, i) => h("option", {value: i}, one.name)));
  views.push(() => { select.value = state.run; });
  return h("label", {}, "run", select);
}

function wideChoice() {
  const button = h("button", {class: "plain", type: "button", "aria-pressed": "false", onclick: () => update({wide: !state.wide})}, "all members");
  views.push(() => button.setAttribute("aria-pressed", state.wide));
  return button;
}

/** A slider through the generations, and a button that plays them. */
function timeline() {
  const indices = [...new Set(page.runs.flatMap((one) => one.generations.filter((generation) => generation.population.length).map((generation) => generation.index)))].sort((a, b) => a - b);
  if (indices.length < 2) return null;
  let timer = 0;
  const playing = s("path", {d: "M4 2l11 7-11 7z"});
  const slider = h("input", {type: "range", min: 0, max: indices.length - 1, "aria-label": "generation"});
  const told = h("output", {});
  const stop = () => { clearInterval(timer); timer = 0; playing.setAttribute("d", "M4 2l11 7-11 7z"); button.setAttribute("aria-label", "play the generations"); };
  const show = (position) => update({generation: indices[position]});
  const play = () => {
    if (timer) return stop();
    if (Number(slider.value) === indices.length - 1) show(0);
    playing.setAttribute("d", "M4 2h4v14H4zM11 2h4v14h-4z");
    button.setAttribute("aria-label", "stop");
    timer = setInterval(() => (Number(slider.value) < indices.length - 1 ? show(Number(slider.value) + 1) : stop()), Math.max(60, 4000 / indices.length));
    return undefined;
  };
  const button = h("button", {class: "plain icon", type: "button", "aria-label": "play the generations", onclick: play}, s("svg", {viewBox: "0 0 18 18", "aria-hidden": "true"}, playing));
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  views.push(() => {
    slider.value = indices.indexOf(state.generation);
    slider.setAttribute("aria-valuetext", `generation ${state.generation}`);
    told.textContent = `generation ${state.generation} of ${last(indices)}`;
  });
  return h("div", {class: "time"}, button, slider, told);
}

function startFront() {
  const host = chart("front", "The front; arrow keys go from member to member, Enter chooses one");
  if (!host) return;
  const below = h("div", {class: "stack"}), key = h("div", {});
  host.after(below);
  below.append(...[timeline(), key].filter(Boolean));
  byId("front-controls").append(...[runChoice(), axisChoice("y", "up"), axisChoice("x", "across"), wideChoice()].filter(Boolean));
  const draw = () => {
    const [xs, ys] = ranges(), points = [];
    const height = Math.max(19 * rem(), Math.min(host.clientWidth * .62, 36 * rem()));
    const frame = axes(host, {height, x: {range: xs, title: heading(page.objectives[state.x])}, y: {range: ys, title: heading(page.objectives[state.y])}});
    drawLimits(frame);
    drawPopulation(frame, points);
    if (isFinal()) page.configurations.forEach((configuration) => drawPooled(frame, configuration));
    page.runs.forEach((one, i) => i !== state.run && drawRun(frame, one, points));
    drawRun(frame, run(), points);
    host.points = points.sort((a, b) => a.x - b.x || a.y - b.y);
    key.replaceChildren(frontLegend());
  };
  drawn(host, draw);
  views.push(draw);
}
