// What comes in, what is asked, and what is shown for it.

import { classPicture, el, one, percent } from "./answers.js";
import { Viewfinder } from "./camera.js";
import { card, grid, spelled } from "./many.js";
import { dropped, fitted, isZip, sized, sorted } from "./pictures.js";
import { Sentence, get, post } from "./service.js";

const REQUEST = { bytes: 8e6, images: 100 }; // of several pictures at once: a slow line manages, and progress shows
const EXAMPLES = 6;

const $ = (id) => document.getElementById(id);
const [status, result] = [$("status"), $("result")];
const counted = (number) => number.toLocaleString("en");
const letterlike = (name) => /^\p{L}$/u.test(name) || /^(space|del|nothing)$/i.test(name);

let model = null; // what /model tells
let current = new AbortController(); // of the request that is on its way
let asked = []; // the pictures that the result speaks of
let addresses = []; // object URLs of the result

const viewfinder = new Viewfinder($("viewfinder"), (files) => answer(files));

/** Ask about `files`; where another model answers than the page tells of, learn about it. */
async function ask(address, field, files, signal) {
  const given = await post(address, field, files, signal);
  if (given.model && given.model.version !== model.version) await learn();
  return given;
}

async function learn() {
  model = await get("model");
  $("which").textContent = `${model.name}, ${model.classes.length} classes`;
  $("facts").replaceChildren(...facts());
  const { image_bytes: bytes, request_bytes: whole, images } = model.limits;
  $("limits").textContent =
    `JPEG, PNG, WebP, BMP or PPM up to ${sized(bytes)}; a zip up to ${sized(whole)} with ` +
    `${counted(images)} pictures. They go to this service and nowhere else.`;
  $("spelling").hidden = !model.classes.every(letterlike) || !model.classes.some((name) => [...name].length === 1);
  offer();
}

/** The model's identity and accuracy, as pairs of a term and its value. */
function facts() {
  const { name, version, metrics, commit, changed } = model;
  const accuracy = metrics && `${(metrics.accuracy * 100).toFixed(2)} % of ${counted(metrics.images)} images`;
  const state = commit && commit.slice(0, 7) + (changed ? ", with changes" : "");
  const pairs = { Model: name, Version: version, "Accuracy on test": accuracy, Commit: state };
  return Object.entries(pairs).map(([term, value]) =>
    el("div", {}, el("dt", {}, term), el("dd", {}, value ?? "unknown")),
  );
}

/** A few classes' own pictures, spread over all of them. */
function offer() {
  const pictures = Number(document.documentElement.dataset.pictures);
  const many = Math.min(EXAMPLES, pictures);
  $("examples").hidden = !many;
  $("examples").querySelectorAll("button").forEach((button) => button.remove());
  for (let number = 0; number < many; number++) {
    const label = Math.floor((number * pictures) / many);
    const button = el("button", { type: "button" }, classPicture(label, model.classes[label]));
    button.addEventListener("click", () => answer(example(label)));
    $("examples").append(button);
  }
}

async function example(label) {
  return [new File([await get(`app/classes/${label}.png`)], `class ${label}.png`, { type: "image/png" })];
}

/** `heard` is for people who listen to the page: what others see in the answer anyway. */
function say(text, kind = "", heard = "") {
  status.className = `status ${kind}`;
  status.replaceChildren(el("span", { class: "unseen" }, heard), text);
}

const url = (blob) => {
  addresses.push(URL.createObjectURL(blob));
  return addresses.at(-1);
};

function clear() {
  $("detail").close();
  if (result.contains(document.activeElement)) $("choose").focus({ preventScroll: true }); // or the focus were lost
  result.replaceChildren();
  addresses.forEach((each) => URL.revokeObjectURL(each));
  addresses = [];
}

/** Ask about `files` and show what comes back; what was under way is given up. */
async function answer(files) {
  current.abort();
  const { signal } = (current = new AbortController());
  try {
    const found = await files;
    signal.throwIfAborted();
    if (!found.length) throw new Sentence("There is no picture in that. Drop image files or a zip.");
    asked = found;
    clear();
    say("Reading …", "busy");
    if (!model) await learn();
    const way = asked.some(isZip) ? archive : asked.length === 1 ? single : spells() ? word : several;
    const [seen, heard] = await way(asked, signal);
    signal.throwIfAborted();
    say(seen, "done", heard);
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (result.getBoundingClientRect().top > innerHeight / 2) status.scrollIntoView({ behavior });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Sentence)) console.error(error);
    say(error instanceof Sentence ? error.message : "Something went wrong in this page. Load it again.", "error");
  }
}

const spells = () => !$("spelling").hidden && $("spell").checked;

async function single([file], signal) {
  const { file: sent, note } = await fitted(file, model.limits, model.limits.image_bytes);
  say("Asking the model …", "busy");
  const given = await ask("predict", "image", [sent], signal);
  signal.throwIfAborted();
  result.replaceChildren(one(given, picture(sent, url(sent), signal)));
  const { answered, class_name: name, probability } = given;
  return [note, answered ? `${name}, ${percent(probability)}. ` : `Not sure. The best guess is ${name}. `];
}

/** What `one` takes to show a picture and its heat map. */
const picture = (file, address, signal) => ({
  name: file.name,
  url: address,
  explain: async (label) => url(await post(`explain?label=${label}`, "image", [file], signal)),
});

async function several(files, signal) {
  const list = grid();
  const answers = [];
  const notes = [];
  const most = Math.min(REQUEST.bytes, model.limits.request_bytes * 0.95); // a form adds a little to its files
  let [chunk, bytes] = [[], 0];
  const send = async () => {
    const { results } = await ask("predict_batch", "images", chunk, signal);
    signal.throwIfAborted();
    results.forEach((each, number) => {
      const shown = picture(chunk[number], url(chunk[number]), signal);
      list.append(card(each, shown.url, () => detail(each, shown)));
    });
    if (!answers.length) result.replaceChildren(list);
    answers.push(...results);
    say(`${answers.length} of ${files.length} …`, "busy");
  };
  for (const file of sorted(files)) {
    const { file: sent, note } = await fitted(file, model.limits, model.limits.image_bytes);
    signal.throwIfAborted();
    if (note) notes.push(note);
    if (chunk.length && (bytes + sent.size > most || chunk.length === REQUEST.images)) {
      await send();
      [chunk, bytes] = [[], 0];
    }
    chunk.push(sent);
    bytes += sent.size;
  }
  await send();
  return [summed(answers) + shrunk(notes), ""];
}

async function archive(files, signal) {
  if (files.length > 1) throw new Sentence("One zip at a time, or pictures alone.");
  const [{ name, size }] = files;
  const most = model.limits.request_bytes;
  if (size > most) throw new Sentence(`${name} has ${sized(size)}; at most ${sized(most)} are taken.`);
  say("Asking the model …", "busy");
  if (spells()) return read(await ask("spell", "archive", files, signal), [], [], signal);
  const { results } = await ask("predict_batch", "archive", files, signal);
  signal.throwIfAborted();
  const list = grid();
  list.append(...results.map((each) => card(each, null, () => detail(each, null))));
  result.replaceChildren(list);
  return [summed(results), ""];
}

async function word(files, signal) {
  const { request_bytes: whole, image_bytes: bytes } = model.limits;
  const share = Math.min(bytes, Math.floor((whole * 0.95) / files.length)); // the whole word has to fit one request
  const fits = [];
  for (const file of sorted(files)) fits.push(await fitted(file, model.limits, share));
  signal.throwIfAborted();
  say("Asking the model …", "busy");
  const sent = fits.map(({ file }) => file);
  return read(await ask("spell", "images", sent, signal), sent, fits.map(({ note }) => note).filter(Boolean), signal);
}

function read({ word: found, letters, errors }, sent, notes, signal) {
  signal.throwIfAborted();
  const shown = sent.map((file) => picture(file, url(file), signal));
  const open = (number) => detail(letters[number], shown[number] ?? null);
  result.replaceChildren(spelled(found, letters, shown.map((each) => each.url), open));
  const refused = errors ? `${errors} of ${letters.length} pictures refused.` : "";
  return [refused + shrunk(notes), `The pictures spell ${found.trim() || "no letter"}. `];
}

function detail(given, shown) {
  $("detail").querySelector(".answer")?.remove();
  $("detail").prepend(one(given, shown));
  $("detail").showModal();
}

function summed(answers) {
  const refused = answers.filter(({ error }) => error).length;
  const unsure = answers.filter(({ answered }) => answered === false).length;
  const parts = [`${answers.length - refused - unsure} answered`];
  if (unsure) parts.push(`${unsure} not sure`);
  if (refused) parts.push(`${refused} refused`);
  return `${answers.length} pictures: ${parts.join(", ")}.`;
}

const shrunk = (notes) =>
  notes.length > 1 ? ` ${notes.length} were shrunk before they were sent.` : notes.map((note) => ` ${note}`).join("");

async function openCamera() {
  const touch = matchMedia("(pointer: coarse)").matches;
  if (!navigator.mediaDevices && touch) return $("capture").click(); // a phone's own camera works without https
  say("Waiting for the camera …", "busy");
  try {
    await viewfinder.open(spells());
    say("");
  } catch (error) {
    say(error.message, "error");
  }
}

$("choose").addEventListener("click", () => $("files").click());
$("camera").addEventListener("click", openCamera);
$("detail").querySelector(".close").addEventListener("click", () => $("detail").close());
$("spell").addEventListener("change", () => asked.length > 1 && answer(asked));
for (const input of [$("files"), $("capture")]) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    if (files.length) answer(files);
  });
}
document.addEventListener("paste", (event) => answer([...event.clipboardData.files]));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  answer(dropped(event.dataTransfer));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});

learn().catch((error) => say(error.message, "error"));
