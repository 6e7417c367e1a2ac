// The search asks for each page that it found, to quote it. From a file a browser refuses that; the
// texts of all pages then come from pages.js.
if (location.protocol === "file:") {
  const texts = unpacked(PAGES).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  const root = new URL(".", location.href).href;
  window.fetch = async (address) => {
    const page = new URL(address, location.href).href.slice(root.length);
    return new Response((await texts)[decodeURI(page)] ?? "");
  };
  document.addEventListener("DOMContentLoaded", () => { Search.htmlToText = (text) => text; });
}
