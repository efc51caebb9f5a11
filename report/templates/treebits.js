// Opens and closes the steps of log.html.
"use strict";
const show = (toggle, isOpen) => {
  toggle.textContent = isOpen ? "-" : "+";
  toggle.parentElement.querySelector(":scope > ul.nesting").style.display = isOpen ? "" : "none";
};
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.logTreeToggle, a.logTreeExpandAll, a.logTreeCollapseAll");
  if (!link) return;
  event.preventDefault();
  if (link.classList.contains("logTreeToggle")) return show(link, link.textContent === "+");
  const isOpen = link.classList.contains("logTreeExpandAll");
  for (const toggle of document.querySelectorAll("a.logTreeToggle")) show(toggle, isOpen);
});
