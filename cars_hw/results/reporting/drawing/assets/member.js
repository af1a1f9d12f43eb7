// The chosen member: beside the front, in its table, as a graph, and where its milliseconds go.

const chosenEntry = () => entryOf(run(), state.member);

/** The member that is chosen to begin with: the knee where there is one. */
function firstChoice(one) {
  const pick = one.picks.find(({choice}) => choice === "knee") || one.picks[0];
  return one.front[pick ? pick.number : 0].member;
}

function startDetail() {
  const place = byId("detail");
  if (!place) return;
  place.hidden = false;
  const show = () => {
    const one = run(), entry = chosenEntry(), {member} = state;
    const known = entry && isFinal() ? entry : populationOf(one, generationOf(one, state.generation)).find((each) => each.member === member)
      || entry || {member, costs: one.members.costs[member]};
    const why = one.picks.filter((pick) => entry && pick.number === entry.number);
    place.replaceChildren(
      h("h3", {}, entry ? `Member ${entry.number} of the front` : "A member of the population"),
      h("div", {class: "badges"},
        (entry?.picks || []).map((pick) => h("span", {class: "badge"}, pick)),
        (entry?.retrained || []).map((name) => h("span", {class: "badge grey"}, `retrained: ${name}`)),
        entry?.dominated ? h("span", {class: "badge grey"}, "dominated, as measured") : null),
      facts(rowsOf(one, known)),
      ...(entry?.violations || []).map((text) => h("p", {class: "small"}, text)),
      ...why.map((pick) => h("p", {class: "small"}, `${pick.choice}: ${pick.why}`)),
      h("code", {}, one.members.architecture[member]),
      h("div", {class: "controls"}, copyButton(() => one.members.architecture[member], "copy the architecture")),
    );
  };
  views.push(show);
}

function copyButton(text, label) {
  const button = h("button", {class: "plain", type: "button"}, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "copied";
    } catch {
      button.textContent = "the browser does not allow it";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}

/** The front's table: rows choose members and show which is chosen; columns sort. */
function startTable() {
  for (const row of document.querySelectorAll("tr[data-member]")) {
    const [r, member] = [Number(row.dataset.run), Number(row.dataset.member)];
    const first = row.cells[0], button = h("button", {class: "row-button", type: "button"}, first.textContent);
    first.replaceChildren(button);
    const choose = () => update({run: r, member, generation: lastOfAll});
    row.addEventListener("click", choose);
    views.push(() => {
      const isChosen = r === state.run && member === state.member;
      row.classList.toggle("chosen", isChosen);
      button.setAttribute("aria-pressed", isChosen);
    });
  }
  document.querySelectorAll("table[data-sortable]").forEach(sortable);
  views.push((change) => {
    if (!("member" in change)) return;
    const row = document.querySelector("tr.chosen"), box = row?.closest(".scroll");
    if (!box || box.scrollHeight <= box.clientHeight) return;
    const away = row.getBoundingClientRect().top - box.getBoundingClientRect().top;
    if (away < 40 || away > box.clientHeight - 40) box.scrollTop += away - box.clientHeight / 2;
  });
}

function sortable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent;
  heads.forEach((head, i) => {
    const button = h("button", {type: "button"}, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls === 1 ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [one, other] = [value(a, i), value(b, i)], by = Number(one) - Number(other);
        return falls * (Number.isNaN(by) ? one.localeCompare(other) : by);
      });
      body.append(...rows);
    });
  });
}

/** What belongs to one run is shown with that alone. */
function startRuns() {
  views.push(() => {
    for (const part of document.querySelectorAll("[data-of-run]")) part.hidden = Number(part.dataset.ofRun) !== state.run;
  });
}

function startGraph() {
  const place = byId("graph-chart");
  if (!place) return;
  const draw = () => {
    const entry = chosenEntry(), parts = entry && run().graphs[entry.number], said = byId("graph-of");
    said.textContent = entry ? `Member ${[entry.number, ...entry.picks].join(", ")}` : "Choose a member of the last front";
    const room = place.clientWidth, gap = 1.6 * rem();
    const upright = (parts || []).map((part) => graphPicture(part, false));
    const all = upright.reduce((sum, svg) => sum + svg.viewBox.baseVal.width + gap, -gap);
    const isFlat = all > room * 1.25 && (parts || []).every((part) => flatWidth(part) <= room);
    const pictures = (parts || []).map((part, i) => {
      const svg = isFlat ? graphPicture(part, true) : upright[i], title = part.times > 1 ? `${part.title} (${part.times} times)` : part.title;
      const figure = h("figure", {class: "graph"}, h("figcaption", {class: "small"}, title), svg);
      figure.style.flex = `0 1 ${svg.viewBox.baseVal.width}px`;
      return figure;
    });
    place.className = isFlat ? "stack" : `graphs ${all > room * 1.25 ? "wrapping" : ""}`;
    place.replaceChildren(...(pictures.length ? pictures : [h("p", {class: "small"}, "There is no drawing of it.")]));
  };
  drawn(place, draw);
  views.push((change) => ("member" in change || "run" in change) && draw());
}

function startBreakdown() {
  const place = byId("breakdown-chart");
  if (!place) return;
  const draw = () => {
    const entry = chosenEntry(), found = (entry && run().breakdowns[entry.number]) || {};
    const whys = Object.entries(run().no_breakdown).map(([name, why]) => h("p", {class: "small"}, `${name}: ${why}`));
    const shownParts = Object.entries(found).map(([name, one]) => breakdownPicture(name, one, entry.latencies[name]));
    const none = entry ? whys : [h("p", {class: "small"}, "Choose a member of the last front.")];
    place.replaceChildren(...shownParts, ...(shownParts.length ? [] : none));
  };
  views.push((change) => ("member" in change || "run" in change) && draw());
}

/** The dearest classes have colours of their own, all others are grey. */
const toneOfPart = (i) => (i < SHAPES.length ? tone(i) : "tone-9");

function breakdownPicture(name, one, latency) {
  const measured = latency && latency.measured !== null ? `; measured ${suffixed(latency.measured, "ms")}` : "";
  const bar = h("div", {class: "share", role: "img", "aria-label": one.classes.map((part) => `${part.name} ${percent(part.share)}`).join(", ")},
    one.classes.map((part, i) => wide(h("i", {class: toneOfPart(i)}), part.share)));
  return h("div", {class: "pair"}, h("div", {class: "stack"},
    h("p", {}, h("strong", {}, `${suffixed(one.total_ms, "ms")} predicted`), `${measured} `, h("span", {class: "small"}, name)),
    bar,
    legend(one.classes.map((part, i) => [swatch(s("g", {class: toneOfPart(i)}, s("rect", {class: "swatch", x: 5, y: 1, width: 14, height: 14, rx: 3}))), `${part.name} ${percent(part.share)}`]))),
    h("ul", {class: "parts"}, one.dearest.map((part) => h("li", {},
      h("span", {}, part.count > 1 ? `${part.name} \u00d7 ${part.count}` : part.name),
      h("b", {}, `${suffixed(part.ms, "ms")}, ${percent(part.share)}`),
      h("span", {class: "track tone-0", "aria-hidden": "true"}, wide(h("i"), part.share))))));
}
function wide(element, share) {
  element.style.width = `${Math.max(0, share) * 100}%`;
  return element;
}
