// Shows a phantom's head in three planes and as a rendering. The library is run when the viewer is first opened.
"use strict";
(() => {
  const holder = document.getElementById("volumes");
  const dialog = document.getElementById("viewer");
  if (!holder || !dialog) return;
  let data = null;
  let drawer = null;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  const unpacked = (text) =>
    new Response(new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"))).text();

  const start = async () => {
    data = JSON.parse(holder.textContent);
    const script = document.createElement("script");
    script.textContent = await unpacked(document.getElementById(data.library).textContent.trim());
    document.head.append(script);
    drawer = new niivue.Niivue({ backColor: [0, 0, 0, 1], crosshairColor: [0.9, 0.6, 0, 0.7], crosshairWidth: 1, logLevel: "error" });
    await drawer.attachToCanvas(dialog.querySelector("canvas"));
    drawer.setSliceType(drawer.sliceTypeMultiplanar);
    drawer.opts.multiplanarShowRender = niivue.SHOW_RENDER.ALWAYS;
    drawer.setMultiplanarLayout(niivue.MULTIPLANAR_TYPE.GRID);
  };

  const choose = () => {
    const wanted = dialog.querySelector("input:checked").value;
    drawer.volumes.forEach((volume, number) => drawer.setOpacity(number, volume.name === `${wanted}.nii.gz` ? 1 : 0));
    drawer.drawScene();
  };

  const open = async (anonymizer) => {
    const said = dialog.querySelector(".count");
    dialog.querySelector("h3").textContent = `${anonymizer}: a phantom's head in 3D`;
    dialog.showModal();
    said.textContent = "loading";
    try {
      if (!drawer) await start();
      while (drawer.volumes.length) drawer.removeVolume(drawer.volumes[0]);
      const heads = { released: data.released[anonymizer], reconstructed: data.reconstructed[anonymizer], original: data.original };
      for (const [name, url] of Object.entries(heads)) {
        dialog.querySelector(`input[value="${name}"]`).disabled = !url;
        if (url) await drawer.loadFromArrayBuffer(bytes(url.slice(url.indexOf(",") + 1)), `${name}.nii.gz`);
      }
      dialog.querySelector('input[value="released"]').checked = true;
      drawer.setRenderAzimuthElevation(150, 10);
      choose();
      said.textContent = data.who;
    } catch (error) {
      said.textContent = `This browser cannot draw it: ${error.message}`;
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.volume");
    if (button) open(button.dataset.anonymizer);
  });
  for (const choice of dialog.querySelectorAll("input")) choice.addEventListener("input", choose);
})();
