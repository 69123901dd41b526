package portal

import (
	"html/template"
	"net/http"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func (d *Door) registerHelp(mux *http.ServeMux) {
	mux.HandleFunc("GET /help", d.page(d.helpIndex))
	mux.HandleFunc("GET /help/{topic}", d.page(d.helpTopic))
}

// topic is one task, on one page.
type topic struct {
	Key, Title, For string
	Steps           []template.HTML // constants of this file
	Command         string          // the same on the command line
	More            template.HTML
}

// topics are in the order in which somebody comes to need them.
var topics = []topic{
	{
		Key: "find", Title: "Find collections that fit a question", For: "researchers",
		Steps: []template.HTML{
			`Write what you look for on the <a href="/">directory</a>, in your own words: “bowel cancer”, “PET”, “screening with outcome”. Lay words, codes and misspellings work.`,
			`Narrow down with the boxes on the left, and drag over the histograms of age and year. The address of the page changes with it: it can be sent or kept.`,
			`Tick <b>Shortlist</b> on what fits, then compare: access, time to data and what is held stand side by side.`,
		},
		Command: "vitrine find Modality=CT StudyDate=20200101-20251231 --collection ID",
		More:    `Numbers count people, never pictures. Fewer than ten and none look the same, and the others are rounded to ten, so that nobody can be singled out.`,
	},
	{
		Key: "upload", Title: "Send images from the browser", For: "sites and trial coordinators",
		Steps: []template.HTML{
			`Sign in, open <a href="/upload/new">Upload</a> and choose the collection.`,
			`Drop a folder, as the scanner or the disc gave it. File names stay in your browser; the node knows files by their number.`,
			`Watch it arrive. A closed tab or a lost connection harms nothing: open the page again, choose the same folder, and it goes on where it ended.`,
			`What is <b>held</b> waits for a steward, and says why. What is <b>refused</b> was not kept, and says why.`,
		},
		Command: "vitrine deposit FOLDER --collection ID --server https://NODE",
	},
	{
		Key: "send", Title: "Send images from a scanner or PACS", For: "sites",
		Steps: []template.HTML{
			`Ask the node's administrator to register your system: its AE title and address.`,
			`Add a destination with the collection's AE title, and the node's address and DICOM port.`,
			`Send. A success means that the image is on stable storage; a warning, that it is held; a failure says why.`,
		},
		Command: "storescu -aec COLLECTION-AET NODE 11112 *.dcm",
	},
	{
		Key: "held", Title: "Decide what is held", For: "stewards",
		Steps: []template.HTML{
			`Open <a href="/held">Held</a>: items are grouped by reason, the most urgent first.`,
			`Look at the evidence. Each look is written into the audit log.`,
			`<b>Accept</b> cleans the item by the collection's profile and admits it, if the gate finds nothing; <b>refuse</b> keeps it from everybody. Several can be decided at once.`,
		},
		Command: "vitrine held list --collection ID",
	},
	{
		Key: "publish", Title: "Publish a study", For: "stewards",
		Steps: []template.HTML{
			`Open the study from the collection's page.`,
			`Look at its series, its findings and the history of its custody.`,
			`Press <b>Publish</b>. Researchers of the collection can see it from then on.`,
		},
		Command: "vitrine release publish STUDY --collection ID",
	},
	{
		Key: "register", Title: "Register a collection that is held elsewhere", For: "custodians",
		Steps: []template.HTML{
			`Open <a href="/collections">Collections</a> and choose <b>Register</b>.`,
			`Fill in the form, or hand in a CSV, DCAT or HDR UK file: what it says is filled in, and what is missing is pointed out with why it matters.`,
			`Publish. It is found at once.`,
		},
	},
	{
		Key: "get", Title: "Download images", For: "researchers",
		Steps: []template.HTML{
			`Ask for access on the collection's page. You see how long it takes on average.`,
			`With access, download a study from its page, or everything by one command, which can be interrupted and checks what it gets.`,
		},
		Command: "vitrine get 'Modality=CT' --to FOLDER --server https://NODE",
	},
	{
		Key: "accessibility", Title: "Accessibility of these pages", For: "everybody",
		Steps: []template.HTML{
			`Every page can be used with the keyboard alone: Tab and Shift-Tab move, Enter and Space act, arrows move the handles of histograms, / goes to the search box.`,
			`Colour never says anything alone: a shape and a word stand beside it.`,
			`Pages follow your system's light or dark theme until you choose with the button at the top, and your wish for less motion.`,
		},
		More: `The aim is WCAG 2.2, level AA. The viewer of images is other people's work and does not reach it everywhere; each series can be seen as still pictures on the study's page instead.`,
	},
}

func (d *Door) helpIndex(*request) (*page, error) {
	return &page{file: "help", title: "Help", about: "How to find, send, decide and download images, each task on one page.", section: "/help", data: topics}, nil
}

func (d *Door) helpTopic(r *request) (*page, error) {
	for _, t := range topics {
		if t.Key == r.PathValue("topic") {
			return &page{file: "helptopic", title: t.Title, about: t.Title, section: "/help", data: t}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "show help", "", "there is no help of this name")
}
