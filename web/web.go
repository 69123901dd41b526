// Package web holds what browsers are given: templates, styles, and the bundle that Vite builds of src/ into dist/.
//
// Templates and styles are plain files and work as they lie here; the bundle adds what needs script (sign-in with a passkey, brushing of histograms,
// upload of folders), the typeface, and the viewers. Without the bundle, as after a fresh clone before `npm ci`, pages say what is missing and do the rest.
package web

import (
	"embed"
	"io/fs"
)

//go:embed templates
var templates embed.FS

//go:embed styles
var styles embed.FS

//go:embed viewer
var viewer embed.FS

//go:embed help/*.webp
var help embed.FS

//go:embed all:dist
var dist embed.FS

// Templates are the pages: layout.html, parts/*.html, and one file a page.
func Templates() fs.FS { return below(templates, "templates") }

// Styles are the style sheets, to be joined in the order of their names.
func Styles() fs.FS { return below(styles, "styles") }

// Viewer are the scripts that are added to the viewer's configuration.
func Viewer() fs.FS { return below(viewer, "viewer") }

// Help are the pictures of the help, one a topic; e2e/pictures.mjs takes them.
func Help() fs.FS { return below(help, "help") }

// Bundle is what Vite built: main.js, fonts, viewers. It is empty but for a README until it is built.
func Bundle() fs.FS { return below(dist, "dist") }

func below(f embed.FS, dir string) fs.FS {
	s, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return s
}
