package portal

import (
	"html/template"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func (d *Door) registerHelp(mux web.Routes) {
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
		Key: "find", Title: "Find collections and images", For: "researchers",
		Steps: []template.HTML{
			`The <a href="/">directory</a> is for everybody. Write what you look for in plain words or those of the clinic; a misspelt word is taken for the nearest one, and the page says so.`,
			`Narrow it down at the left. Beside each value stands how many people it is of; fewer than ten and none look the same. Tick <b>Shortlist</b> to compare collections, and sign in to save a search and be told of what is new.`,
			`With a role in a collection you see its studies. Each has a picture; a study's page shows its series, and opens them in the OHIF viewer.`,
			`Search by modality, date or description with the command below, or by DICOMweb.`,
		},
		Command: "vitrine find Modality=CT StudyDate=20200101-20251231 --collection ID",
	},
	{
		Key: "deposit", Title: "Send a folder of images", For: "sites and trial coordinators",
		Steps: []template.HTML{
			`Open <a href="/deposits/new">Send images</a>, and drop the folder. It goes in pieces: close the page, lose the line, come back tomorrow and choose the same folder, and it goes on. The names of your files stay in your browser.`,
			`From a machine without a browser, ask the collection's steward for a token, set it as <code>VITRINE_TOKEN</code>, and run the command below. It can be interrupted too; what it calls kept is on stable storage.`,
			`Watch it on <a href="/deposits">Deposits</a>. What is <b>held</b> waits for a steward, and says why. What is <b>refused</b> was not kept, and says why.`,
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
		Key: "held", Title: "Decide on what is held", For: "stewards",
		Steps: []template.HTML{
			`Open <a href="/held">Held</a>: items are grouped by reason, the most frequent first. Each reason says whether your word can answer it.`,
			`Press <b>Look</b>. Only there is a picture shown, as it came. It may name a person: look at every frame. Each view is in the audit log.`,
			`<b>Accept</b> what tells nobody's identity: its header is cleaned, and it is admitted with its study. <b>Refuse</b> what cannot be used: its depositor reads your note, and the same bytes are refused when they come again.`,
			`Many at once: tick items, or all of a reason. A note that names the patient is not taken.`,
		},
		Command: "vitrine held list --collection ID",
	},
	{
		Key: "describe", Title: "Describe a collection in the directory", For: "stewards and custodians",
		Steps: []template.HTML{
			`Open the list of <b>entries</b> from the page of collections, and begin a new one: by the form, or by a table, DCAT or HDR UK file that you have.`,
			`Fill in what is needed first: what it is, who keeps it, which images of which disease, what it may be used for and how to ask. Write words; they become codes.`,
			`Save as often as you like. Nobody sees a draft but those who may write it.`,
			`Publish. Later changes are drafts again until they are published.`,
			`For pictures, open a published study and choose <b>Show on the collection's page</b>.`,
		},
		Command: "vitrine directory import FILE --publish",
		More:    `Numbers of people are counted once a night and rounded to ten; fewer than ten look like none.`,
	},
	{
		Key: "collections", Title: "Make and look after a collection", For: "stewards and administrators",
		Steps: []template.HTML{
			`Open <a href="/collections">Collections</a>. Choose how images are cleaned: each profile says in words what it keeps. It cannot be changed later.`,
			`Give it an AE title if scanners or PACS shall send to it. Its <b>Settings</b> say which host and port to enter there.`,
			`On its settings page see who has which role, make tokens for those who send or fetch by command, and end them.`,
			`Close it to deposits when it is complete. What is in it stays.`,
		},
		Command: "vitrine collection create ID --title TITLE --profile research --aet AET",
	},
	{
		Key: "clinical", Title: "Import clinical data", For: "depositors and stewards",
		Steps: []template.HTML{
			`Write a table in CSV with a row of headings: the subject's pseudonym or the patient's own identifier, and what you know of sex, age, diagnosis, stage and visits.`,
			`Run the command below. The patient's identifier becomes the subject at once, and is kept nowhere; dates move as those of the images do.`,
			`Read what was refused: it is told by row and column, never by value. Mend these rows and import the table again; what is there already does not change.`,
		},
		Command: "vitrine clinical import TABLE.csv --collection ID --data DIR",
	},
	{
		Key: "look", Title: "Look at a study", For: "researchers, physicists and stewards",
		Steps: []template.HTML{
			`Open a collection that you have a role in, and choose a study by its picture.`,
			`Choose a series. Arrow keys and the wheel go through its pictures.`,
			`Press <b>Open in the viewer</b> for windows, measuring and series side by side.`,
			`Dates are moved by whole weeks, the same for all of a subject: time between visits is true.`,
		},
	},
	{
		Key: "publish", Title: "Publish a study", For: "stewards",
		Steps: []template.HTML{
			`Open the study from the collection's page.`,
			`Look at its series.`,
			`Press <b>Publish</b>. Researchers of the collection can see it from then on.`,
		},
		Command: "vitrine release publish STUDY --collection ID",
	},
	{
		Key: "signin", Title: "Sign in", For: "everybody",
		Steps: []template.HTML{
			`Come by the link that an administrator gave you, or write the code that was read out to you on <a href="/signin">Sign in</a>. Both work once.`,
			`On <a href="/account">your account's page</a>, add a passkey: your device's fingerprint, face or PIN is asked for, and nothing else from then on.`,
			`If your device has no passkeys, set up an authenticator app there. Its six digits sign you in from a browser that you let be known; elsewhere they follow a link or a code.`,
			`Keep the app's ten recovery codes on paper. If you have lost everything, ask an administrator for a new link.`,
		},
	},
	{
		Key: "people", Title: "Let somebody in", For: "administrators",
		Steps: []template.HTML{
			`Open <a href="/people">People</a>, write a name, and choose what they may do in which collection.`,
			`Give them the link over a way that you trust. It works once, within seven days.`,
			`They open it, and add a passkey on their account's page; with that they come back.`,
		},
	},
	{
		Key: "get", Title: "Download images", For: "researchers",
		Steps: []template.HTML{
			`Ask the collection's steward for access and a token.`,
			`Run the command below. It can be interrupted, and checks what it gets.`,
		},
		Command: "vitrine get 'Modality=CT' --to FOLDER --server https://NODE",
	},
	{
		Key: "ask", Title: "Ask, and read the answer", For: "everybody",
		Steps: []template.HTML{
			`Press <b>Ask</b> at the top of the page that your question is about. A collection's page reaches its stewards; any other page, the node's administrators.`,
			`Write nothing that identifies a patient: a subject by its pseudonym, an item by its deposit and number. What looks like an NHS number or a date of birth is refused.`,
			`Who has signed in finds the answer under <a href="/questions">Questions</a>. Who has not gets a private link, shown once. No mail is sent: come back and look.`,
		},
	},
	{
		Key: "status", Title: "See whether the node is well", For: "administrators and stewards",
		Steps: []template.HTML{
			`Open <a href="/status">Status</a>. Each part has a line: <b>well</b>, <b>look at it</b>, or <b>not well</b>, and what to do.`,
			`Mend what is not well first: a full disk, jobs that were given up, a certificate that ended.`,
			`Once a month, run the command below. It re-hashes all that is stored while the node runs.`,
			`Back up the database and the ring of keys apart from each other, and the master key with neither. The node cannot see backups that the system makes, and says so.`,
		},
		Command: "vitrine verify --data DIR",
		More:    `Scripts ask GET /api/status with a steward's or administrator's token.`,
	},
	{
		Key: "audit", Title: "Prove what happened", For: "stewards and administrators",
		Steps: []template.HTML{
			`Open <a href="/audit">Audit</a>. Filter by collection, by who did what, by outcome and by day.`,
			`Press <b>Verify</b>: every entry and every hash is recomputed, and the log is signed anew.`,
			`Download the signed note, and keep it elsewhere. Held against the log later, it proves what the log said then.`,
		},
		Command: "vitrine audit verify --data DIR",
	},
	{
		Key: "accessibility", Title: "Accessibility of these pages", For: "everybody",
		Steps: []template.HTML{
			`Every page can be used with the keyboard alone: Tab and Shift-Tab move, Enter and Space act, arrows go through the pictures of a series, / goes to the search box.`,
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
