// The bytes that advlib/book/packed.py packed: by gzip, in the letters of Python's base85.
const unpacked = async (text) => {
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
  const value = Object.fromEntries([...LETTERS].map((letter, i) => [letter, i]));
  const words = Math.ceil(text.length / 5); // five letters are four bytes
  const lacking = 5 * words - text.length; // as many letters of the last word as bytes
  const all = text + "~".repeat(lacking);
  const bytes = new DataView(new ArrayBuffer(4 * words));
  for (let i = 0; i < words; i++) {
    let word = 0;
    for (let k = 0; k < 5; k++) word = 85 * word + value[all[5 * i + k]];
    bytes.setUint32(4 * i, word);
  }
  const zipped = new Blob([bytes.buffer.slice(0, 4 * words - lacking)]).stream();
  return new Response(zipped.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};
