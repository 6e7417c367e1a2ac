// The lab's arithmetic, as a worker: the base CNN of paper 002 on MNIST, forward and back to the
// pixels, and the attacks of advlib on one image. lab.js starts the worker from this function's
// text, since a browser starts none from a file. Sums are float64, so that rounding chooses neither
// the sign of a gradient nor a pool's largest value; images, logits and losses are float32.
//
// The network (advlib/networks/cnns.py): normalise, 5x5 convolution to 32 channels, pool by 2,
// ReLU, 3x3 convolution to 64, pool, ReLU, 3136 to 32, ReLU, 32 to 10.
const labEngine = () => {
  const [SIDE, C1, C2, HIDDEN, CLASSES] = [28, 32, 64, 32, 10];
  const [S1, S2] = [SIDE / 2, SIDE / 4]; // sides after each pool
  const [P0, P1] = [SIDE + 4, S1 + 2]; // sides with the padding of each convolution
  const SIZES = [1, 1, C1 * 25, C1, C2 * C1 * 9, C2, HIDDEN * C2 * S2 * S2, HIDDEN, CLASSES * HIDDEN, CLASSES];
  const EDGE = 0.01; // less room than this counts as none to JSMA
  const TIE = 1e-12; // rounding: a pool takes the first of its largest values, as torch does

  // Float32 parameters in their order, whose bytes stand plane by plane: the first byte of each is 0
  // and left out; then all second bytes, all third, all fourth. All but the first network come as the
  // bits in which they differ from it.
  let first = null;
  const read = (planes) => {
    if (first === null) first = planes;
    else planes.forEach((byte, i) => (planes[i] = byte ^ first[i]));
    const count = planes.length / 3;
    const plain = new Uint8Array(4 * count);
    for (let i = 0; i < planes.length; i++) plain[4 * (i % count) + 1 + Math.floor(i / count)] = planes[i];
    const all = Float64Array.from(new Float32Array(plain.buffer));
    let end = 0;
    return network(SIZES.map((size) => all.subarray(end, (end += size))));
  };

  const network = ([mean, std, w1, b1, w2, b2, w3, b3, w4, b4]) => {
    const padded = new Float64Array(P0 * P0);
    const pooled1 = new Float64Array(C1 * P1 * P1); // padded for the next convolution
    const pooled2 = new Float64Array(C2 * S2 * S2);
    const from1 = new Int16Array(C1 * S1 * S1); // which pixel each pool took; -1 where the ReLU is shut
    const from2 = new Int16Array(C2 * S2 * S2);
    const hidden = new Float64Array(HIDDEN);
    const plane = new Float64Array(S1 * S1);

    const logits = (image) => {
      for (let y = 0; y < SIDE; y++) {
        for (let x = 0; x < SIDE; x++) {
          padded[(y + 2) * P0 + x + 2] = (image[y * SIDE + x] - mean[0]) / std[0];
        }
      }
      for (let c = 0; c < C1; c++) firstConvolution(c);
      for (let c = 0; c < C2; c++) secondConvolution(c);
      for (let h = 0; h < HIDDEN; h++) {
        let sum = b3[h];
        for (let i = 0, at = h * pooled2.length; i < pooled2.length; i++) sum += w3[at + i] * pooled2[i];
        hidden[h] = Math.max(0, sum);
      }
      const out = new Float32Array(CLASSES);
      for (let k = 0; k < CLASSES; k++) {
        let sum = b4[k];
        for (let h = 0; h < HIDDEN; h++) sum += w4[k * HIDDEN + h] * hidden[h];
        out[k] = sum;
      }
      return out;
    };

    const firstConvolution = (c) => {
      for (let y = 0; y < S1; y++) {
        for (let x = 0; x < S1; x++) {
          let [best, place] = [-Infinity, 0];
          for (let corner = 0; corner < 4; corner++) {
            const [cy, cx] = [2 * y + (corner >> 1), 2 * x + (corner & 1)];
            let sum = b1[c];
            for (let ky = 0, w = c * 25; ky < 5; ky++, w += 5) {
              const at = (cy + ky) * P0 + cx;
              sum += w1[w] * padded[at] + w1[w + 1] * padded[at + 1] + w1[w + 2] * padded[at + 2]
                + w1[w + 3] * padded[at + 3] + w1[w + 4] * padded[at + 4];
            }
            if (sum > best + TIE) [best, place] = [sum, cy * SIDE + cx];
          }
          pooled1[c * P1 * P1 + (y + 1) * P1 + x + 1] = Math.max(0, best);
          from1[(c * S1 + y) * S1 + x] = best > 0 ? place : -1;
        }
      }
    };

    const secondConvolution = (c) => {
      plane.fill(b2[c]);
      for (let i = 0; i < C1; i++) {
        const w = (c * C1 + i) * 9;
        const a0 = w2[w], a1 = w2[w + 1], a2 = w2[w + 2], a3 = w2[w + 3], a4 = w2[w + 4];
        const a5 = w2[w + 5], a6 = w2[w + 6], a7 = w2[w + 7], a8 = w2[w + 8];
        for (let y = 0, n = 0; y < S1; y++) {
          let at = i * P1 * P1 + y * P1;
          let p0 = pooled1[at], p1 = pooled1[at + 1];
          let p3 = pooled1[at + P1], p4 = pooled1[at + P1 + 1];
          let p6 = pooled1[at + 2 * P1], p7 = pooled1[at + 2 * P1 + 1];
          for (let x = 0; x < S1; x += 2, at += 2, n += 2) {
            const p2 = pooled1[at + 2], q2 = pooled1[at + 3];
            const p5 = pooled1[at + P1 + 2], q5 = pooled1[at + P1 + 3];
            const p8 = pooled1[at + 2 * P1 + 2], q8 = pooled1[at + 2 * P1 + 3];
            plane[n] += a0 * p0 + a1 * p1 + a2 * p2 + a3 * p3 + a4 * p4 + a5 * p5 + a6 * p6 + a7 * p7 + a8 * p8;
            plane[n + 1] += a0 * p1 + a1 * p2 + a2 * q2 + a3 * p4 + a4 * p5 + a5 * q5 + a6 * p7 + a7 * p8 + a8 * q8;
            p0 = p2; p1 = q2; p3 = p5; p4 = q5; p6 = p8; p7 = q8;
          }
        }
      }
      for (let y = 0; y < S2; y++) {
        for (let x = 0; x < S2; x++) {
          let place = 2 * y * S1 + 2 * x;
          for (const other of [place + 1, place + S1, place + S1 + 1]) if (plane[other] > plane[place] + TIE) place = other;
          pooled2[(c * S2 + y) * S2 + x] = Math.max(0, plane[place]);
          from2[(c * S2 + y) * S2 + x] = plane[place] > 0 ? place : -1;
        }
      }
    };

    // The gradient at the pixels of the image that `logits` saw last, from that at the logits.
    const back = (atLogits) => {
      const atPooled2 = new Float64Array(pooled2.length);
      for (let h = 0; h < HIDDEN; h++) {
        if (!(hidden[h] > 0)) continue;
        let sum = 0;
        for (let k = 0; k < CLASSES; k++) sum += w4[k * HIDDEN + h] * atLogits[k];
        for (let i = 0, at = h * pooled2.length; i < pooled2.length; i++) atPooled2[i] += w3[at + i] * sum;
      }
      const atPooled1 = new Float64Array(pooled1.length);
      for (let c = 0, j = 0; c < C2; c++) {
        for (let n = 0; n < S2 * S2; n++, j++) {
          const gradient = atPooled2[j];
          if (from2[j] < 0 || gradient === 0) continue;
          const corner = Math.floor(from2[j] / S1) * P1 + (from2[j] % S1);
          for (let i = 0, w = c * C1 * 9; i < C1; i++, w += 9) {
            const at = i * P1 * P1 + corner;
            for (let k = 0; k < 9; k++) atPooled1[at + Math.floor(k / 3) * P1 + (k % 3)] += w2[w + k] * gradient;
          }
        }
      }
      const atPadded = new Float64Array(padded.length);
      for (let c = 0, j = 0; c < C1; c++) {
        for (let n = 0; n < S1 * S1; n++, j++) {
          const gradient = atPooled1[c * P1 * P1 + (Math.floor(n / S1) + 1) * P1 + (n % S1) + 1];
          if (from1[j] < 0 || gradient === 0) continue;
          const corner = Math.floor(from1[j] / SIDE) * P0 + (from1[j] % SIDE);
          for (let k = 0; k < 25; k++) atPadded[corner + Math.floor(k / 5) * P0 + (k % 5)] += w1[c * 25 + k] * gradient;
        }
      }
      return Float32Array.from({ length: SIDE * SIDE }, (_, n) =>
        atPadded[(Math.floor(n / SIDE) + 2) * P0 + (n % SIDE) + 2] / std[0]);
    };
    return { logits, back };
  };

  const best = (values) => values.reduce((top, value, k) => (value > values[top] ? k : top), 0);

  // The cross-entropy's gradient at the logits (advlib/attacks/losses.py): `exact` is divided by
  // 1 - p(label), so that it cannot vanish; `float32` is p - [the class is the label] as computed.
  const LOSSES = {
    exact: (logits, label) => {
      const others = logits.map((logit, k) => (k === label ? -Infinity : logit));
      const p = softmax(others);
      p[label] = -1;
      return p;
    },
    float32: (logits, label) => {
      const p = softmax(logits);
      p[label] = Math.fround(p[label] - 1);
      return p;
    },
  };

  const softmax = (logits) => {
    const most = Math.max(...logits);
    const powers = Float32Array.from(logits, (logit) => Math.exp(Math.fround(logit - most)));
    const sum = Math.fround(powers.reduce((a, b) => a + b, 0));
    return powers.map((power) => power / sum);
  };

  const climb = (net, image, label, { eps, step, steps, gradient }) => {
    const [radius, stride] = [Math.fround(eps), Math.fround(step)];
    const lower = image.map((pixel) => Math.max(0, Math.fround(pixel - radius)));
    const upper = image.map((pixel) => Math.min(1, Math.fround(pixel + radius)));
    let moved = image;
    for (let n = 0; n < steps; n++) {
      const slope = net.back(LOSSES[gradient](net.logits(moved), label));
      moved = moved.map((pixel, i) =>
        Math.min(upper[i], Math.max(lower[i], Math.fround(pixel + Math.sign(slope[i]) * stride))));
    }
    return moved;
  };

  // Away from the label, by the logits: each step whitens the pair of pixels that raises all other
  // classes' sum and lowers the label's most (advlib/attacks/jsma.py).
  const jsma = (net, image, label, { gamma }) => {
    const moved = Float32Array.from(image);
    const steps = Math.floor(gamma * moved.length / 2 + 1e-9);
    for (let n = 0; n < steps; n++) {
      if (best(net.logits(moved)) !== label) break;
      const own = net.back(Float32Array.from({ length: CLASSES }, (_, k) => (k === label ? 1 : 0)));
      const all = net.back(new Float32Array(CLASSES).fill(1));
      const free = [...moved.keys()].filter((i) => moved[i] < 1 - EDGE);
      const rise = free.map((i) => Math.fround(all[i] - own[i]));
      const fall = free.map((i) => -own[i]);
      let [most, pair] = [0, null];
      for (let p = 0; p < free.length; p++) {
        for (let q = p + 1; q < free.length; q++) {
          const [up, down] = [rise[p] + rise[q], fall[p] + fall[q]];
          if (up > 0 && down > 0 && up * down > most) [most, pair] = [up * down, [free[p], free[q]]];
        }
      }
      if (!pair) break;
      for (const i of pair) moved[i] = 1;
    }
    return moved;
  };

  const ATTACKS = {
    fgsm: (net, image, label, how) => climb(net, image, label, { ...how, step: how.eps, steps: 1 }),
    pgd: climb,
    jsma,
  };

  const networks = {};
  const TASKS = {
    load: ({ name, planes }) => void (networks[name] = read(planes)),
    logits: ({ on, image }) => networks[on].logits(image),
    gradient: ({ on, image, label, gradient }) =>
      networks[on].back(LOSSES[gradient](networks[on].logits(image), label)),
    // The image crafted on one network, and the logits of those that it is shown to.
    attack: ({ on, shown, image, label, attack, how }) => {
      const adversarial = ATTACKS[attack](networks[on], image, label, how);
      return { adversarial, logits: Object.fromEntries(shown.map((name) => [name, networks[name].logits(adversarial)])) };
    },
  };
  self.onmessage = ({ data: { id, task, ...given } }) => {
    try {
      self.postMessage({ id, done: TASKS[task](given) });
    } catch (error) {
      self.postMessage({ id, failed: String(error) });
    }
  };
};
