// The search asks for each page that it found, to quote it. From a file a browser refuses that; the
// texts of all pages then come from pages.js.
if (location.protocol === "file:") {
  const unpacked = (async () => {
    const bytes = Uint8Array.from(atob(PAGES), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  })();
  const root = new URL(".", location.href).href;
  window.fetch = async (address) => {
    const page = new URL(address, location.href).href.slice(root.length);
    return new Response((await unpacked)[decodeURI(page)] ?? "");
  };
  document.addEventListener("DOMContentLoaded", () => { Search.htmlToText = (text) => text; });
}
