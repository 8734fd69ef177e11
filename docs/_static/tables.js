// Names of the API and of data sets break at dots and underscores only, and what is cut says so.
for (const link of document.querySelectorAll(".bd-sidebar-primary a, .bd-article :is(h1, h2)")) {
  for (const part of [...link.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)) {
    const pieces = part.data.split(/(?<=[._])/);
    part.replaceWith(...pieces.flatMap((piece, i) => (i ? [document.createElement("wbr"), piece] : [piece])));
  }
}
const tellCut = () => {
  for (const box of document.querySelectorAll(".pst-scrollable-table-container, .cell_output .output")) {
    box.classList.toggle("cut", box.scrollWidth > box.clientWidth + 1 && box.querySelector("table") !== null);
  }
};
addEventListener("load", tellCut);
addEventListener("resize", tellCut);
