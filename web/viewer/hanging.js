// What Vitrine adds to the viewer's configuration, which the node writes before this: how mammograms are hung, and the way back to the study's page.
(() => {
  const first = (value) => (Array.isArray(value) ? value[0] : value);
  const image = (displaySet) => displaySet?.instances?.[0] ?? displaySet?.images?.[0];

  // View codes of CID 4014: in SNOMED CT, and as SNOMED RT wrote them before.
  const views = { 399162004: "CC", "R-10242": "CC", 399368009: "MLO", "R-10226": "MLO" };

  // viewOf says which of the four standard views an image is, as "RCC"; "" if it is none.
  function viewOf(displaySet) {
    const i = image(displaySet);
    if (!i || displaySet.Modality !== "MG") return "";
    const anatomy = first(first(i.SharedFunctionalGroupsSequence)?.FrameAnatomySequence);
    let side = first(i.ImageLaterality) || first(i.Laterality) || anatomy?.FrameLaterality || "";
    let view = views[first(i.ViewCodeSequence)?.CodeValue] || first(i.ViewPosition) || "";
    const words = String(i.SeriesDescription ?? "").toUpperCase();
    if (!/^(CC|MLO)$/.test(view)) view = words.match(/\b[RL]?(CC|MLO)\b/)?.[1] ?? "";
    if (!/^[RL]$/.test(side)) side = words.match(/\b([RL])\s?(?:CC|MLO)\b/)?.[1] ?? "";
    return view && side ? side + view : "";
  }

  // turned says how an image lies beside how it is hung: right breasts with the chest wall at the right and left ones at the left, so that they stand back to back;
  // the outer side above in CC, the head above in MLO. The orientation names where rows and columns lead to (PS3.3 C.7.6.1.1.1).
  function turned(displaySet) {
    const view = viewOf(displaySet);
    const [row, column] = image(displaySet)?.PatientOrientation ?? [];
    if (!view || !row || !column) return { across: false, down: false };
    const right = view[0] === "R";
    return {
      across: row.startsWith(right ? "A" : "P"),
      down: view.endsWith("CC") ? column.startsWith(right ? "R" : "L") : column.startsWith("H"),
    };
  }

  const rule = (attribute, constraint, weight, required = false) => ({ attribute, constraint, weight, required });

  // Of images of the same view, one for presentation, whole and not magnified is hung.
  const selector = (view, study) => ({
    studyMatchingRules: [{ attribute: "studyInstanceUIDsIndex", from: "options", required: true, constraint: { equals: { value: study } } }],
    seriesMatchingRules: [
      rule("vitrineView", { equals: { value: view } }, 100, true),
      rule("PresentationIntentType", { equals: { value: "FOR PRESENTATION" } }, 20),
      rule("vitrineModified", { equals: { value: false } }, 10),
      rule("isMultiFrame", { doesNotEqual: { value: true } }, 5),
    ],
  });

  const viewport = (id) => ({
    viewportOptions: {
      toolGroupId: "default",
      allowUnmatchedView: true,
      displayArea: { custom: "vitrineArea" },
      flipHorizontal: { custom: "vitrineFlip", defaultValue: false },
      rotation: { custom: "vitrineRotation", defaultValue: 0 },
    },
    displaySets: [{ id }],
  });

  const stage = (name, ids, rows, columns, enabled) => ({
    id: name,
    name,
    viewportStructure: { type: "grid", layoutType: "grid", properties: { rows, columns } },
    stageActivation: { enabled: { minViewportsMatched: enabled } },
    viewports: ids.map(viewport),
  });

  const four = ["RCC", "LCC", "RMLO", "LMLO"];
  const mammography = {
    id: "vitrine-mammography",
    name: "Mammography",
    numberOfPriorsReferenced: 1,
    protocolMatchingRules: [{ id: "mammography", weight: 150, attribute: "ModalitiesInStudy", constraint: { contains: "MG" }, required: true }],
    toolGroupIds: ["default"],
    displaySetSelectors: Object.fromEntries(four.flatMap((v) => [[v, selector(v, 0)], [v + " prior", selector(v, 1)]])),
    stages: [
      stage("Four views", four, 2, 2, 1),
      stage("CC with prior", ["RCC", "LCC", "RCC prior", "LCC prior"], 2, 2, 3),
      stage("MLO with prior", ["RMLO", "LMLO", "RMLO prior", "LMLO prior"], 2, 2, 3),
    ],
  };

  const extension = {
    id: "vitrine",
    preRegistration({ servicesManager }) {
      const hanging = servicesManager.services.hangingProtocolService;
      const of = (give) => (displaySets) => (displaySets?.[0] ? give(displaySets[0]) : undefined);
      hanging.addCustomAttribute("vitrineView", "mammographic view", viewOf);
      hanging.addCustomAttribute("vitrineModified", "magnified or spot view", (d) => Boolean(first(first(image(d)?.ViewCodeSequence)?.ViewModifierCodeSequence)));
      hanging.addCustomAttribute("vitrineFlip", "has to be mirrored", of((d) => turned(d).across !== turned(d).down));
      hanging.addCustomAttribute("vitrineRotation", "has to be turned", of((d) => (turned(d).down ? 180 : 0)));
      hanging.addCustomAttribute("vitrineArea", "chest wall at the middle of the screen", of((d) => {
        const view = viewOf(d);
        if (!view || turned(d).across || turned(d).down) return undefined;
        const edge = [view[0] === "R" ? 1 : 0, 0.5];
        return { storeAsInitialCamera: true, imageArea: [1, 1], imageCanvasPoint: { imagePoint: edge, canvasPoint: edge } };
      }));
    },
    getHangingProtocolModule: () => [{ name: mammography.id, protocol: mammography }],
  };
  window.config.extensions.push(extension);

  const query = new URLSearchParams(location.search);
  const collection = query.get("collection") ?? "";
  const study = (query.get("StudyInstanceUIDs") ?? "").split(",")[0];
  const known = /^[a-z0-9-]{1,63}$/.test(collection) && /^[0-9.]{1,64}$/.test(study);
  window.config.whiteLabeling = {
    createLogoComponentFn: (React) =>
      React.createElement("a", { href: known ? `/collections/${collection}/studies/${study}` : "/", className: "text-foreground text-base", title: "Back to Vitrine" }, known ? "← Study" : "← Vitrine"),
  };
})();
