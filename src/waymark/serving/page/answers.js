// Answers as elements. Names of classes and files come from outside: they become text nodes, never markup.

const el = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

export function percent(probability) {
  if (probability > 0.9994) return "> 99.9 %";
  if (probability > 0 && probability < 0.0005) return "< 0.1 %";
  return `${(probability * 100).toFixed(1)} %`;
}

const short = (threshold) => `${+(threshold * 100).toFixed(1)} %`;

const NOT_SURE = "Not sure";

/** The class's own picture, or null for a model without any. */
export function classPicture(label, name) {
  if (label >= Number(document.documentElement.dataset.pictures)) return null;
  return el("img", { src: `app/classes/${label}.png`, alt: `Example of ${name}`, loading: "lazy" });
}

/** A picture as it was sent; where the browser cannot show its format, a word in its place. */
function preview(url, alt) {
  const image = el("img", { src: url, alt, decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(el("span", { class: "blank" }, "no preview")));
  return image;
}

function figure(picture, caption) {
  return el("figure", {}, picture, el("figcaption", {}, caption));
}

/** One answer in full; `explain(label)` gives the address of a heat map, and throws a sentence. */
export function one(answer, file, url, explain) {
  const sent = preview(url, `Your picture, ${file.name}`);
  const sentFigure = figure(sent, "Your picture");
  const known = classPicture(answer.label, answer.class_name);
  const pictures = el("div", { class: "pictures" }, sentFigure);
  if (known) pictures.append(figure(known, answer.answered ? "An example of the class" : "An example of the best guess"));

  const reading = el("div", { class: "reading" });
  if (answer.answered) {
    reading.append(el("h2", {}, answer.class_name), el("p", { class: "percent" }, percent(answer.probability)));
  } else {
    reading.append(
      el("div", { class: "doubt" }, el("span", { class: "warning", "aria-hidden": "true" }), el("h2", {}, NOT_SURE)),
      el("p", {}, doubt(answer)),
    );
  }
  reading.append(bars(answer), ...looked(answer, sentFigure, sent, explain));
  return el("article", { class: answer.answered ? "answer" : "answer unsure" }, pictures, reading);
}

function doubt({ class_name: name, probability, threshold }) {
  return (
    `The best guess is “${name}” with ${percent(probability)}. ` +
    `Under ${short(threshold)} the model is wrong too often to be trusted, so it leaves the answer open.`
  );
}

function bars({ top, threshold }) {
  const list = el("ol", { class: "bars" });
  for (const { class_name: name, probability } of top) {
    const track = el("span", { class: "track", "aria-hidden": "true" });
    track.style.setProperty("--share", probability);
    track.style.setProperty("--threshold", threshold);
    list.append(el("li", {}, el("span", { class: "name" }, name), el("span", { class: "share" }, percent(probability)), track));
  }
  const scale = el("p", { class: "hint" }, `The line marks ${short(threshold)}: from there on the model answers.`);
  return el("div", {}, list, scale);
}

/** The button that swaps the picture for the heat map and back. */
function looked(answer, where, sent, explain) {
  const button = el("button", { type: "button", "aria-pressed": "false" }, "Where did it look?");
  const said = el("p", { class: "hint", role: "status" });
  const caption = where.querySelector("figcaption");
  let map = null;
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy")) return;
    const showing = button.getAttribute("aria-pressed") === "true";
    if (!showing && !map) {
      button.setAttribute("aria-busy", "true");
      said.textContent = "Covering the picture part by part …";
      try {
        const alt = `Heat map of your picture: red where “${answer.class_name}” depends on it`;
        map = preview(await explain(answer.label), alt);
      } catch (error) {
        said.textContent = error.message;
        return;
      } finally {
        button.removeAttribute("aria-busy");
      }
    }
    where.firstElementChild.replaceWith(showing ? sent : map);
    caption.textContent = showing ? "Your picture" : "What the model sees";
    button.setAttribute("aria-pressed", String(!showing));
    said.textContent = showing ? "" : `Red: covering this part costs “${answer.class_name}” the most probability.`;
  });
  return [button, said];
}

/** An empty grid for answers to come. */
export const grid = () => el("ol", { class: "grid" });

/** One answer or named error of many; `url` is null for a member of a zip. */
export function card(answer, url) {
  const { name, error, class_name: best, probability, answered } = answer;
  const picture = url ? preview(url, "") : error ? null : classPicture(answer.label, best);
  const frame = el("div", { class: "thumb" }, picture ?? el("span", { class: "blank" }, error ? "refused" : "in the zip"));
  picture?.setAttribute("alt", ""); // the words beside it say the same
  const file = el("p", { class: "file", title: name }, name);
  if (error) return el("li", { class: "refused" }, frame, el("div", {}, el("p", { class: "error" }, sentence(error.message)), file));
  const doubtful = answered ? [] : [el("span", { class: "tag" }, NOT_SURE), " "];
  const said = el("p", { class: "best" }, ...doubtful, best);
  return el("li", {}, frame, el("div", {}, said, el("p", { class: "share" }, percent(probability)), file));
}

/** The word, and the letters that it was read from. */
export function letters(word, each, urls) {
  const row = el("ol", { class: "letters" });
  each.forEach((letter, number) => {
    const picture = urls[number] ? preview(urls[number], "") : null;
    const parts = letter.error
      ? [el("p", { class: "letter", "aria-label": "refused" }, "×"), el("p", { class: "error" }, sentence(letter.error.message))]
      : [el("p", { class: "letter" }, letter.class_name), el("p", { class: "share" }, percent(letter.probability))];
    if (!letter.error && !letter.answered) parts.push(el("p", { class: "tag" }, NOT_SURE));
    const thumb = el("div", { class: "thumb" }, picture ?? (letter.error ? "" : (classPicture(letter.label, "") ?? "")));
    thumb.firstElementChild?.setAttribute("alt", "");
    row.append(el("li", { class: letter.error ? "refused" : "" }, thumb, ...parts, el("p", { class: "file", title: letter.name }, letter.name)));
  });
  const read = word.trim() ? el("p", { class: "word" }, word) : el("p", { class: "word none" }, "no letters");
  return el("article", { class: "spelled" }, el("h2", { class: "hint" }, "The pictures spell"), read, row);
}

/** The model's identity and accuracy for the footer, as pairs of a term and its value. */
export function facts({ name, version, metrics, commit, changed }) {
  const accuracy = metrics ? `${(metrics.accuracy * 100).toFixed(2)} % of ${metrics.images.toLocaleString("en")} images` : "unknown";
  const state = commit ? commit.slice(0, 7) + (changed ? ", with changes" : "") : "unknown";
  const pairs = { Model: name, Version: version, "Accuracy on test": accuracy, Commit: state };
  return Object.entries(pairs).map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)));
}

/** A message of the service as a sentence: a capital first, a full stop last. */
export const sentence = (message) =>
  message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
