// A link into the list opens the activity that it leads to. Without this, a click on its line does.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  const entry = target && target.closest("details");
  if (entry) { entry.open = true; entry.scrollIntoView({ block: "start" }); }
}
addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && link.getAttribute("href") === location.hash) openTarget();
});
openTarget();
