package portal

import (
	"html/template"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Where a collection has no pictures to show, its glass holds a drawing of what kind of images it has. A drawing is plainly one: nobody takes it for a scan.

// motifs are drawn on a field of 94 by 94: s is a stroke, f a fill, b a brighter one.
var motifs = map[string]string{
	"breast": `<path class="f" d="M0 10C44 10 72 30 74 47 72 64 44 84 0 84z"/><path class="s" d="M0 10C44 10 72 30 74 47 72 64 44 84 0 84"/>` +
		`<ellipse class="f" cx="28" cy="42" rx="24" ry="20"/><ellipse class="f" cx="20" cy="58" rx="17" ry="13"/><path class="s thin" d="M6 40c18-6 34-4 62 6M4 52c20 2 38 0 64-5M8 64c16-4 30-9 52-16"/><circle class="b" cx="36" cy="38" r="2.600"/>`,
	"chest": `<path class="f" d="M47 17c24 0 41 10 41 30S71 78 47 78 6 67 6 47s17-30 41-30z"/><path class="s" d="M47 17c24 0 41 10 41 30S71 78 47 78 6 67 6 47s17-30 41-30z"/>` +
		`<path class="k" d="M40 28C22 26 13 36 14 49c1 12 9 19 20 17 8-2 8-9 7-16-1-8 3-14-1-22zM54 28c18-2 27 8 26 21-1 12-9 19-20 17-8-2-8-9-7-16 1-8-3-14 1-22z"/>` +
		`<path class="s thin" d="M40 28C22 26 13 36 14 49c1 12 9 19 20 17 8-2 8-9 7-16-1-8 3-14-1-22zM54 28c18-2 27 8 26 21-1 12-9 19-20 17-8-2-8-9-7-16 1-8-3-14 1-22z"/>` +
		`<circle class="b" cx="47" cy="69" r="5"/><circle class="f" cx="50" cy="45" r="8"/><circle class="b" cx="26" cy="44" r="1.800"/><circle class="b" cx="66" cy="52" r="2.400"/>`,
	"head": `<ellipse class="f" cx="47" cy="47" rx="30" ry="37"/><ellipse class="s" cx="47" cy="47" rx="30" ry="37"/><ellipse class="s thin" cx="47" cy="47" rx="26" ry="33"/><path class="s thin" d="M47 14v66"/>` +
		`<path class="k" d="M45 33c-8 2-9 10-5 14 3 3 4 8 3 14l3-3V36zM49 33c8 2 9 10 5 14-3 3-4 8-3 14l-3-3V36z"/><path class="s thin" d="M30 24c5 3 5 8 2 12M64 24c-5 3-5 8-2 12M27 52c5 0 8 4 7 9M67 52c-5 0-8 4-7 9M35 71c3-4 7-4 9 0M59 71c-3-4-7-4-9 0"/><circle class="b" cx="61" cy="41" r="4"/>`,
	"body": `<path class="f" d="M47 5c5 0 8 4 8 9s-2 8-2 10c9 2 17 5 19 14l4 26-5 2-7-24-2 18 2 34H30l2-34-2-18-7 24-5-2 4-26c2-9 10-12 19-14 0-2-2-5-2-10s3-9 8-9z"/>` +
		`<path class="s thin" d="M47 5c5 0 8 4 8 9s-2 8-2 10c9 2 17 5 19 14l4 26-5 2-7-24-2 18 2 34H30l2-34-2-18-7 24-5-2 4-26c2-9 10-12 19-14 0-2-2-5-2-10s3-9 8-9z"/><ellipse class="f" cx="47" cy="13" rx="5" ry="6"/><circle class="b" cx="40" cy="42" r="3.200"/><circle class="b" cx="54" cy="35" r="2"/><ellipse class="f" cx="41" cy="56" rx="6" ry="4"/><ellipse class="b" cx="47" cy="82" rx="4" ry="3"/>`,
	"slide": `<g class="s thin"><circle cx="22" cy="24" r="13"/><circle cx="22" cy="24" r="7"/><circle cx="62" cy="18" r="11"/><circle cx="62" cy="18" r="5.500"/><circle cx="44" cy="52" r="14"/><circle cx="44" cy="52" r="7.500"/><circle cx="78" cy="50" r="10"/><circle cx="78" cy="50" r="5"/><circle cx="16" cy="72" r="11"/><circle cx="16" cy="72" r="5"/><circle cx="68" cy="80" r="12"/><circle cx="68" cy="80" r="6"/></g>` +
		`<g class="b"><circle cx="12" cy="18" r="1.600"/><circle cx="30" cy="17" r="1.600"/><circle cx="32" cy="28" r="1.600"/><circle cx="15" cy="33" r="1.600"/><circle cx="55" cy="12" r="1.500"/><circle cx="69" cy="22" r="1.500"/><circle cx="56" cy="25" r="1.500"/><circle cx="33" cy="46" r="1.700"/><circle cx="54" cy="44" r="1.700"/><circle cx="52" cy="62" r="1.700"/><circle cx="36" cy="61" r="1.700"/><circle cx="84" cy="44" r="1.500"/><circle cx="72" cy="56" r="1.500"/><circle cx="9" cy="66" r="1.500"/><circle cx="23" cy="78" r="1.500"/><circle cx="60" cy="73" r="1.600"/><circle cx="76" cy="86" r="1.600"/><circle cx="40" cy="14" r="1.200"/><circle cx="88" cy="28" r="1.200"/><circle cx="36" cy="80" r="1.200"/><circle cx="6" cy="48" r="1.200"/><circle cx="90" cy="70" r="1.200"/></g>`,
	"fan":    `<path class="f" d="M35 8h24l30 62c-22 20-62 20-84 0z"/><path class="s" d="M35 8h24l30 62c-22 20-62 20-84 0z"/><path class="s thin" d="M31 17c10 4 22 4 32 0M24 31c14 7 32 7 46 0M17 46c18 9 42 9 60 0M10 60c22 12 52 12 74 0"/><ellipse class="k" cx="45" cy="46" rx="14" ry="9"/><ellipse class="s thin" cx="45" cy="46" rx="14" ry="9"/>`,
	"film":   `<path class="f" d="M16 12h62v72H16z"/><g class="s thin"><path d="M47 10v76M44 22c-14-2-22 4-25 12M44 32c-14-2-23 5-26 14M44 42c-14-2-24 6-27 16M44 52c-14-1-24 6-27 17M50 22c14-2 22 4 25 12M50 32c14-2 23 5 26 14M50 42c14-2 24 6 27 16M50 52c14-1 24 6 27 17"/></g><path class="b" d="M47 46c9 0 17 8 17 20 0 5-3 9-9 9H43c-3 0-5-2-5-6 0-13 2-23 9-23z"/>`,
	"cells":  `<circle class="f" cx="47" cy="47" r="38"/><circle class="s thin" cx="47" cy="47" r="38"/><g class="s thin"><circle cx="38" cy="30" r="8"/><circle cx="58" cy="32" r="9"/><circle cx="27" cy="46" r="7"/><circle cx="46" cy="50" r="10"/><circle cx="67" cy="52" r="8"/><circle cx="34" cy="65" r="9"/><circle cx="56" cy="68" r="8"/></g><g class="b"><circle cx="38" cy="30" r="2.400"/><circle cx="58" cy="32" r="2.800"/><circle cx="27" cy="46" r="2"/><circle cx="46" cy="50" r="3"/><circle cx="67" cy="52" r="2.400"/><circle cx="34" cy="65" r="2.600"/><circle cx="56" cy="68" r="2.400"/></g>`,
	"frames": `<path class="f" d="M30 12h48v48H30z"/><path class="s thin" d="M30 12h48v48H30z"/><path class="f" d="M23 20h48v48H23z"/><path class="s thin" d="M23 20h48v48H23z"/><path class="k" d="M16 28h48v48H16z"/><path class="s" d="M16 28h48v48H16z"/><circle class="s thin" cx="40" cy="52" r="14"/>`,
}

// motifOf chooses what is drawn of a modality.
func motifOf(modality string, sites []string) string {
	brain := slices.Contains(sites, "12738006") || slices.Contains(sites, "69536005")
	breast := slices.Contains(sites, "76752008")
	switch modality {
	case "MG":
		return "breast"
	case "CT", "MR":
		switch {
		case brain:
			return "head"
		case breast && modality == "MR":
			return "breast"
		}
		return "chest"
	case "PT", "NM":
		return "body"
	case "SM":
		return "slide"
	case "US", "IVUS":
		return "fan"
	case "DX", "CR", "RG", "RF", "XA":
		return "film"
	case "GM", "XC", "DMS":
		return "cells"
	}
	return ""
}

// drawings are up to three of what a collection has, side by side.
func drawings(e *directory.Entry) []string {
	var names []string
	for _, m := range e.Modalities {
		if n := motifOf(m, e.BodySites); n != "" && !slices.Contains(names, n) && len(names) < 3 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		switch {
		case slices.Contains(e.Domains, "pathology"):
			names = []string{"slide"}
		case slices.Contains(e.Domains, "biological"):
			names = []string{"cells"}
		default:
			names = []string{"frames"}
		}
	}
	return names
}

// motifDefs are the drawings of a page, each once, to be shown by its name.
func motifDefs(cards ...card) template.HTML {
	var b strings.Builder
	seen := map[string]bool{}
	for _, c := range cards {
		for _, n := range c.Drawings {
			if !seen[n] {
				seen[n] = true
				b.WriteString(`<symbol id="motif-` + n + `" viewBox="0 0 94 94">` + motifs[n] + `</symbol>`)
			}
		}
	}
	return template.HTML(b.String()) //nolint:gosec // constants
}
