// The list of images: a row each, under a heading for each patient.

import { atPrevalence, percent } from "./bayes.js";
import { element, probabilityBar, ratioScale, ratioText } from "./chart.js";
import { groupOf } from "./files.js";
import { summary } from "./groups.js";

/** A row is {id, name, source, frame, patient, preview, warnings, progress, record, error}. */
export class List {
  constructor(body, { open }) {
    this.body = body;
    this.open = open;
    this.rows = [];
    this.view = { finding: "", grouping: "auto", prevalence: null, poolings: [] };
    this.selected = null;
    this.drawn = new Map();
    this.headings = [];
    body.addEventListener("keydown", (event) => this.#key(event));
    body.addEventListener("click", (event) => this.#pick(event.target.closest("tr[data-id]")));
  }

  /** Rows in the order shown: those of one patient together, where the first of them came. */
  get ordered() {
    return this.#groups().flatMap(({ rows }) => rows);
  }

  #groups() {
    const groups = new Map();
    for (const row of this.rows) {
      const name = groupOf(row, this.view.grouping);
      const key = name || `row ${row.id}`;
      if (!groups.has(key)) groups.set(key, { name, rows: [] });
      groups.get(key).rows.push(row);
    }
    return [...groups.values()];
  }

  /** Draw everything anew. */
  draw() {
    const hadFocus = this.body.contains(document.activeElement);
    this.drawn.clear();
    this.headings = [];
    const parts = [];
    for (const { name, rows } of this.#groups()) {
      if (name) {
        const text = element("span", { class: "soft" });
        const heading = element("th", { colspan: 4, scope: "rowgroup" }, name, text);
        this.headings.push({ text, rows });
        parts.push(element("tr", { class: "group" }, heading));
      }
      for (const row of rows) {
        const line = this.#line(row);
        this.drawn.set(row.id, line);
        parts.push(line);
      }
    }
    this.body.replaceChildren(...parts);
    this.headings.forEach((heading) => this.#describe(heading));
    this.#markSelected(hadFocus);
  }

  /** How many images a heading stands over, and their answer together. */
  #describe({ text, rows }) {
    const { poolings, prevalence, finding, grouping } = this.view;
    const together = grouping === "folder" ? "" : summary(rows, poolings, prevalence, finding);
    text.textContent = ` · ${rows.length === 1 ? "1 image" : `${rows.length} images`}${together}`;
  }

  /** Draw one row anew. */
  redraw(row) {
    const old = this.drawn.get(row.id);
    if (!old) return this.draw();
    const line = this.#line(row);
    const hadFocus = document.activeElement === old;
    old.replaceWith(line);
    this.drawn.set(row.id, line);
    this.headings.filter(({ rows }) => rows.includes(row)).forEach((heading) => this.#describe(heading));
    this.#markSelected(hadFocus);
  }

  select(row, focus = true) {
    this.selected = row;
    this.#markSelected(focus);
  }

  #markSelected(focus) {
    const current = this.selected && this.drawn.has(this.selected.id) ? this.selected : this.ordered[0];
    for (const [id, line] of this.drawn) {
      line.tabIndex = current && id === current.id ? 0 : -1;
      line.setAttribute("aria-selected", Boolean(this.selected && id === this.selected.id));
    }
    if (focus && current) this.drawn.get(current.id).focus();
  }

  #line(row) {
    const preview = row.preview
      ? element("img", { src: row.preview, alt: "", class: "preview" })
      : element("span", { class: "preview" });
    const line = element(
      "tr",
      { "data-id": row.id, "aria-busy": !row.record && !row.error, tabindex: -1 },
      element("td", {}, preview),
      element("td", { class: "name" }, element("span", { class: "file", title: row.name }, fileName(row)), this.#flags(row)),
    );
    line.append(...this.#answer(row));
    return line;
  }

  #answer(row) {
    if (row.error) return [element("td", { colspan: 2, class: "error" }, `Not read: ${row.error}`)];
    const known = row.record ?? row.progress;
    if (!known) return [element("td", { colspan: 2, class: "soft" }, row.preview ? "waiting …" : "reading …")];
    const found = row.record ? atPrevalence(row.record, this.view.prevalence) : withAnswer(known);
    const shown = this.view.finding || found.class;
    const ratio = found.log_likelihood_ratio[shown],
      error = found.standard_error[shown];
    const verb = row.record ? "" : ` · ${row.progress.passes} passes`;
    const answer = element(
      "td",
      { class: "answer" },
      element(
        "div",
        {},
        element("b", {}, found.class),
        ` ${percent(found.posterior[found.class])}`,
        element("span", { class: "soft" }, verb),
      ),
      probabilityBar(found.posterior, shown, found.posterior_error?.[shown]),
    );
    const text = element(
      "div",
      { class: "times" },
      element("b", {}, ratioText(ratio, error)),
      element("span", { class: "soft" }, ` ${shown}`),
    );
    return [answer, element("td", { class: "evidence" }, text, ratioScale(ratio, error))];
  }

  #flags(row) {
    const flags = element("span", { class: "flags" });
    const flag = (kind, text, title) => flags.append(element("span", { class: `flag ${kind}`, title }, text));
    const { record } = row;
    if (!record) return flags;
    if (isNovel(record)) {
      const p = record.novelty_p_value.toPrecision(1);
      flag("novel", `⚠ unfamiliar, p = ${p}`, "Unlike the training images: the prediction may mean nothing");
    }
    if (record.abstained) {
      const set = record.prediction_set?.join(" or ") || "no class";
      flag("abstained", `◌ abstains: ${set}`, "Not sure enough to answer, at the prevalence the model was fitted at");
    }
    if (record.seen) flag("seen", `in ${record.seen} data`, "The model was trained or validated on this image");
    const others = record.warnings.filter((text) => !text.startsWith("unlike the training images"));
    if (others.length) flag("note", "ⓘ note", others.join("\n"));
    return flags;
  }

  #key(event) {
    const line = event.target.closest("tr[data-id]");
    if (!line || event.target !== line) return;
    const rows = this.ordered;
    const at = rows.findIndex((row) => String(row.id) === line.dataset.id);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined && rows[to]) this.drawn.get(rows[to].id).focus();
    else if (event.key === "Enter" || event.key === " ") this.#pick(line);
    else if (to === undefined) return;
    event.preventDefault();
  }

  #pick(line) {
    const row = line && this.rows.find((found) => String(found.id) === line.dataset.id);
    if (row?.record) this.open(row);
  }
}

/** As the service warns: at most 0.01, or as small as its number of held-out images allows. */
export const isNovel = (record) => record.warnings.some((text) => text.startsWith("unlike the training images"));

const fileName = (row) => row.name.split("/").pop();

function withAnswer(progress) {
  const names = Object.keys(progress.posterior);
  return {
    ...progress,
    class: names.reduce((best, name) => (progress.posterior[name] > progress.posterior[best] ? name : best)),
  };
}
