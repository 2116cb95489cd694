// The page: what the controls do.

import { classify, explain, modelCard, onTokenNeeded } from "./api.js";
import { cardView } from "./card.js";
import { element } from "./chart.js";
import { asCsv, asJson, save, saveReports } from "./export.js";
import { chosen, dropped, groupOf } from "./files.js";
import { listenToKeys } from "./keys.js";
import { List } from "./list.js";
import { prevalenceSliders } from "./prevalence.js";
import { Viewer } from "./viewer.js";

const AT_ONCE = 4;
const get = (id) => document.getElementById(id);
const say = (text) => (get("status").textContent = text);

const waiting = [];
let running = 0,
  lastId = 0,
  card = null;

const viewer = new Viewer((row, counterfactual) =>
  explain(row.source, {
    prevalence: list.view.prevalence,
    counterfactual,
    frame: row.frame,
    resize: card.can_resize,
    detail: true,
  }),
);
const list = new List(get("rows"), { open: openRow });

function openRow(row) {
  list.select(row, false);
  viewer.open(row, list.view.prevalence);
  get("viewer-title").focus({ preventScroll: false });
}

function closeViewer() {
  viewer.close();
  list.select(list.selected);
}

function add(sources) {
  for (const source of sources) {
    const row = newRow(source, source.name);
    list.rows.push(row);
    waiting.push(row);
  }
  list.draw();
  next();
}

const newRow = (source, name) => ({ id: ++lastId, source, name, warnings: [], isDicom: false });

async function next() {
  report();
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    score(waiting.shift()).finally(() => {
      running -= 1;
      next();
    });
  }
}

/** Score a file: its first image takes the row, those of further frames get rows of their own behind it. */
async function score(first) {
  const rows = [first];
  const rowOf = (index) => {
    while (!rows[index]) {
      const row = { ...newRow(first.source, first.name) };
      list.rows.splice(list.rows.indexOf(rows.at(-1)) + 1, 0, row);
      rows.push(row);
    }
    return rows[index];
  };
  const handle = (kind, content) => {
    const row = rowOf(content.index ?? 0);
    if (kind === "image") {
      Object.assign(row, {
        name: content.image,
        patient: content.patient,
        frame: content.frame,
        preview: content.preview,
        isDicom: content.is_dicom,
      });
      list.draw();
    } else if (kind === "progress") soon(() => Object.assign(row, { progress: content }), row);
    else if (kind === "record") soon(() => Object.assign(row, { record: content.record, name: content.record.image }), row);
    else if (kind === "error") soon(() => Object.assign(row, { error: content.error }), row);
  };
  try {
    const frame = card.reads_dicom ? "all" : undefined;
    await classify(first.source, { frame, resize: card.can_resize }, handle);
  } catch (error) {
    first.error = error.message;
    list.redraw(first);
  }
}

function soon(change, row) {
  change();
  if (row.drawing) return;
  row.drawing = true;
  requestAnimationFrame(() => {
    row.drawing = false;
    list.redraw(row);
    report();
  });
}

function report() {
  const done = list.rows.filter((row) => row.record).length,
    failed = list.rows.filter((row) => row.error).length;
  const left = list.rows.length - done - failed;
  say(list.rows.length === 0 ? "" : `${done} scored${left ? `, ${left} to come` : ""}${failed ? `, ${failed} not read` : ""}`);
  for (const id of ["export-csv", "export-json", "clear"]) get(id).disabled = !done && !failed;
  get("export-sr").disabled = !list.rows.some((row) => row.record && row.isDicom);
}

function exported(kind) {
  const rows = list.ordered.filter((row) => row.record || row.error);
  for (const row of rows) row.group = groupOf(row, list.view.grouping);
  if (kind === "csv") save(asCsv(rows, list.view.prevalence), "bayescope.csv", "text/csv");
  else save(asJson(rows, list.view.prevalence), "bayescope.json", "application/json");
}

async function exportReports() {
  try {
    say(`${await saveReports(list.rows, list.view.prevalence)} structured reports saved`);
  } catch (error) {
    say(error.message);
  }
}

async function showCard() {
  get("card-body").replaceChildren(...cardView(await modelCard()));
  get("card").showModal();
}

function clear() {
  waiting.length = 0;
  list.rows = [];
  list.selected = null;
  if (viewer.isOpen) viewer.close();
  list.draw();
  report();
}

function connect() {
  get("open-files").addEventListener("click", () => get("files").click());
  get("open-folder").addEventListener("click", () => get("folder").click());
  for (const id of ["files", "folder"]) {
    get(id).addEventListener("change", (event) => {
      add(chosen(event.target.files));
      event.target.value = "";
    });
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("dragenter", () => document.body.classList.add("dragging"));
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    add(await dropped(event.dataTransfer));
  });
  get("finding").addEventListener("change", (event) => {
    list.view.finding = event.target.value;
    list.draw();
  });
  get("grouping").addEventListener("change", (event) => {
    list.view.grouping = event.target.value;
    list.draw();
  });
  get("export-csv").addEventListener("click", () => exported("csv"));
  get("export-json").addEventListener("click", () => exported("json"));
  get("export-sr").addEventListener("click", exportReports);
  get("clear").addEventListener("click", clear);
  get("close-viewer").addEventListener("click", closeViewer);
  get("show-model").addEventListener("click", showCard);
  get("show-keys").addEventListener("click", () => get("keys").showModal());
  get("open-reference").addEventListener("click", () => get("reference").showModal());
  get("reference").addEventListener("close", () => {
    if (get("reference").returnValue !== "open") return;
    const reference = Object.fromEntries(["study", "series", "instance"].map((id) => [id, get(id).value.trim()]));
    add([{ reference, name: reference.instance }]);
  });
  listenToKeys({ list, viewer, openRow, closeViewer });
}

function token() {
  get("token").showModal();
  return new Promise((resolve) =>
    get("token").addEventListener("close", () => resolve(get("token-input").value), { once: true }),
  );
}

async function start() {
  onTokenNeeded(token);
  card = await modelCard();
  list.view.prevalence = { ...card.class_prior };
  get("model-line").textContent =
    `${card.class_names.join(" · ")} — ${card.data.source ?? "model"} ${card.fingerprint.slice(0, 8)}`;
  list.view.poolings = card.poolings;
  get("drift").hidden = !card.drift.novelty_alarm && !card.drift.ratio_alarm;
  get("drift").textContent = `Drift: ${card.drift.finding}`;
  get("by-reference").hidden = !card.service.dicomweb;
  get("prevalence-note").textContent =
    "The likelihood ratio stays what it is; the probabilities follow by Bayes' rule." +
    (card.class_names.length > 2 ? " With several classes, the ratio against the rest depends on how the rest is mixed." : "");
  get("finding").replaceChildren(
    element("option", { value: "" }, "the answer"),
    ...card.class_names.map((name) => element("option", { value: name }, name)),
  );
  prevalenceSliders(get("prevalence-sliders"), card.class_prior, (prevalence) => {
    list.view.prevalence = prevalence;
    list.draw();
    viewer.answer(prevalence);
  });
  document.body.classList.add("ready");
}

connect();
start().catch((error) => say(error.message));
