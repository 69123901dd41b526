package portal

import (
	"html"
	"html/template"
	"regexp"

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
	Alt, Caption    string          // of its picture, which web/e2e/pictures.mjs takes
	Command         string          // the same on the command line
	More            template.HTML
}

// topics are in the order in which somebody comes to need them.
var topics = []topic{
	{
		Key: "find", Title: "Find collections and images", For: "researchers",
		Alt:     "The directory after a search for cancer: filters with numbers of people at the left, collections as cards beside them.",
		Caption: "A search, what narrows it, and what fits.",
		Steps: []template.HTML{
			`The <a href="/">directory</a> is for everybody. Write what you look for in plain words or those of the clinic; a misspelt word is taken for the nearest one, and the page says so.`,
			`Narrow it down at the left. Beside each value stands how many people it is of; fewer than ten and none look the same. Tick <b>Shortlist</b> to compare collections, and sign in to save a search and be told of what is new.`,
			`With a role in a collection you see its studies. Each has a picture; a study's page shows its series, and opens them in the OHIF viewer.`,
			`Search by modality, date or description with the command below, or by DICOMweb.`,
		},
		Command: "vitrine find Modality=CT StudyDate=20200101-20251231 --collection ID",
	},
	{
		Key: "understand", Title: "Understand a collection's page", For: "researchers and everybody who is curious",
		Alt:     "A collection's public page: people, studies and images in numbers, charts of sex, age, disease and kind of image, and beside them how to get it.",
		Caption: "Numbers and charts of people; hatched columns are of fewer than ten, or nobody.",
		Steps: []template.HTML{
			`The pictures at the top were picked by the collection's steward; nothing in them tells who anybody is.`,
			`Numbers are of people, rounded to ten. Hatched, or <b>0–9</b>, is fewer than ten or nobody: the two look the same, so that no small group is found out. No two properties are crossed.`,
			`<b>What you may do with it</b> says in plain words what its codes mean: a tick is allowed, a triangle is asked of you, a cross is forbidden.`,
			`<b>How to get it</b> says who decides, how long it takes by the custodian's word, and what it costs. <b>Ask for access</b> leads to the form or address for it.`,
			`Cite it as <b>Credit and citation</b> says. Catalogues read the same page under <b>For machines</b>.`,
		},
		More: `Years are shifted with the dates of the images where the chart says so; time between visits is true.`,
	},
	{
		Key: "requests", Title: "Ask to use data", For: "researchers",
		Alt:     "The form of a request: title, summary in plain words and organisation, which are published, and beside it whether it fits what the data may be used for.",
		Caption: "The form, and beside it whether what you want fits the terms.",
		Steps: []template.HTML{
			`Press <b>Ask for access</b> on a collection's page, and sign in: anybody with an account may ask. If you only want to know something, ask the stewards a question instead.`,
			`Fill in the form. Title, summary and organisation are published in the <a href="/register">register of uses</a> once you may use the data; the rest is kept encrypted, for you and the custodian. Beside the form stands whether what you want fits the terms, and what would help.`,
			`<b>Save</b> it and come back, or <b>hand it in</b>. <a href="/requests">Requests</a> says what happens next and whose turn it is. If you are asked something, change the form if need be, and answer.`,
			`When it is approved, have the agreement signed and upload it there as a PDF. The custodian checks who signed, and the dates; then accept it there by name.`,
			`From then on it says under <b>What you may use</b> what you may do, from when to when. It ends at the end of its last day by itself. Say when your work is over before that.`,
		},
		Command: "vitrine request template > form.yaml; vitrine request submit form.yaml --for ID",
		More:    `Where the node sends mail, you can be reminded on the page Requests: when something has waited for you for a week, and 30 and 7 days before what you may use ends.`,
	},
	{
		Key: "decide", Title: "Decide who may use data", For: "custodians",
		Alt:     "A request as its custodian sees it: four steps, the comparison with the terms, and what can be done: approve, ask something, reject.",
		Caption: "A request, compared with the terms; below it, what you can do.",
		Steps: []template.HTML{
			`<a href="/requests">Requests</a> lists what waits for you, the longest waiting first. Nobody decides on a request of their own.`,
			`Read the form, and the comparison with the terms that the collection's entry in the directory has. A triangle is for you to judge. Against a cross nothing can be approved: ask the applicant to change the request, or change the terms in the collection's entry first.`,
			`<b>Ask something</b> if you need to know more: the time until the answer counts as the applicant's. <b>Reject</b> says why, and they can ask anew.`,
			`<b>Approve</b> says how far the use goes, until when, and under which conditions. Nothing can be used yet.`,
			`When the signed agreement has come, read it, say that parties and dates are right, and press <b>It is right</b>. Only now the use begins. An agreement for a whole organisation covers its later requests for the collection.`,
			`Suspend or end a use on the same page, and terminate an agreement with everything under it. Stewards and administrators can suspend and end as well; to permit again is yours alone.`,
		},
		Command: "vitrine request decide REQUEST approve --capability analyse --until 2027-12-31",
		More:    `How long decisions took is measured: of five or more in two years, the collection's page shows the median beside what is declared, your days apart from the applicants'.`,
	},
	{
		Key: "deposit", Title: "Send a folder of images", For: "sites and trial coordinators",
		Alt:     "The page that images are sent from: a field to drop a folder on, and beside it what happens to what is sent.",
		Caption: "Drop a folder here; the list beside it says what happens next.",
		Steps: []template.HTML{
			`Open <a href="/deposits/new">Send images</a>, and drop the folder. It goes in pieces: close the page, lose the line, come back tomorrow and choose the same folder, and it goes on. The names of your files stay in your browser.`,
			`From a machine without a browser, ask the collection's steward for a token, set it as <code>VITRINE_TOKEN</code>, and run the command below. It can be interrupted too; what it calls kept is on stable storage.`,
			`Watch it on <a href="/deposits">Deposits</a>. What is <b>held</b> waits for a steward, and says why. What is <b>refused</b> was not kept, and says why.`,
		},
		Command: "vitrine deposit FOLDER --collection ID --server https://NODE",
	},
	{
		Key: "follow", Title: "Follow a deposit", For: "sites, trial coordinators and stewards",
		Alt:     "A deposit: bands show 547 images received, 544 of them cleaned, admitted and published, and 3 held.",
		Caption: "What became of each image; what is held branches off.",
		Steps: []template.HTML{
			`Open <a href="/deposits">Deposits</a> and choose yours by the time at which it began. While it arrives, the page moves on by itself.`,
			`Follow the bands: <b>received</b> is on stable storage; <b>cleaned</b> has lost what identifies; <b>admitted</b> is with its whole study; <b>published</b> can be seen by the collection's researchers.`,
			`What branches off is <b>held</b> or <b>refused</b>. The list below says why, and of which items: your browser alone knows their file names.`,
			`For what is held there is nothing to do: a steward looks. Mend what was refused at its source, and send the folder again; what is here already stays as it is.`,
		},
	},
	{
		Key: "send", Title: "Send images from a scanner or PACS", For: "sites",
		Alt:     "Part of a collection's settings: the called AE title, host and port that a modality or PACS sends to.",
		Caption: "What to enter on the scanner or PACS, from the collection's settings.",
		Steps: []template.HTML{
			`Ask the node's administrator to register your system: its AE title and address.`,
			`Add a destination with the collection's AE title, and the node's address and DICOM port.`,
			`Send. A success means that the image is on stable storage; a warning, that it is held; a failure says why.`,
			`What lies in a PACS already is fetched: <b>Collect from an archive</b> on the collection's page takes a list of accession numbers, patients or studies, or asks for what is new every night, with the same people's earlier studies. Hours and rate are yours to set.`,
			`Where nothing but SSH gets out, there is <b>SFTP</b>: a steward registers your public key for the collection, and the collection's id is the user's name. Folders, files, zip and tar are taken; nothing is listed or given back.`,
		},
		Command: "storescu -aec COLLECTION-AET NODE 11112 *.dcm",
	},
	{
		Key: "held", Title: "Decide on what is held", For: "stewards",
		Alt:     "The page of what is held: ultrasound images under the reason Writing in the picture, each behind a lock with a button Look, and below them the buttons to accept and to refuse.",
		Caption: "Grouped by reason. No picture is shown before you press Look.",
		Steps: []template.HTML{
			`Open <a href="/held">Held</a>, which says at the top of every page how many wait: items are grouped by reason, the most frequent first. Each reason says whether your word can answer it.`,
			`Press <b>Look</b>. Only there is a picture shown, as it came. It may name a person: look at every frame. Each view is in the audit log.`,
			`The node has read the pixels before you: what it was sure of is painted over and gone from the list. Boxes show where something looks like text: take away those that are wrong, and draw those that it missed, with the mouse, a finger or the arrow keys. <b>Show it painted</b> shows what would be kept; <b>Accept, these boxes painted over</b> decides.`,
			`<b>Accept</b> what tells nobody's identity: its header is cleaned, and it is admitted with its study. <b>Refuse</b> what cannot be used: its depositor reads your note, and the same bytes are refused when they come again.`,
			`Many at once: tick items, or all of a reason. A note that names the patient is not taken.`,
			`<a href="/held/alike">What is alike</a> stands together there: look through a sheet of pictures, then decide on all of it, or <b>once for all</b>: on whatever comes like it, too. Nobody looks at that any more, until you end the decision on the collection's page of standing decisions.`,
		},
		Command: "vitrine held list --collection ID",
	},
	{
		Key: "describe", Title: "Describe a collection in the directory", For: "stewards and custodians",
		Alt:     "The form of a directory entry: title, summary and description, and at the right what is still missing.",
		Caption: "The form, and what it still needs.",
		Steps: []template.HTML{
			`Press <b>Describe it in the directory</b> on the collection's page, or open the list of <b>entries</b> from the page of collections: for images that lie elsewhere, and to begin with a table, DCAT or HDR UK file that you have.`,
			`Fill in what is needed first: what it is, who keeps it, which images of which disease, what it may be used for and how to ask. Write words; they become codes. What few know is folded away under <b>More</b>. In a long list type to search, and move with the arrow keys.`,
			`Save as often as you like. Nobody sees a draft but those who may write it.`,
			`Publish. Later changes are drafts again until they are published.`,
			`For pictures, open a published study and choose <b>Show on the collection's page</b>.`,
		},
		Command: "vitrine directory import FILE --publish",
		More:    `Numbers of people are counted once a night and rounded to ten; fewer than ten look like none.`,
	},
	{
		Key: "collections", Title: "Make and look after a collection", For: "stewards and administrators",
		Alt:     "The page of collections: a table of three with what was received and kept, and the form of a new one beside it.",
		Caption: "Your collections, and a new one.",
		Steps: []template.HTML{
			`Open <a href="/collections">Collections</a>. Choose how images are cleaned: each profile says in words what it keeps. Its <b>Settings</b> take another one later, or a file of rules of its own; what is there stays as it was cleaned.`,
			`Give it an AE title if scanners or PACS shall send to it. Its settings say which host and port to enter there.`,
			`On its settings page see who has which role, make tokens for those who send or fetch by command, and end them.`,
			`Where a person has to be found again, a subject's page leads to <b>Ask who this is</b>: another steward or an administrator consents, and you are told once. Collections can be made without that.`,
			`Close it to deposits when it is complete. What is in it stays.`,
		},
		Command: "vitrine collection create ID --title TITLE --profile research --aet AET",
	},
	{
		Key: "consent", Title: "Record consent, and withdraw somebody", For: "coordinators, stewards and custodians",
		Alt:     "The page of a collection's consent: what may be done with its images, who has withdrawn, and its legal bases.",
		Caption: "What a collection's people permit, and who has withdrawn.",
		Steps: []template.HTML{
			`Open <b>Consent</b> on the collection's page. It says what may be done with the images, in numbers that tell of nobody; a subject's own page says it of that person.`,
			`Custodians and stewards say on what <b>legal basis</b> the images are kept, and add the <b>forms</b> that people sign, each clause with the uses that it grants. Without a basis a person decides on every use.`,
			`<b>Record what a person said</b>: choose the form that was signed and answer its clauses. Name the person by the pseudonym, or by the identifier that your site knows them by, which becomes a keyed hash at once and is not kept. Of many people, import a table in CSV.`,
			`<b>Withdraw somebody</b> as soon as you hear of it; nobody needs a reason. The page says what will happen before it does. From any use: they are out of sight at once, and what is kept becomes unreadable after 30 days.`,
			`Give the person the <b>certificate</b> of what was done, and <a href="/withdraw">this page</a> to read.`,
		},
		Command: "vitrine subject withdraw --collection ID --patient --scope use",
	},
	{
		Key: "clinical", Title: "Import clinical data", For: "depositors and stewards",
		Alt:     "A subject's page: diagnosis, visits and studies in one list by day, and the clinical data beside it.",
		Caption: "What the table said, beside the images it belongs to.",
		Steps: []template.HTML{
			`Write a table in CSV with a row of headings: the subject's pseudonym or the patient's own identifier, and what you know of sex, age, diagnosis, stage and visits.`,
			`Run the command below. The patient's identifier becomes the subject at once, and is kept nowhere; dates move as those of the images do.`,
			`Read what was refused: it is told by row and column, never by value. Mend these rows and import the table again; what is there already does not change.`,
		},
		Command: "vitrine clinical import TABLE.csv --collection ID --data DIR",
	},
	{
		Key: "look", Title: "Look at a study", For: "researchers, physicists and stewards",
		Alt:     "A study: its series at the left, a CT slice in the middle, buttons for windows above it and a slider for the slices below.",
		Caption: "Series, windows, and the slices of the chosen series.",
		Steps: []template.HTML{
			`Open a collection that you have a role in. Narrow its studies by modality, shifted date or subject, and choose one by its picture; the address keeps what you narrowed by.`,
			`Choose a series. Arrow keys and the wheel go through its pictures.`,
			`Press <b>Open in the viewer</b> for windows, measuring and series side by side.`,
			`Dates are moved by whole weeks, the same for all of a subject: time between visits is true.`,
		},
	},
	{
		Key: "publish", Title: "Publish a study", For: "stewards",
		Alt:     "The head of a study that is not published, with the button Publish, above its series and a CT slice.",
		Caption: "Not published: only those who look after the collection see it.",
		Steps: []template.HTML{
			`Open the study from the collection's page.`,
			`Look at its series.`,
			`Press <b>Publish</b>. Researchers of the collection can see it from then on.`,
		},
		Command: "vitrine release publish STUDY --collection ID",
	},
	{
		Key: "signin", Title: "Sign in", For: "everybody",
		Alt:     "The page Sign in: a button for a passkey, and a field for a code of twelve letters and digits.",
		Caption: "With a passkey, or with a code the first time.",
		Steps: []template.HTML{
			`Come by the link that an administrator gave you, or write the code that was read out to you on <a href="/signin">Sign in</a>. Both work once.`,
			`On <a href="/account">your account's page</a>, add a passkey: your device's fingerprint, face or PIN is asked for, and nothing else from then on.`,
			`If your device has no passkeys, set up an authenticator app there. Its six digits sign you in from a browser that you let be known; elsewhere they follow a link or a code.`,
			`Keep the app's ten recovery codes on paper. If you have lost everything, ask an administrator for a new link.`,
		},
	},
	{
		Key: "outside", Title: "Let somebody outside send images", For: "stewards",
		Alt:     "The page of links of a collection: a list with the state of each and how much came by it, and beside it the form for a new one.",
		Caption: "Links that were made, how they stand, and the form for another.",
		Steps: []template.HTML{
			`On the collection's page open <b>Links for people outside</b>. Write for your own eyes what the link is for, and the address of whom it is for; both are kept encrypted.`,
			`Choose how long it works and how much may come by it. Where the node has a mail server the link is sent; otherwise it is shown once, and you hand it over.`,
			`They open it in a browser, on a phone too, and choose files, a folder or a zip archive. They need no account, see what became of their own files, and nothing else.`,
			`What comes is cleaned, held and admitted like everything else, under the link's name. <b>End</b> stops it at once; what has come stays.`,
		},
		Command: "vitrine link create --collection ID --for ADDRESS --mail --server URL",
		More:    `Whoever has the link can send until it ends. A link cannot be shown again: end it, and make another.`,
	},
	{
		Key: "people", Title: "Let somebody in", For: "administrators",
		Alt:     "The page People: one account with its roles, and beside it the form to invite somebody by a link or a code.",
		Caption: "Who may sign in, and the form that lets somebody in.",
		Steps: []template.HTML{
			`Open <a href="/people">People</a>, write a name, and choose what they may do in which collection.`,
			`Give them the link over a way that you trust. It works once, within seven days.`,
			`They open it, and add a passkey on their account's page; with that they come back.`,
		},
	},
	{
		Key: "get", Title: "Download images", For: "researchers",
		Alt:     "The head of a study, with the buttons Download and Open in viewer.",
		Caption: "A single study comes as a zip from its page.",
		Steps: []template.HTML{
			`Ask the collection's steward for access, and for a token if you work by command.`,
			`One study at a time: open it, and press <b>Download</b>. It comes as a zip.`,
			`Many: run the command below. It can be interrupted, and checks what it gets.`,
		},
		Command: "vitrine get 'Modality=CT' --to FOLDER --server https://NODE",
	},
	{
		Key: "ask", Title: "Ask, and read the answer", For: "everybody",
		Alt:     "The form to ask a question about a collection: subject, message, and a warning to write nothing that identifies a patient.",
		Caption: "The page that you came from is named for you.",
		Steps: []template.HTML{
			`Press <b>Ask</b> at the top of the page that your question is about. A collection's page reaches its stewards; any other page, the node's administrators.`,
			`Write nothing that identifies a patient: a subject by its pseudonym, an item by its deposit and number. What looks like an NHS number or a date of birth is refused.`,
			`Who has signed in finds the answer under <a href="/questions">Questions</a>. Who has not gets a private link, shown once. No mail is sent: come back and look.`,
		},
	},
	{
		Key: "status", Title: "See whether the node is well", For: "administrators and stewards",
		Alt:     "The page Status: a line for each part of the node, with well or look at it, and what to do.",
		Caption: "Each part, and what to do about it.",
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
		Alt:     "The page Audit: the state of the proof with the button Verify, filters, and the latest entries.",
		Caption: "The proof above, what happened below, the latest first.",
		Steps: []template.HTML{
			`Open <a href="/audit">Audit</a>. Filter by collection, by who did what, by outcome and by day.`,
			`Press <b>Verify</b>: every entry and every hash is recomputed, and the log is signed anew.`,
			`Download the signed note, and keep it elsewhere. Held against the log later, it proves what the log said then.`,
		},
		Command: "vitrine audit verify --data DIR",
	},
	{
		Key: "accessibility", Title: "Accessibility of these pages", For: "everybody",
		Alt:     "The directory in the dark theme: the title of a collection has a ring around it, because the keyboard is there.",
		Caption: "The dark theme; the ring shows where the keyboard is.",
		Steps: []template.HTML{
			`Every page can be used with the keyboard alone: Tab and Shift-Tab move, Enter and Space act, arrows go through the pictures of a series, / goes to the search box.`,
			`Colour never says anything alone: a shape and a word stand beside it.`,
			`Pages follow your system's light or dark theme until you choose with the button at the top, and your wish for less motion.`,
		},
		More: `The aim is WCAG 2.2, level AA. The viewer of images is other people's work and does not reach it everywhere; each series can be seen as still pictures on the study's page instead.`,
	},
}

// HelpText is a topic of the help in plain text, for those who work by command.
type HelpText struct {
	Topic   string   `json:"topic"`
	Title   string   `json:"title"`
	For     string   `json:"for"`
	Steps   []string `json:"steps"`
	Command string   `json:"command,omitempty"`
	More    string   `json:"more,omitempty"`
}

// HelpTexts are the topics in the order of the help's page. Links name their address in brackets.
func HelpTexts() []HelpText {
	all := make([]HelpText, len(topics))
	for i, t := range topics {
		all[i] = HelpText{Topic: t.Key, Title: t.Title, For: t.For, Command: t.Command, More: plain(t.More)}
		for _, s := range t.Steps {
			all[i].Steps = append(all[i].Steps, plain(s))
		}
	}
	return all
}

var (
	linkTag = regexp.MustCompile(`<a href="([^"]*)">(.*?)</a>`)
	codeTag = regexp.MustCompile(`<code>(.*?)</code>`)
	anyTag  = regexp.MustCompile(`<[^>]*>`)
)

// plain is a text of this file without its tags.
func plain(h template.HTML) string {
	s := linkTag.ReplaceAllString(string(h), "$2 ($1)")
	s = codeTag.ReplaceAllString(s, "`$1`")
	return html.UnescapeString(anyTag.ReplaceAllString(s, ""))
}

// picture is the name of its picture among the static files.
func (t topic) picture() string { return "help/" + t.Key + ".webp" }

// sizeOfWebP reads how wide and high a picture is, so that text does not jump when it comes. Chromium writes the extended form, which says it at a fixed place.
func sizeOfWebP(b []byte) (width, height int) {
	if len(b) < 30 || string(b[8:16]) != "WEBPVP8X" {
		return 0, 0
	}
	three := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
	return three(b[24:]) + 1, three(b[27:]) + 1
}

func (d *Door) helpIndex(*request) (*page, error) {
	return &page{file: "help", title: "Help", about: "How to find, send, decide and download images, each task on one page.", section: "/help", data: topics}, nil
}

func (d *Door) helpTopic(r *request) (*page, error) {
	for _, t := range topics {
		if t.Key == r.PathValue("topic") {
			shown := struct {
				topic
				Picture       string
				Width, Height int
			}{topic: t}
			if x := d.files.by[t.picture()]; x != nil {
				shown.Picture = d.files.address(t.picture())
				shown.Width, shown.Height = sizeOfWebP(x.plain)
			}
			return &page{file: "helptopic", title: t.Title, about: t.Title, section: "/help", data: shown}, nil
		}
	}
	return nil, fault.New(fault.NotFound, "show help", "", "there is no help of this name")
}
