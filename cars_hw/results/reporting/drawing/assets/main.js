// From here everything starts: the last generation of the first run, and its knee.

const lastOfAll = Math.max(...page.runs.map((one) => newest(one).index));
const THEMES = {
  auto: "M9 1a8 8 0 1 0 0 16A8 8 0 0 0 9 1zM9 3v12A6 6 0 0 1 9 3z",
  light: "M9 5a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM8.3 0h1.4v3H8.3zM8.3 15h1.4v3H8.3zM0 8.3h3v1.4H0zM15 8.3h3v1.4h-3z",
  dark: "M11 1a8 8 0 1 0 6 11A7 7 0 0 1 11 1z",
};

function themeButton() {
  const path = s("path", {}), button = h("button", {class: "plain icon", type: "button"}, s("svg", {viewBox: "0 0 18 18", "aria-hidden": "true"}, path));
  const names = Object.keys(THEMES);
  let at = 0;
  const show = () => {
    const name = names[at];
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    path.setAttribute("d", THEMES[name]);
    button.setAttribute("aria-label", `colours: ${name}`);
    button.title = `colours: ${name}`;
  };
  button.addEventListener("click", () => { at = (at + 1) % names.length; show(); });
  show();
  return button;
}

function start() {
  document.documentElement.classList.add("alive");
  document.body.append(tip, spoken);
  byId("theme").append(themeButton());
  state.generation = lastOfAll;
  const latency = page.objectives.findIndex(({name}) => page.runs.some((one) => one.front.some((entry) => name in entry.latencies)));
  state.x = latency > 0 ? latency : page.objectives.length > 1 ? 1 : 0;
  state.member = firstChoice(run());
  views.push((change) => {
    if ("run" in change && change.member === null) state.member = firstChoice(run());
  });
  startRuns();
  startFront();
  startDetail();
  startTable();
  startGraph();
  startBreakdown();
  overGenerations("hypervolume", {title: "hypervolume, share of the box", figure: "hypervolume", own: "hypervolume", label: "Hypervolume over generations"});
  overGenerations("error", {title: "least error, share of images", figure: "best_error", own: "best_error", label: "Least error over generations"});
  startAccuracy();
  startCurves();
  document.querySelectorAll("[data-copies]").forEach((place) => place.append(copyButton(() => byId(place.dataset.copies).textContent, "copy")));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  update({...state});
}
start();
