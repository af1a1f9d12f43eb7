// A drawing of a network's part: nodes in layers by how far they are from the inputs, edges as smooth curves.

/** Boxes of a part: its nodes, and what it reads from outside; edges between them. */
function boxesOf(part) {
  const own = new Set(part.nodes.map(({id}) => id)), boxes = [], edges = [];
  const outside = [...new Set(part.nodes.flatMap(({inputs}) => inputs))].filter((id) => !own.has(id));
  outside.forEach((id) => boxes.push({id, label: id, kind: "input"}));
  part.nodes.forEach(({id, label, inputs}) => {
    boxes.push({id, label: label.replace(/_/g, " ").replace(/(\d)x(\d)/g, "$1\u00d7$2"), kind: kindOf(label)});
    inputs.forEach((input) => edges.push([input, id]));
  });
  return {boxes, edges};
}
const KINDS = [[/sep|depthwise|mbconv|inverted/, 0], [/dil/, 3], [/pool/, 2], [/conv|dense|linear/, 1], [/add|concat|sum|join/, 9]];
const kindOf = (label) => (KINDS.find(([pattern]) => pattern.test(label)) || [null, 4])[1];

/** Layers of boxes, with a bend in each layer that an edge only passes. */
function layered({boxes, edges}) {
  const depth = {}, byName = Object.fromEntries(boxes.map((box) => [box.id, box]));
  for (const box of boxes) depth[box.id] = 1 + Math.max(-1, ...edges.filter(([, to]) => to === box.id).map(([from]) => depth[from]));
  const layers = Array.from({length: 1 + Math.max(...Object.values(depth))}, () => []);
  boxes.forEach((box) => layers[depth[box.id]].push(box));
  const routes = edges.map(([from, to]) => {
    const route = [byName[from]];
    for (let i = depth[from] + 1; i < depth[to]; i++) {
      const bend = {isBend: true};
      layers[i].push(bend);
      route.push(bend);
    }
    return [...route, byName[to]];
  });
  return {layers, routes};
}

function neighbours(routes) {
  const before = new Map(), after = new Map();
  const add = (map, key, value) => map.set(key, [...(map.get(key) || []), value]);
  for (const route of routes) {
    route.slice(1).forEach((to, i) => {
      add(before, to, route[i]);
      add(after, route[i], to);
    });
  }
  return {before, after};
}

/** Order each layer by the mean of its neighbours, then spread it about these means without overlap. */
function arranged({layers, routes}, room) {
  const {before, after} = neighbours(routes);
  const mean = (box, map) => {
    const found = map.get(box) || [];
    return found.length ? found.reduce((sum, other) => sum + other.at, 0) / found.length : box.at;
  };
  layers.forEach((layer) => layer.forEach((box, i) => { box.at = i - layer.length / 2; }));
  for (let sweep = 0; sweep < 12; sweep++) {
    const [map, order] = sweep % 2 ? [after, [...layers].reverse()] : [before, layers];
    for (const layer of order) {
      layer.forEach((box) => { box.wish = mean(box, map); });
      layer.sort((a, b) => a.wish - b.wish);
      layer.forEach((box, i) => { box.at = i - layer.length / 2; });
    }
  }
  layers.forEach((layer) => spread(layer, room, (box) => box.at * room(box, box)));
  for (let sweep = 0; sweep < 16; sweep++) {
    const [map, order] = sweep % 2 ? [after, [...layers].reverse()] : [before, layers];
    for (const layer of order) spread(layer, room, (box) => mean(box, map));
  }
  return layers;
}
function spread(layer, room, wish) {
  const wishes = layer.map(wish), groups = [];
  layer.forEach((box, i) => {
    let group = {boxes: [box], offsets: [0], at: wishes[i], sum: wishes[i]};
    while (groups.length) {
      const previous = last(groups), shift = last(previous.offsets) + room(last(previous.boxes), group.boxes[0]);
      if (previous.at + shift <= group.at + 1e-9) break;
      groups.pop();
      const boxes = [...previous.boxes, ...group.boxes], offsets = [...previous.offsets, ...group.offsets.map((offset) => offset + shift)];
      const sum = previous.sum + group.sum - shift * group.boxes.length;
      group = {boxes, offsets, sum, at: sum / boxes.length};
    }
    groups.push(group);
  });
  groups.forEach(({boxes, offsets, at}) => boxes.forEach((box, i) => { box.at = at + offsets[i]; }));
}

/** Layers of a part, of boxes as wide as their labels, and how wide each layer is. */
function measuredLayers(part) {
  const plain = layered(boxesOf(part));
  plain.layers.flat().forEach((box) => { box.width = box.isBend ? 0 : textWidth(box.label, .78) + 1.3 * rem(); });
  return {...plain, columns: plain.layers.map((layer) => Math.max(...layer.map((box) => box.width)))};
}
/** How wide a part is from left to right. */
const flatWidth = (part) => measuredLayers(part).columns.reduce((sum, one) => sum + one + 1.9 * rem(), -1.9 * rem());

/** Draw a part from left to right, or from top to bottom. */
function graphPicture(part, isFlat) {
  const em = rem(), {columns, ...plain} = measuredLayers(part), size = {}, tall = 1.75 * em;
  const gap = isFlat ? (a, b) => (a.isBend || b.isBend ? 1.25 : 2.3) * em : (a, b) => (a.width + b.width) / 2 + .7 * em;
  const layers = arranged(plain, gap);
  let along = 0;
  layers.forEach((layer, i) => {
    const own = isFlat ? columns[i] : tall;
    layer.forEach((box) => {
      box.x = isFlat ? along + own / 2 : box.at;
      box.y = isFlat ? box.at : along + own / 2;
    });
    along += own + 1.9 * em;
  });
  const all = layers.flat(), sides = (axis, half) => extent(all.flatMap((box) => [box[axis] - half(box), box[axis] + half(box)]));
  const [[left, right], [top, bottom]] = [sides("x", (box) => box.width / 2), sides("y", () => tall / 2)];
  Object.assign(size, {x: left - 3, y: top - 3, width: right - left + 6, height: bottom - top + 6});
  const svg = s("svg", {viewBox: `${size.x} ${size.y} ${size.width} ${size.height}`, role: "img", "aria-label": `${part.title}, drawn`});
  svg.style.maxWidth = `${size.width}px`;
  plain.routes.forEach((route) => svg.append(s("path", {class: "edge", d: curve(route, isFlat, tall)})));
  for (const box of all.filter((one) => !one.isBend)) {
    const names = box.kind === "input" ? "box" : `op tone-${box.kind}`;
    svg.append(
      s("rect", {class: names, x: box.x - box.width / 2, y: box.y - tall / 2, width: box.width, height: tall, rx: tall / 2}),
      s("text", {class: "node", x: box.x, y: box.y}, box.label));
  }
  return svg;
}
function curve(route, isFlat, tall) {
  const out = (box, side) => (isFlat ? [box.x + side * box.width / 2, box.y] : [box.x, box.y + (box.isBend ? 0 : side * tall / 2)]);
  return route.slice(1).map((to, i) => {
    const [[x1, y1], [x2, y2]] = [out(route[i], 1), out(to, -1)], start = i ? "" : `M${x1} ${y1}`;
    return isFlat
      ? `${start}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`
      : `${start}C${x1} ${(y1 + y2) / 2} ${x2} ${(y1 + y2) / 2} ${x2} ${y2}`;
  }).join("");
}
