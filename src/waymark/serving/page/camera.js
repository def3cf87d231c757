// The camera: a square viewfinder that shows what will be sent, one picture at a time or several for a word.

import { Sentence } from "./service.js";

const INSECURE = "Browsers give the camera to pages over https and on this computer only. Choose a picture instead.";
const WHY = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser, or choose a picture.",
  NotFoundError: "This device has no camera that the browser can see. Choose a picture instead.",
  NotReadableError: "Another program holds the camera. Close it there and try again.",
};

export class Viewfinder {
  /** `dialog` is the element; `take` is called with the list of files when it was closed with pictures in it. */
  constructor(dialog, take) {
    this.dialog = dialog;
    [this.video, this.said, this.shoot, this.done] = ["video", "#shots", "#shoot", "#done"].map((each) =>
      dialog.querySelector(each),
    );
    this.shoot.addEventListener("click", () => this.#take());
    this.done.addEventListener("click", () => dialog.close("taken"));
    dialog.querySelector("#close").addEventListener("click", () => dialog.close(""));
    dialog.addEventListener("cancel", () => (dialog.returnValue = ""));
    dialog.addEventListener("close", () => {
      this.video.srcObject?.getTracks().forEach((track) => track.stop());
      this.video.srcObject = null;
      if (dialog.returnValue === "taken") take(this.files);
    });
  }

  /** Show what the camera sees. Throws a Sentence where there is none, or none is allowed. */
  async open(several) {
    if (!navigator.mediaDevices) throw new Sentence(INSECURE);
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      throw new Sentence(WHY[error.name] ?? "The camera did not start. Choose a picture instead.");
    }
    this.files = [];
    this.several = several;
    this.done.hidden = true;
    this.said.textContent = several ? "One picture a letter, in their order." : "";
    this.video.srcObject = stream;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.shoot.focus();
  }

  async #take() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const side = Math.min(width, height);
    if (!side) return; // the first frame is not there yet
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    canvas
      .getContext("2d")
      .drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, side, side);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    this.files.push(new File([blob], `camera ${this.files.length + 1}.jpg`, { type: blob.type }));
    if (!this.several) return this.dialog.close("taken");
    this.done.hidden = false;
    this.said.textContent = this.files.length === 1 ? "1 picture taken." : `${this.files.length} pictures taken.`;
  }
}
