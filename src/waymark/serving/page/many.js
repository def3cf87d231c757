// Answers to several pictures: a grid of cards, or a word with its letters. Each opens the answer in full.

import { classPicture, el, percent, preview } from "./answers.js";
import { sentence } from "./service.js";

export const grid = () => el("ol", { class: "grid" });

/** One answer or named error; `url` is null for a member of a zip, `open` shows the answer in full. */
export function card(answer, url, open) {
  const said = answer.error ? refusal(answer) : [opener(answer.class_name, open), doubt(answer), share(answer)];
  return el("li", { class: answer.error ? "refused" : "" }, thumb(answer, url), el("div", {}, ...said, file(answer)));
}

/** The word, and the letters that it was read from. `urls` is empty for a zip. */
export function spelled(word, letters, urls, open) {
  const row = el("ol", { class: "letters" });
  letters.forEach((letter, number) => {
    const said = letter.error
      ? refusal(letter)
      : [opener(letter.class_name, () => open(number)), share(letter), doubt(letter)];
    const kind = letter.error ? "refused" : [...letter.class_name].length > 1 ? "long" : "";
    row.append(el("li", { class: kind }, thumb(letter, urls[number] ?? null), ...said, file(letter)));
  });
  const read = word.trim() ? el("p", { class: "word" }, word) : el("p", { class: "word none" }, "no letter");
  return el("article", { class: "spelled" }, el("h2", { class: "hint" }, "The pictures spell"), read, row);
}

const refusal = ({ error }) => [el("p", { class: "error" }, sentence(error.message))];
const share = ({ probability }) => el("p", { class: "share" }, percent(probability));
const doubt = ({ answered }) => (answered ? "" : el("p", { class: "tag" }, "Not sure"));
const file = ({ name }) => el("p", { class: "file", title: name }, name);

function opener(name, open) {
  const button = el("button", { type: "button", class: "opener", "aria-haspopup": "dialog" }, name);
  button.addEventListener("click", open);
  return button;
}

/** The picture small, without words for a reader: its name and its class stand beside it. */
function thumb({ error, label }, url) {
  const picture = url ? preview(url, "") : error ? null : classPicture(label, "");
  return el("div", { class: "thumb" }, picture ?? el("span", { class: "blank" }, "no preview"));
}
