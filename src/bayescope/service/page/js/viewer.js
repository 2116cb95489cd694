// The viewer: the image with window and level, its evidence map, and the counterfactual side by side.

import { decoded, drawImage, drawMap, drawPicture, reachOf, summed } from "./arrays.js";
import { atPrevalence, percent } from "./bayes.js";
import { element, ratioText } from "./chart.js";
import { linked, Pane } from "./pane.js";

const get = (id) => document.getElementById(id);

export class Viewer {
  /** `fetchExplanation(row, counterfactual)` resolves to what the service explains. */
  constructor(fetchExplanation) {
    this.fetchExplanation = fetchExplanation;
    this.panes = [];
    this.row = null;
    this.requests = 0;
    for (const id of ["show-map", "show-detail", "opacity", "levels", "window-width", "window-level"])
      get(id).addEventListener("input", () => this.#draw());
    get("show-counterfactual").addEventListener("input", () => this.open(this.row));
    get("reset-view").addEventListener("click", () => this.reset());
  }

  get isOpen() {
    return !get("viewer-panel").hidden;
  }

  /** Answers may come in another order than they were asked for in: only the last request is shown. */
  async open(row, prevalence = this.prevalence) {
    const request = ++this.requests;
    this.row = row;
    this.answer(prevalence);
    get("viewer-panel").hidden = false;
    document.body.classList.add("viewing");
    get("viewer-title").textContent = row.name.split("/").pop();
    get("viewer-notes").textContent = "Scoring the image in full …";
    const wanted = get("show-counterfactual").checked;
    get("panes").setAttribute("aria-busy", "true");
    try {
      if (!this.#isCurrent(row.explanation, wanted)) {
        const found = prepared(await this.fetchExplanation(row, wanted));
        if (request !== this.requests) return;
        row.explanation = found;
      }
    } catch (error) {
      if (request === this.requests) get("viewer-notes").textContent = error.message;
      return;
    } finally {
      if (request === this.requests) get("panes").removeAttribute("aria-busy");
    }
    this.#show(row.explanation, wanted);
  }

  /** With several classes, the map against the rest depends on the prevalence. */
  #isCurrent(explanation, withCounterfactual) {
    const names = Object.keys(this.prevalence);
    return (
      explanation &&
      (explanation.counterfactual || !withCounterfactual) &&
      (names.length === 2 ||
        names.every((name) => Math.abs(explanation.record.prevalence[name] - this.prevalence[name]) < 1e-9))
    );
  }

  close() {
    get("viewer-panel").hidden = true;
    document.body.classList.remove("viewing");
    this.#clear();
    this.row = null;
    this.requests++; // what is still on its way is not shown
    get("panes").removeAttribute("aria-busy");
  }

  /** The answer at another prevalence, above the image. */
  answer(prevalence) {
    this.prevalence = prevalence;
    if (!this.row?.record) return;
    const found = atPrevalence(this.row.record, prevalence);
    const name = found.class;
    get("viewer-answer").replaceChildren(
      element("b", {}, name),
      ` ${percent(found.posterior[name])} · ${ratioText(found.log_likelihood_ratio[name], found.standard_error[name])}`,
      element("span", { class: "soft" }, ` as likely an image of ${name} as of the rest`),
    );
  }

  reset() {
    get("window-width").value = 100;
    get("window-level").value = 50;
    this.#draw();
    this.#withFirst((pane) => pane.reset());
  }

  zoom(factor) {
    this.#withFirst((pane) => pane.zoom(factor));
  }

  #withFirst(act) {
    const [first] = this.panes;
    if (!first) return;
    this.lead(first);
    act(first);
  }

  #clear() {
    for (const pane of this.panes) pane.close();
    this.panes = [];
  }

  #show(found, withCounterfactual) {
    this.#clear();
    const [, height, width] = found.image.shape;
    const size = { height, width };
    const add = (title) => {
      const pane = new Pane(title, size);
      get("panes").append(pane.root);
      this.panes.push(pane);
      return pane;
    };
    const main = add(withCounterfactual ? "image" : "image and evidence");
    this.image = main.layer();
    this.map = main.layer();
    if (withCounterfactual) this.#addCounterfactual(found, add);
    for (const pane of this.panes) pane.open();
    this.lead = linked(this.panes);
    main.onShiftDrag((dx, dy) => {
      shift("window-width", dx / 2);
      shift("window-level", dy / 4);
      this.#draw();
    });
    get("panes").dataset.count = this.panes.length;
    this.#fillLevels(found);
    get("show-detail").disabled = !found.detail;
    const constant =
      Math.abs(found.constant) > 0.005 ? ` ${signed(found.constant)} nats belong to no pixel and are spread evenly.` : "";
    get("viewer-notes").textContent = `${found.title}, the image scored in full.${constant}`;
    this.#draw();
  }

  #addCounterfactual({ counterfactual, winner }, add) {
    const show = (title, picture) => drawPicture(add(title).layer(), picture);
    show(`as ${winner}`, counterfactual.reconstruction);
    show(`as ${counterfactual.other}`, counterfactual.image);
    const change = add(`change: orange brighter, blue darker`).layer();
    drawMap(change, counterfactual.change, reachOf(counterfactual.change));
  }

  #fillLevels({ sigmas }) {
    const chosen = get("levels").value;
    const half = Math.floor(sigmas.length / 2);
    const options = [["all", "all"]];
    if (half) options.push([`0-${half}`, "fine half"], [`${half}-${sigmas.length}`, "coarse half"]);
    sigmas.forEach((sigma, k) => options.push([`${k}-${k + 1}`, `σ = ${Number(sigma.toPrecision(2))}`]));
    get("levels").replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
    if (options.some(([value]) => value === chosen)) get("levels").value = chosen;
  }

  #draw() {
    const found = this.row?.explanation;
    if (!found || !this.panes.length) return;
    const width = Number(get("window-width").value) / 100,
      level = Number(get("window-level").value) / 100;
    const span = found.high - found.low,
      centre = found.low + level * span;
    const shown = (get("show-detail").checked && found.detail) || found.image;
    drawImage(this.image, shown, centre - (width * span) / 2, centre + (width * span) / 2);
    const chosen = get("levels").value;
    const map = chosen === "all" ? found.evidence : summed(found.levels, ...chosen.split("-").map(Number));
    const reach = reachOf(map);
    drawMap(this.map, map, reach);
    this.map.style.opacity = get("show-map").checked ? get("opacity").value : 0;
    get("opacity-out").textContent = percentage(get("opacity").value);
    get("window-out").textContent = percentage(width);
    get("level-out").textContent = percentage(level);
    get("scale").replaceChildren(
      ...scale(
        found,
        reach,
        map.data.reduce((sum, value) => sum + value, 0),
      ),
    );
  }
}

/** The legend: colours, nats per pixel at their ends, and the sum of the map. */
function scale({ winner, against }, reach, total) {
  const rival = against ?? "the rest";
  const end = Number(reach.toPrecision(2));
  return [
    element("span", {}, `−${end}`),
    element("span", { class: "ramp" }),
    element("span", {}, `+${end} nats per pixel`),
    element("span", { class: "soft" }, `orange for ${winner}, blue for ${rival}; the map adds up to ${signed(total)} nats`),
  ];
}

function prepared(found) {
  const { counterfactual } = found;
  return {
    ...found,
    image: decoded(found.image),
    detail: found.detail && decoded(found.detail),
    evidence: decoded(found.evidence),
    levels: decoded(found.levels),
    counterfactual: counterfactual && {
      ...counterfactual,
      image: decoded(counterfactual.image),
      reconstruction: decoded(counterfactual.reconstruction),
      change: decoded(counterfactual.change),
    },
  };
}

export function shift(id, by) {
  const input = get(id);
  input.value = Number(input.value) + by;
}

const percentage = (share) => `${Math.round(100 * share)} %`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
