// Plots of lines: hypervolume and error over generations, curves of retrained members; predicted against measured.

/** The configurations' names where there are several; one alone needs none. */
const seriesName = (configuration) => (page.configurations.length > 1 ? configuration.label : "");

/** A figure over generations: a line for each configuration, the spread of its seeds, each seed thin. */
function overGenerations(name, {title, figure, own, label}) {
  const host = chart(name, `${label}; arrow keys go from generation to generation`, {along: true});
  if (!host) return;
  const key = h("div", {});
  host.after(key);
  const pooled = page.configurations.map((configuration) => configuration[figure]);
  const draw = () => {
    const lines = page.runs.map((one) => one.generations.map((generation) => [generation.index, generation[own]]));
    const ys = padded(extent([...lines.flat().map(([, y]) => y), ...pooled.flatMap((one) => [...one.least, ...one.most])]));
    const xs = extent(lines.flat().map(([x]) => x));
    if (xs[0] === xs[1]) xs[1] += 1;
    const height = Math.max(15 * rem(), Math.min(host.clientWidth * .52, 22 * rem()));
    const frame = axes(host, {height, whole: true, x: {range: xs, title: "generation"}, y: {range: ys, title}});
    const {at, inside, above} = frame, points = [];
    inside.append(s("path", {class: "now", d: `M${at.x(state.generation)} ${frame.top}V${frame.bottom}`}));
    page.configurations.forEach((configuration, c) => {
      const one = pooled[c], layer = s("g", {class: tone(c)}), mean = one.generation.map((g, i) => [at.x(g), at.y(one.mean[i])]);
      if (configuration.runs.length > 1) {
        const ends = (values) => one.generation.map((g, i) => [at.x(g), at.y(values[i])]);
        layer.append(s("path", {class: "band", d: `${polyline([...ends(one.least), ...ends(one.most).reverse()])}z`}));
        configuration.runs.forEach((r) => layer.append(s("path", {class: "line thin", d: polyline(lines[r].map(([x, y]) => [at.x(x), at.y(y)]))})));
      }
      layer.append(s("path", {class: `line ${c % 2 ? "dashed" : ""}`, d: polyline(mean)}));
      layer.append(mark(SHAPES[c % SHAPES.length](4.5), ...last(mean), "front"));
      inside.append(layer);
      one.generation.forEach((g, i) => points.push({x: mean[i][0], y: mean[i][1], tell: () => tellPooled(configuration, one, i, title), choose: () => update({generation: g})}));
    });
    above.append();
    host.points = points.sort((a, b) => a.x - b.x || a.y - b.y);
    key.replaceChildren(page.configurations.length > 1 || page.runs.length > 1 ? legend(page.configurations.flatMap((configuration, c) => [
      [swatch(s("g", {class: tone(c)}, s("path", {class: `line ${c % 2 ? "dashed" : ""}`, d: "M1 8H23"}), mark(SHAPES[c % SHAPES.length](4), 12, 8, "front"))),
        `${configuration.label}${configuration.runs.length > 1 ? `: mean of ${configuration.runs.length} seeds, least to most shaded` : ""}`],
    ])) : "");
  };
  drawn(host, draw);
  views.push((change) => "generation" in change && draw());
}

function tellPooled(configuration, one, i, title) {
  const deviation = one.deviation[i];
  return [
    h("strong", {}, `generation ${one.generation[i]}`),
    facts([
      [[title, seriesName(configuration)].filter(Boolean).join(", "), number(one.mean[i]), {"data-figure": "mean", "data-value": one.mean[i]},
        deviation === null ? null : `mean of ${one.runs[i]} seeds, \u00b1 ${number(deviation)}`],
      ...(deviation === null ? [] : [["least to most", between([one.least[i], one.most[i]])]]),
    ]),
  ];
}

/** Latencies, predicted and measured: on the diagonal where both agree, shaded as far as noise alone goes. */
function startAccuracy() {
  const host = chart("accuracy", "Predicted against measured latency; arrow keys go from network to network");
  if (!host) return;
  const key = h("div", {class: "stack"});
  host.after(key);
  let which = 0;
  const targets = () => run().accuracy.filter((one) => one.networks.length);
  const select = h("select", {"aria-label": "latency", onchange: (event) => { which = Number(event.target.value); draw(); }});
  const draw = () => {
    const all = targets(), one = all[Math.min(which, all.length - 1)];
    byId("accuracy").hidden = !one;
    if (!one || !host.clientWidth) return;
    select.replaceChildren(...all.map((each, i) => h("option", {value: i, selected: each === one}, each.quantity)));
    select.hidden = all.length < 2;
    drawAccuracy(host, one);
    key.replaceChildren(accuracyLegend(one), h("p", {class: "small"}, one.text));
  };
  host.before(select);
  drawn(host, draw);
  views.push((change) => ("run" in change || "member" in change) && draw());
}

function drawAccuracy(host, one) {
  const ends = one.networks.flatMap((network) => [network.predicted, network.measured, ...network.measured_interval]);
  const range = padded(extent(ends)), unit = page.objectives.find(({name}) => name === one.quantity)?.unit || "ms";
  const height = Math.max(16 * rem(), Math.min(host.clientWidth * .8, 27 * rem())), points = [];
  const frame = axes(host, {height, x: {range, title: `measured, ${unit}`}, y: {range, title: `predicted, ${unit}`}});
  const {at, inside} = frame, noise = (one.noise_floor_percent || 0) / 100;
  const ray = (by) => [[at.x(range[0]), at.y(range[0] * by)], [at.x(range[1]), at.y(range[1] * by)]];
  inside.append(
    s("path", {class: "noise", d: `${polyline([...ray(1 + noise), ...ray(1 - noise).reverse()])}z`}),
    s("path", {class: "identity", d: polyline(ray(1))}));
  for (const network of one.networks) {
    const [x, y] = [at.x(network.measured), at.y(network.predicted)], own = network.role === "front";
    const isChosen = network.member !== null && network.member === state.member;
    const tell = () => [
      h("strong", {}, own && network.member !== null ? nameOf(run(), network.member) : "network of the validation"),
      facts([
        ["measured", suffixed(network.measured, unit), {"data-figure": "measured", "data-value": network.measured}, `95 %: ${between(network.measured_interval)}`],
        ["predicted", suffixed(network.predicted, unit), {"data-figure": "predicted", "data-value": network.predicted}, network.predicted_interval ? `95 %: ${between(network.predicted_interval)}` : null],
      ])];
    const choose = network.member === null ? null : () => update({member: network.member});
    inside.append(
      s("path", {class: own ? "whisker" : "bad", d: `M${at.x(network.measured_interval[0])} ${y}H${at.x(network.measured_interval[1])}`}),
      ...(isChosen ? [mark(SHAPES[0](10), x, y, "halo")] : []),
      mark(own ? SHAPES[0](4.6) : SHAPES[1](4), x, y, own ? "measured" : "population"));
    points.push({x, y, tell, choose});
  }
  host.points = points.sort((a, b) => a.x - b.x || a.y - b.y);
}

function accuracyLegend(one) {
  const roles = new Set(one.networks.map(({role}) => role));
  return legend([
    ...(roles.has("front") ? [[swatch(mark(SHAPES[0](4.6), 12, 8, "measured")), "members of the front"]] : []),
    ...(roles.has("validation") ? [[swatch(mark(SHAPES[1](4), 12, 8, "population")), "networks of the table's validation"]] : []),
    [swatch(s("path", {class: "identity", d: "M2 14L22 2"})), "both agree"],
    ...(one.noise_floor_percent === null ? [] : [[swatch(s("rect", {class: "noise", x: 1, y: 2, width: 22, height: 12})), `noise floor: \u00b1 ${number(one.noise_floor_percent)} %`]]),
  ]);
}

/** Errors of the retrained over epochs: on the images that judge, and dotted those on the images trained on. */
function startCurves() {
  const host = chart("curves", "Errors of retrained networks over epochs; arrow keys go from epoch to epoch", {along: true});
  if (!host) return;
  const key = h("div", {});
  host.after(key);
  const draw = () => {
    const found = run().retrained, points = [];
    byId("retrained").hidden = !found.length;
    if (!found.length || !host.clientWidth) return;
    const known = ({curve}, figure) => curve.epoch.map((epoch, i) => [epoch, curve[figure][i]]).filter(([, y]) => y !== null);
    const all = found.flatMap((one) => [...known(one, "error"), ...known(one, "training_error")]);
    if (!all.length) return;
    const [xs, ys] = [extent(all.map(([x]) => x)), padded([0, extent(all.map(([, y]) => y))[1]])];
    if (xs[0] === xs[1]) xs[1] += 1;
    const height = Math.max(16 * rem(), Math.min(host.clientWidth * .5, 24 * rem()));
    const {at, inside} = axes(host, {height, whole: true, x: {range: xs, title: "epoch"}, y: {range: ys, title: "error, share of images"}});
    found.forEach((one, i) => {
      const layer = s("g", {class: tone(i)}), place = ([x, y]) => [at.x(x), at.y(y)], judged = known(one, "error");
      layer.append(
        s("path", {class: "line dotted", d: polyline(known(one, "training_error").map(place))}),
        s("path", {class: "line", d: polyline(judged.map(place))}));
      if (judged.length) layer.append(mark(SHAPES[i % SHAPES.length](4.5), ...place(last(judged)), "front"));
      inside.append(layer);
      for (const [epoch, error] of judged) {
        const trained = one.curve.training_error[one.curve.epoch.indexOf(epoch)];
        const tell = () => [h("strong", {}, `${one.name}, epoch ${epoch}`), facts([
          ["error", number(error), {"data-figure": "error", "data-value": error}], ...(trained === null ? [] : [["on training images", number(trained)]])])];
        points.push({x: at.x(epoch), y: at.y(error), tell});
      }
    });
    host.points = points.sort((a, b) => a.x - b.x || a.y - b.y);
    key.replaceChildren(legend([
      ...found.map((one, i) => [swatch(s("g", {class: tone(i)}, s("path", {class: "line", d: "M1 8H23"}), mark(SHAPES[i % SHAPES.length](4), 12, 8, "front"))), one.name]),
      [swatch(s("path", {class: "line dotted", d: "M1 8H23"})), "on training images"],
    ]));
  };
  drawn(host, draw);
  views.push((change) => "run" in change && draw());
}
