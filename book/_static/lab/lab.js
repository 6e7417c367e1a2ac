// The attack lab's page: asks the workers (engine.js) and draws what they answer. It needs
// JavaScript with workers and DecompressionStream, which browsers have had since 2023.
const LAB = (() => {
  const waiting = { network: {} }; // what the scripts of build and book bring
  const here = document.currentScript.src;
  const script = (name) => new Promise((done, failed) => {
    const address = new URL(name, here).href;
    document.head.append(Object.assign(document.createElement("script"), { src: address, onload: done, onerror: failed }));
  });

  // A worker as a function of a task: answers come in the order of the questions.
  const helper = () => {
    const text = `(${labEngine})()`;
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    const open = new Map();
    let last = 0;
    worker.onmessage = ({ data: { id, done, failed } }) => {
      const [resolve, reject] = open.get(id);
      open.delete(id);
      failed ? reject(new Error(failed)) : resolve(done);
    };
    return (task, given) => new Promise((resolve, reject) => {
      open.set(++last, [resolve, reject]);
      worker.postMessage({ id: last, task, ...given });
    });
  };

  const helpers = typeof Worker === "undefined" || typeof DecompressionStream === "undefined" ? [] : [helper(), helper()];
  const [one, many] = helpers; // for the image in view, and for the count
  const loaded = {};
  const BASE = "undefended"; // the others are packed as what differs from it
  const load = (name) => (loaded[name] ??= (async () => {
    if (name !== BASE) await load(BASE);
    await script(`network-${name}.js`);
    const planes = new Uint8Array(await unpacked(waiting.network[name]));
    delete waiting.network[name];
    await Promise.all(helpers.map((ask) => ask("load", { name, planes })));
  })());

  // The names of the networks, by their keys, and the images.
  const data = async () => {
    await script("data.js");
    const { titles, labels, pixels } = waiting.data;
    const bytes = new Uint8Array(await unpacked(pixels));
    const area = 28 * 28;
    const digits = [...labels].map((label, n) => ({
      label: Number(label),
      image: Float32Array.from(bytes.subarray(n * area, (n + 1) * area), (value) => Math.fround(value / 255)),
    }));
    return { titles, digits };
  };
  return { waiting, helpers, one, many, load, data };
})();

document.addEventListener("DOMContentLoaded", async () => {
  const lab = document.getElementById("lab");
  if (!lab) return;
  const at = (name) => lab.querySelector(`[data-lab=${name}]`);
  const say = (text) => { at("status").textContent = text; };
  if (!LAB.helpers.length) {
    say("This browser lacks workers or DecompressionStream, which the lab needs. The picture below shows the same steps.");
    return;
  }
  const controls = Object.fromEntries(["net", "attack", "on", "gradient", "eps", "gamma"].map((name) => [name, at(name)]));
  const { titles, digits } = await LAB.data();
  const names = Object.keys(titles);
  controls.net.append(...names.map((name) => new Option(titles[name], name)));
  let [chosen, drawn, turn] = [0, null, 0];

  const subject = () => drawn ?? digits[chosen];
  const settings = () => {
    const { net, attack, on, gradient, eps, gamma } = controls;
    const how = attack.value === "jsma" ? { gamma: Number(gamma.value) }
      : { eps: Number(eps.value), gradient: gradient.value, step: 2.5 * Number(eps.value) / 40, steps: 40 };
    return { net: net.value, attack: attack.value, on: on.value === "static" ? "undefended" : net.value, how };
  };

  // Drawing
  const grey = (value) => [value, value, value];
  const warm = (change) => (change >= 0 ? [255, 255 * (1 - change), 255 * (1 - change)] : [255 * (1 + change), 255 * (1 + change), 255]);
  const paint = (canvas, values, colour) => {
    const picture = canvas.getContext("2d").createImageData(28, 28);
    values.forEach((value, n) => picture.data.set([...colour(value), 255], 4 * n));
    canvas.getContext("2d").putImageData(picture, 0, 0);
  };
  const softmax = (logits) => {
    const most = Math.max(...logits);
    const powers = [...logits].map((logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  };
  const guess = (logits) => logits.indexOf(Math.max(...logits));
  const bars = (table, logits, label) => {
    softmax(logits).forEach((share, k) => {
      const row = table.rows[k];
      row.className = k === label ? "true" : "";
      row.querySelector("meter").value = share;
      row.cells[2].textContent = `${(100 * share).toFixed(0)} %`;
    });
  };
  at("before").innerHTML = at("after").innerHTML = [...Array(10).keys()]
    .map((k) => `<tr><th scope="row">${k}</th><td><meter min="0" max="1" aria-label="class ${k}"></meter></td><td></td></tr>`).join("");
  at("others").innerHTML = names
    .map((name) => `<tr data-net="${name}"><th scope="row">${titles[name]}</th><td></td><td></td></tr>`).join("");

  const show = (image, label, answer, clean, { net, on, attack, how }) => {
    paint(at("image"), image.map((value) => 255 * value), grey);
    paint(at("adversarial"), answer.adversarial.map((value) => 255 * value), grey);
    const scale = attack === "jsma" ? 1 : how.eps || 1;
    paint(at("change"), answer.adversarial.map((value, n) => (value - image[n]) / scale), warm);
    bars(at("before"), clean[net], label);
    bars(at("after"), answer.logits[net], label);
    for (const row of at("others").rows) {
      const name = row.dataset.net;
      [clean[name], answer.logits[name]].forEach((logits, n) => {
        const right = guess(logits) === label;
        row.cells[n + 1].textContent = `${right ? "✓" : "✗"} ${guess(logits)}`;
        row.cells[n + 1].className = right ? "right" : "wrong";
      });
    }
    const whose = on === net ? "that network itself" : "the undefended network";
    const verdict = guess(answer.logits[net]) === label ? "still says" : "now says";
    say(`A ${label}, crafted on ${whose}: the ${titles[net]} ${verdict} ${guess(answer.logits[net])}.`);
  };

  const seen = new Map(); // each network's logits of the images as they are
  const cleanLogits = async (image) => {
    if (!seen.has(image)) {
      const all = await Promise.all(names.map((on) => LAB.one("logits", { on, image })));
      seen.set(image, Object.fromEntries(names.map((name, n) => [name, all[n]])));
    }
    return seen.get(image);
  };

  // One image at once, then the count over all of them, until something else is asked for.
  const refresh = async () => {
    const mine = ++turn;
    const now = settings();
    keepAddress(now);
    for (const row of lab.querySelectorAll("[data-for]")) {
      row.hidden = row.dataset.for === "jsma" ? now.attack !== "jsma" : now.attack === "jsma";
    }
    at("eps-now").textContent = controls.eps.value;
    at("gamma-now").textContent = controls.gamma.value;
    await Promise.all(names.map(LAB.load));
    if (mine !== turn) return;
    const { image, label } = subject();
    const began = performance.now();
    const ask = { on: now.on, shown: names, attack: now.attack, how: now.how };
    const [answer, clean] = await Promise.all([LAB.one("attack", { ...ask, image, label }), cleanLogits(image)]);
    if (mine !== turn) return;
    show(image, label, answer, clean, now);
    lab.dataset.milliseconds = (performance.now() - began).toFixed(0);
    lab.dataset.shown = JSON.stringify(now);
    await count(mine, now, ask);
  };

  const count = async (mine, { net }, ask) => {
    let right = 0;
    for (const [n, { image, label }] of digits.entries()) {
      const { logits } = await LAB.many("attack", { ...ask, shown: [net], image, label });
      if (mine !== turn) return;
      right += guess(logits[net]) === label;
      at("count").value = right;
      at("counted").textContent = `${right} of ${n + 1} images`;
      at("count").setAttribute("aria-label", `right: ${right} of ${n + 1}`);
    }
    lab.dataset.counted = right;
  };

  // The address says what is shown: lab.html#net=distilled&attack=fgsm&on=static&eps=0.3
  const keepAddress = ({ attack }) => {
    delete lab.dataset.counted;
    const kept = ["net", "attack", "on", ...(attack === "jsma" ? ["gamma"] : ["gradient", "eps"])];
    const hash = kept.map((name) => `${name}=${controls[name].value}`).join("&");
    history.replaceState(null, "", `#${hash}${drawn ? "" : `&image=${chosen}`}`);
  };
  const readAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1) || location.search);
    for (const [name, control] of Object.entries(controls)) {
      const before = control.value;
      if (asked.has(name)) control.value = asked.get(name);
      if (control.value === "") control.value = before; // no such choice
    }
    const number = Number(asked.get("image") ?? chosen);
    if (digits[number]) choose(number);
  };

  // The images to pick from
  const choose = (number) => {
    [chosen, drawn] = [number, null];
    for (const button of at("digits").children) button.setAttribute("aria-pressed", Number(button.value) === number);
  };
  digits.forEach(({ image, label }, number) => {
    const button = Object.assign(document.createElement("button"), { type: "button", value: number });
    button.setAttribute("aria-label", `image ${number + 1}, a ${label}`);
    const canvas = Object.assign(document.createElement("canvas"), { width: 28, height: 28 });
    paint(canvas, image.map((value) => 255 * value), grey);
    button.append(canvas);
    button.addEventListener("click", () => { choose(number); refresh(); });
    at("digits").append(button);
  });

  // A digit of one's own: as MNIST's were made, its strokes in 20 by 20 pixels, centred by weight.
  const board = at("board");
  const pen = board.getContext("2d");
  const clear = () => { pen.fillStyle = "black"; pen.fillRect(0, 0, board.width, board.height); };
  const centred = () => {
    const size = board.width;
    const ink = pen.getImageData(0, 0, size, size).data.filter((_, n) => n % 4 === 0);
    const inked = [...ink.keys()].filter((n) => ink[n] > 0);
    if (!inked.length) return null;
    const [xs, ys] = [inked.map((n) => n % size), inked.map((n) => Math.floor(n / size))];
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const side = Math.max(Math.max(...xs) - left, Math.max(...ys) - top) + 1;
    const weight = inked.reduce((sum, n) => sum + ink[n], 0);
    const mean = (places) => inked.reduce((sum, n, i) => sum + places[i] * ink[n], 0) / weight;
    const small = Object.assign(document.createElement("canvas"), { width: 28, height: 28 }).getContext("2d");
    const scale = 20 / side;
    small.fillRect(0, 0, 28, 28);
    small.imageSmoothingQuality = "high";
    small.drawImage(board, 14 - scale * mean(xs), 14 - scale * mean(ys), scale * size, scale * size);
    return Float32Array.from(small.getImageData(0, 0, 28, 28).data.filter((_, n) => n % 4 === 0), (value) => Math.fround(value / 255));
  };
  const place = ({ offsetX, offsetY }) => [offsetX, offsetY].map((value) => value * board.width / board.clientWidth);
  board.addEventListener("pointerdown", (event) => {
    board.setPointerCapture(event.pointerId);
    Object.assign(pen, { lineWidth: 18, lineCap: "round", lineJoin: "round", strokeStyle: "white" });
    pen.beginPath();
    pen.moveTo(...place(event));
  });
  board.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    pen.lineTo(...place(event));
    pen.stroke();
  });
  const useDrawn = () => {
    const image = centred();
    if (!image) return;
    drawn = { image, label: Number(at("label").value) };
    for (const button of at("digits").children) button.setAttribute("aria-pressed", false);
    refresh();
  };
  board.addEventListener("pointerup", useDrawn);
  at("label").addEventListener("change", () => { if (drawn) useDrawn(); });
  at("clear").addEventListener("click", clear);
  clear();

  for (const control of Object.values(controls)) control.addEventListener("input", refresh);
  window.addEventListener("hashchange", () => { readAddress(); refresh(); });
  at("tools").hidden = false;
  say("Loading the networks …");
  choose(0);
  readAddress();
  await refresh();
});
