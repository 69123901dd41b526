package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
)

// schemas are the bodies of the API. A test compares them with what the routes take and give.
const schemas = `{
"Problem": {"type": "object", "description": "RFC 9457", "required": ["type", "title", "status", "detail"], "properties": {"type": {"type": "string"}, "title": {"type": "string"},
	"status": {"type": "integer"}, "detail": {"type": "string"}, "attempted": {"type": "string"}, "object": {"type": "string"}, "advice": {"type": "string"}}},
"Collection": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "title": {"type": "string"}, "profile": {"type": "string"}, "profile_version": {"type": "string"},
	"profile_digest": {"type": "string", "description": "SHA-256 of the file of the collection's own rules"}, "aet": {"type": "string"}, "protocol": {"type": "string"}, "state": {"type": "string", "enum": ["open", "closed"]}, "attested_by": {"type": "string"},
	"attested": {"type": "string", "format": "date-time"}, "created": {"type": "string", "format": "date-time"},
	"no_reidentification": {"type": "boolean", "description": "who its subjects are is not kept"},
	"no_automatic_acceptance": {"type": "boolean", "description": "images wait for a person although what was found in their pixels could be painted over"}}},
"CollectionChange": {"type": "object", "additionalProperties": false, "properties": {"title": {"type": "string", "maxLength": 200}, "aet": {"type": "string", "maxLength": 16, "description": "empty: it is not reached by DICOM"},
	"state": {"type": "string", "enum": ["open", "closed"]}, "no_automatic_acceptance": {"type": "boolean"}}},
"NewCollection": {"type": "object", "additionalProperties": false, "required": ["id"], "properties": {"id": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
	"title": {"type": "string", "maxLength": 200}, "profile": {"type": "string", "maxLength": 300, "default": "research", "description": "research, basic, public or as-deposited; one of the first three with options of PS3.15 E.3, as in basic+clean-descriptors"}, "aet": {"type": "string", "maxLength": 16},
	"protocol": {"type": "string"}, "no_reidentification": {"type": "boolean", "default": false, "description": "do not keep who its subjects are; it cannot be changed later"},
	"no_automatic_acceptance": {"type": "boolean", "default": false, "description": "images wait for a person although what was found in their pixels could be painted over"}}},
"Profile": {"type": "object", "required": ["number", "profile", "version", "current"], "properties": {"number": {"type": "integer"}, "profile": {"type": "string"}, "version": {"type": "string"},
	"digest": {"type": "string"}, "by": {"type": "string"}, "since": {"type": "string", "format": "date-time"}, "current": {"type": "boolean"}, "file": {"type": "string"}}},
"Intake": {"type": "object", "required": ["received", "pending", "catalogued", "held", "refused"], "properties": {"received": {"type": "integer"}, "pending": {"type": "integer"},
	"catalogued": {"type": "integer"}, "held": {"type": "integer"}, "refused": {"type": "integer"}, "restricted": {"type": "integer", "description": "kept for stewards alone; left out where there are none"}}},
"NewRelease": {"type": "object", "additionalProperties": false, "properties": {"study": {"type": "string", "description": "Study Instance UID as kept; without it, every admitted study"}}},
"Published": {"type": "object", "required": ["studies", "instances", "waiting"], "properties": {"studies": {"type": "integer"}, "instances": {"type": "integer"}, "waiting": {"type": "integer"}}},
"ConsentForm": {"type": "object", "required": ["name", "version", "title", "clauses"], "additionalProperties": false, "properties": {"name": {"type": "string", "maxLength": 64}, "version": {"type": "string", "maxLength": 64},
	"title": {"type": "string", "maxLength": 200}, "policy": {"type": "string", "maxLength": 500, "description": "URI by which FHIR names the form"}, "valid_from": {"type": "string", "format": "date-time"},
	"valid_until": {"type": "string", "format": "date-time"}, "recorded_by": {"type": "string"}, "recorded": {"type": "string", "format": "date-time"},
	"clauses": {"type": "array", "items": {"type": "object", "required": ["id", "text"], "additionalProperties": false, "properties": {"id": {"type": "string"}, "text": {"type": "string", "maxLength": 2000},
	"grants": {"type": "array", "items": {"$ref": "#/components/schemas/Use"}, "description": "by who says yes; who says no denies them"},
	"denies": {"type": "array", "items": {"$ref": "#/components/schemas/Use"}, "description": "by who says yes"}, "always": {"type": "boolean", "description": "whoever signs has said yes"}}}}}},
"Use": {"type": "string", "enum": ["research", "sharing", "commercial", "ai-training", "ai-generative", "genetic", "abroad", "linkage", "contact"]},
"Whom": {"type": "object", "additionalProperties": false, "description": "By the collection's pseudonym, or by the identifier that the site knows them by.", "properties": {"pseudonym": {"type": "string"}, "patient": {"type": "string"}, "issuer": {"type": "string"}}},
"NewConsent": {"type": "object", "additionalProperties": false, "required": ["whom"], "properties": {"whom": {"$ref": "#/components/schemas/Whom"}, "at": {"type": "string", "format": "date-time", "description": "when it was said; without it, now"},
	"form": {"type": "string"}, "version": {"type": "string"}, "answers": {"type": "object", "additionalProperties": {"type": "boolean"}}, "grants": {"type": "array", "items": {"$ref": "#/components/schemas/Use"}},
	"denies": {"type": "array", "items": {"$ref": "#/components/schemas/Use"}}, "withdrawal": {"type": "string", "enum": ["none", "contact", "collection", "use"]}, "expires": {"type": "string", "format": "date-time"}}},
"ConsentOutcome": {"type": "object", "required": ["recorded", "withdrawn", "out_of_sight", "words"], "properties": {"recorded": {"type": "boolean", "description": "false: it was known already"}, "pseudonym": {"type": "string"},
	"withdrawn": {"type": "string", "description": "how far the person has withdrawn by now"}, "out_of_sight": {"type": "boolean", "description": "this call has taken everything of theirs out of sight"}, "studies": {"type": "integer"}, "instances": {"type": "integer"},
	"withdrawal": {"type": "string", "description": "its number, where this call carried it out"}, "erase_after": {"type": "string", "format": "date-time"}, "words": {"type": "array", "items": {"type": "string"}}}},
"ConsentPerson": {"type": "object", "required": ["withdrawn", "words", "share", "opted_out", "events"], "properties": {"pseudonym": {"type": "string"}, "withdrawn": {"type": "string"}, "words": {"type": "array", "items": {"type": "string"}},
	"share": {"type": "string", "enum": ["permit", "review", "deny"]}, "opted_out": {"type": "boolean"}, "events": {"type": "array", "items": {"type": "object"}}, "withdrawal": {"$ref": "#/components/schemas/Withdrawal"}}},
"ConsentReport": {"type": "object", "required": ["rows", "recorded", "known", "refused", "withdrawn", "without", "problems"], "properties": {"rows": {"type": "integer"}, "recorded": {"type": "integer"}, "known": {"type": "integer"}, "refused": {"type": "integer"},
	"withdrawn": {"type": "integer"}, "without": {"type": "integer", "description": "rows of people of whom there is nothing yet"},
	"problems": {"type": "array", "items": {"type": "object", "required": ["row", "text"], "properties": {"row": {"type": "integer"}, "column": {"type": "string"}, "text": {"type": "string"}}}}}},
"ConsentSummary": {"type": "object", "required": ["people", "withdrawn", "uses", "words", "bases"], "properties": {"people": {"type": "integer", "description": "0: none, or fewer than ten"}, "withdrawn": {"type": "integer"}, "uses": {"type": "array", "items": {"type": "object"}},
	"words": {"type": "array", "items": {"type": "string"}}, "bases": {"type": "array", "items": {"$ref": "#/components/schemas/Basis"}}}},
"Basis": {"type": "object", "required": ["id", "kind", "by", "created"], "properties": {"id": {"type": "string"}, "kind": {"type": "string", "enum": ["consent", "s251", "anonymised", "public"]}, "reference": {"type": "string"},
	"from": {"type": "string", "format": "date-time"}, "until": {"type": "string", "format": "date-time"}, "came_before": {"type": "string", "format": "date-time"}, "opt_out": {"type": "string", "enum": ["applies", "waived", "elsewhere"]},
	"opt_out_checked": {"type": "string", "format": "date-time"}, "attested": {"type": "boolean"}, "by": {"type": "string"}, "created": {"type": "string", "format": "date-time"}, "ended": {"type": "string", "format": "date-time"}}},
"NewBasis": {"type": "object", "additionalProperties": false, "required": ["kind"], "properties": {"kind": {"type": "string", "enum": ["consent", "s251", "anonymised", "public"]}, "reference": {"type": "string", "maxLength": 200, "description": "of the Confidentiality Advisory Group"},
	"from": {"type": "string", "format": "date-time"}, "until": {"type": "string", "format": "date-time"}, "came_before": {"type": "string", "format": "date-time", "description": "it covers those alone of whom something came before"},
	"opt_out": {"type": "string", "enum": ["applies", "waived", "elsewhere"]}}},
"Withdrawal": {"type": "object", "required": ["id", "pseudonym", "scope", "by", "at", "erase_after", "studies", "instances"], "properties": {"id": {"type": "string"}, "pseudonym": {"type": "string"}, "scope": {"type": "string"}, "by": {"type": "string"},
	"at": {"type": "string", "format": "date-time"}, "erase_after": {"type": "string", "format": "date-time"}, "erased": {"type": "string", "format": "date-time"}, "studies": {"type": "integer"}, "instances": {"type": "integer"}}},
"SignedDocument": {"type": "object", "required": ["document", "signature", "public_key"], "properties": {"document": {"type": "string", "description": "canonical JSON (RFC 8785)"}, "signature": {"type": "string", "description": "a note of golang.org/x/mod/sumdb/note"}, "public_key": {"type": "string"}}},
"OptOutCheck": {"type": "object", "required": ["people"], "properties": {"people": {"type": "integer"}}},
"NewNumber": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
"FormAdded": {"type": "object", "required": ["added"], "properties": {"added": {"type": "boolean", "description": "false: it was there already"}}},
"NewTicket": {"type": "object", "additionalProperties": false, "required": ["days"], "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 30}}},
"Ticket": {"type": "object", "required": ["ticket", "until"], "properties": {"ticket": {"type": "string"}, "until": {"type": "string", "format": "date-time"}}},
"AboutDataset": {"type": "object", "additionalProperties": false, "required": ["title", "abstract"], "properties": {"title": {"type": "string", "maxLength": 300}, "abstract": {"type": "string", "maxLength": 2000}, "description": {"type": "string"},
	"keywords": {"type": "array", "items": {"type": "string"}}, "cohort": {"type": "object", "additionalProperties": false, "description": "what is not said does not narrow it", "properties": {"studies": {"type": "object", "additionalProperties": {"type": "string"}, "description": "conditions on studies as QIDO-RS has them"},
	"modalities": {"type": "array", "items": {"type": "string"}}, "sop_classes": {"type": "array", "items": {"type": "string"}}, "sexes": {"type": "array", "items": {"type": "string"}}, "age_min": {"type": "integer"}, "age_max": {"type": "integer"},
	"diagnoses": {"type": "array", "items": {"type": "string"}, "description": "codes with their system, as ICD-10 C50, and all that are kinds of them"}, "stages": {"type": "array", "items": {"type": "string"}}}},
	"splits": {"type": "object", "additionalProperties": false, "description": "shares of people in percent, 100 together; none: no parts", "properties": {"train": {"type": "integer"}, "validation": {"type": "integer"}, "test": {"type": "integer"}}},
	"creators": {"type": "array", "items": {"type": "object"}}, "license": {"type": "object"}, "data_use": {"type": "object", "description": "can only narrow the collection's"}}},
"NewDataset": {"type": "object", "additionalProperties": false, "required": ["id", "collection", "about"], "properties": {"id": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}, "collection": {"type": "string"}, "about": {"$ref": "#/components/schemas/AboutDataset"}}},
"Dataset": {"type": "object", "required": ["id", "collection", "about", "created", "releases"], "properties": {"id": {"type": "string"}, "collection": {"type": "string"}, "about": {"$ref": "#/components/schemas/AboutDataset"}, "created": {"type": "string", "format": "date-time"},
	"releases": {"type": "array", "items": {"$ref": "#/components/schemas/Release"}}}},
"Release": {"type": "object", "required": ["name", "dataset", "version", "collection", "state", "title", "abstract", "root", "objects", "bytes", "people", "consent_cutoff", "frozen"], "properties": {"name": {"type": "string"}, "dataset": {"type": "string"}, "version": {"type": "string"},
	"collection": {"type": "string"}, "state": {"type": "string", "enum": ["draft", "published", "amended", "superseded", "tombstoned"]}, "title": {"type": "string"}, "abstract": {"type": "string"}, "root": {"type": "string", "description": "RFC 6962 tree hash of the manifest"},
	"objects": {"type": "integer"}, "bytes": {"type": "integer"}, "people": {"type": "integer", "description": "0: none, or fewer than ten"}, "splits": {"type": "array", "items": {"type": "object"}}, "modalities": {"type": "array", "items": {"type": "string"}}, "doi": {"type": "string"}, "doi_resolves": {"type": "boolean"},
	"license": {"type": "object"}, "profile": {"type": "string"}, "stated": {"type": "boolean", "description": "the node has signed a statement of the de-identification"}, "policy": {"type": "string", "description": "SHA-256 of what it may be used for"},
	"previous": {"type": "string"}, "next": {"type": "string"}, "consent_cutoff": {"type": "string", "format": "date-time"}, "frozen": {"type": "string", "format": "date-time"}, "published": {"type": "string", "format": "date-time"}, "embargo": {"type": "string", "format": "date-time"},
	"tombstone": {"type": "object"}, "left_out": {"type": "object"}, "risk_accepted": {"type": "string"}, "exact": {"type": "object", "description": "to who makes releases"}}},
"Freezing": {"type": "object", "additionalProperties": false, "properties": {"version": {"type": "string", "description": "without it, the next"}, "accept_risk": {"type": "string", "description": "why it is released though people are told apart too easily"}, "embargo": {"type": "string", "format": "date-time"}}},
"NewTombstone": {"type": "object", "additionalProperties": false, "required": ["code", "reason"], "properties": {"code": {"type": "string", "enum": ["withdrawal", "deidentification-defect", "legal", "policy", "error"]}, "reason": {"type": "string", "maxLength": 1000, "description": "public; it names nobody"}}},
"Comparison": {"type": "object", "required": ["dataset", "next", "people", "studies", "new_people", "gone_people", "new_studies", "gone_studies", "left_out", "words"], "properties": {"dataset": {"type": "string"}, "last": {"type": "string"}, "next": {"type": "string"}, "people": {"type": "integer"},
	"studies": {"type": "integer"}, "new_people": {"type": "integer"}, "gone_people": {"type": "integer"}, "new_studies": {"type": "integer"}, "gone_studies": {"type": "integer"}, "left_out": {"type": "object"}, "words": {"type": "string"}}},
"Decision": {"type": "object", "required": ["verdict", "reasons"], "properties": {"verdict": {"type": "string", "enum": ["permit", "review", "deny"]}, "reasons": {"type": "array", "items": {"type": "object"}}, "duties": {"type": "array", "items": {"type": "string"}}, "months": {"type": "integer"}}},
"Risk": {"type": "object", "required": ["people", "fields", "wanted", "smallest", "below", "alone", "classes", "tells"], "properties": {"people": {"type": "integer"},
	"fields": {"type": "array", "items": {"type": "string"}}, "wanted": {"type": "integer"}, "smallest": {"type": "integer", "description": "size of the smallest class of people of whom the same is told"},
	"below": {"type": "integer", "description": "people in classes smaller than is asked for"}, "alone": {"type": "integer"},
	"classes": {"type": "array", "items": {"type": "object", "properties": {"values": {"type": "array", "items": {"type": "string"}}, "people": {"type": "integer"}}}},
	"tells": {"type": "array", "items": {"type": "object", "properties": {"fields": {"type": "array", "items": {"type": "string"}}, "people": {"type": "integer"}}}},
	"mend": {"type": "object", "properties": {"steps": {"type": "array", "items": {"type": "object", "properties": {"field": {"type": "string"}, "now": {"type": "string"}, "then": {"type": "string"}}}},
	"smallest": {"type": "integer"}, "below": {"type": "integer", "description": "people who would have to be left out all the same"}}},
	"spare": {"type": "object", "description": "the same, where a twentieth of the people at most are left out"},
	"faces": {"type": "object", "description": "series of CT, MR, PET and nuclear medicine by what their pixels show", "properties": {"could": {"type": "integer", "description": "that could show a face: found, unsure and unknown together"},
	"found": {"type": "integer"}, "unsure": {"type": "integer"}, "unknown": {"type": "integer", "description": "not looked at"}, "none": {"type": "integer"}}}}},
"Report": {"type": "object", "description": "What was done to a deposit, in counts: docs/formats/report.md.", "required": ["format", "deposit", "collection", "door", "started", "made", "software", "came", "outcomes", "profiles", "why", "done", "pixels", "gate", "limits"],
	"properties": {"format": {"type": "string"}, "deposit": {"type": "string"}, "collection": {"type": "string"}, "door": {"type": "string"}, "started": {"type": "string", "format": "date-time"},
	"ended": {"type": "string", "format": "date-time"}, "made": {"type": "string", "format": "date-time"}, "software": {"type": "string"}, "came": {"type": "object"}, "outcomes": {"type": "object"},
	"profiles": {"type": "array", "items": {"type": "object"}}, "why": {"type": "object"}, "done": {"$ref": "#/components/schemas/Told"}, "pixels": {"type": "object"}, "gate": {"type": "object"},
	"limits": {"type": "array", "items": {"type": "string"}}}},
"Told": {"type": "object", "required": ["objects", "actions", "elements"], "properties": {"objects": {"type": "integer"}, "actions": {"type": "object"},
	"elements": {"type": "array", "items": {"type": "object", "required": ["name", "action", "by", "elements", "objects"], "properties": {"element": {"type": "string"}, "creator": {"type": "string"}, "keyword": {"type": "string"},
	"name": {"type": "string"}, "action": {"type": "string"}, "by": {"type": "string"}, "row": {"type": "string"}, "rule": {"type": "string"}, "elements": {"type": "integer"}, "objects": {"type": "integer"}}}}}},
"SignedStatement": {"type": "object", "required": ["statement", "signature", "public_key"], "properties": {"statement": {"type": "string", "description": "canonical JSON (RFC 8785): docs/formats/statement.md"},
	"signature": {"type": "string", "description": "a note of golang.org/x/mod/sumdb/note"}, "public_key": {"type": "string"}}},
"Reason": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}, "where": {"type": "string"}, "text": {"type": "string"}}},
"Item": {"type": "object", "required": ["deposit", "item", "outcome", "reasons"], "properties": {"id": {"type": "string"}, "deposit": {"type": "string"},
	"item": {"type": "integer", "description": "its place in the deposit, from 1"}, "outcome": {"type": "string", "enum": ["held", "conflict", "refused"]},
	"reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}}}},
"Deposit": {"type": "object", "required": ["id", "collection", "door", "actor", "counts", "duplicates"], "properties": {"id": {"type": "string"}, "collection": {"type": "string"},
	"door": {"type": "string"}, "actor": {"type": "string"}, "started": {"type": "string", "format": "date-time"}, "ended": {"type": "string", "format": "date-time"},
	"counts": {"$ref": "#/components/schemas/Intake"}, "duplicates": {"type": "integer"}}},
"Fate": {"allOf": [{"$ref": "#/components/schemas/Deposit"}, {"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}}}]},
"NewToken": {"type": "object", "additionalProperties": false, "required": ["name", "role", "collection"], "properties": {"name": {"type": "string", "maxLength": 100},
	"role": {"type": "string", "enum": ["depositor", "researcher", "physicist", "custodian", "committee", "funder", "steward", "admin", "gateway", "site-gateway"]},
	"collection": {"type": "string", "description": "an id, or * for every collection"}, "expires": {"type": "string", "format": "date-time"}, "secret": {"type": "string", "minLength": 16}}},
"Token": {"type": "object", "required": ["id", "kind", "name", "role", "collection"], "properties": {"id": {"type": "string"}, "kind": {"type": "string", "enum": ["token", "ssh-key"]},
	"name": {"type": "string"}, "role": {"type": "string"}, "collection": {"type": "string"}, "created": {"type": "string", "format": "date-time"}, "expires": {"type": "string", "format": "date-time"},
	"token": {"type": "string", "description": "the secret, in the answer to its creation alone"}}},
"NewSSHKey": {"type": "object", "additionalProperties": false, "required": ["collection", "name", "key"], "properties": {"collection": {"type": "string"}, "name": {"type": "string"},
	"key": {"type": "string", "description": "the line of an OpenSSH .pub file"}}},
"Forward": {"type": "object", "required": ["aet", "collection"], "properties": {"aet": {"type": "string", "maxLength": 16}, "collection": {"type": "string"},
	"what": {"type": "string", "enum": ["released", "admitted"], "description": "what is released; or what is admitted, and then both"}, "created": {"type": "string", "format": "date-time"},
	"sent": {"type": "integer", "description": "instances delivered"}, "waiting": {"type": "integer", "description": "studies of which something may have to go"},
	"tried": {"type": "string", "format": "date-time"}, "failures": {"type": "integer", "description": "passes in a row that left something"}, "reason": {"type": "string"}}},
"Peer": {"type": "object", "required": ["aet", "host", "port", "may", "collection"], "properties": {"aet": {"type": "string", "maxLength": 16}, "host": {"type": "string"},
	"port": {"type": "integer", "minimum": 1, "maximum": 65535}, "may": {"type": "string", "description": "store, find, move, get, with commas between"}, "collection": {"type": "string"},
	"certificate": {"type": "string", "description": "SHA-256 of its client certificate, hexadecimal"}, "created": {"type": "string", "format": "date-time"},
	"associations": {"type": "integer", "minimum": 0}, "transfers": {"type": "integer", "minimum": 0}, "queries": {"type": "integer", "minimum": 0}}},
"WithdrawnCopy": {"type": "object", "required": ["peer", "collection", "study", "instances"], "properties": {"peer": {"type": "string"}, "collection": {"type": "string"}, "study": {"type": "string"},
	"instances": {"type": "array", "items": {"type": "string"}, "description": "SOP Instance UIDs"}}},
"PeerLimits": {"type": "object", "additionalProperties": false, "properties": {"associations": {"type": "integer", "minimum": 0, "maximum": 100000, "description": "at a time; 0: the node's own bound"},
	"transfers": {"type": "integer", "minimum": 0, "maximum": 100000, "description": "C-MOVE and C-GET at a time"}, "queries": {"type": "integer", "minimum": 0, "maximum": 100000, "description": "C-FIND, C-MOVE and C-GET a second"}}},
"AuditPage": {"type": "object", "required": ["size", "entries"], "properties": {"size": {"type": "integer"}, "entries": {"type": "array", "items": {"type": "object",
	"required": ["seq", "time", "actor", "action", "outcome"], "properties": {"seq": {"type": "integer"}, "time": {"type": "string", "format": "date-time"}, "actor": {"type": "string"},
	"action": {"type": "string"}, "object": {"type": "string"}, "collection": {"type": "string"}, "outcome": {"type": "string"}}}}}},
"Use": {"type": "object", "required": ["id", "title", "verdict", "reasons"], "properties": {"id": {"type": "string"}, "title": {"type": "string"},
	"verdict": {"type": "string", "enum": ["permit", "review", "deny"], "description": "review: a person has to decide"},
	"reasons": {"type": "array", "items": {"type": "object", "required": ["rule", "verdict", "text"], "properties": {"rule": {"type": "string", "description": "code of the Data Use Ontology, of ours, or of a restriction of consent"},
		"verdict": {"type": "string", "enum": ["permit", "review", "deny"]}, "text": {"type": "string"}, "remedy": {"type": "string"}}}},
	"duties": {"type": "array", "items": {"type": "string"}}, "months": {"type": "integer", "description": "for how long use is permitted at most"}}},
"DirectoryEntry": {"type": "object", "required": ["id", "state", "revision", "entry"], "properties": {"id": {"type": "string"}, "state": {"type": "string", "enum": ["draft", "published", "retired"]},
	"revision": {"type": "integer", "description": "of the entry that is given"}, "latest": {"type": "integer"}, "published": {"type": "integer", "description": "the revision that the public sees; 0: none"},
	"entry": {"$ref": "#/components/schemas/Description"}, "counts": {"type": "object", "description": "published numbers"},
	"completeness": {"type": "object", "properties": {"score": {"type": "integer"}, "gaps": {"type": "array", "items": {"$ref": "#/components/schemas/Gap"}}}}}},
"Description": {"type": "object", "description": "What is said of a collection: the document of docs/formats/directory.md. A field that does not exist is refused.", "required": ["holding"],
	"properties": {"holding": {"type": "string", "enum": ["here", "elsewhere"]}, "collection": {"type": "string"}, "title": {"type": "string", "maxLength": 150}, "abstract": {"type": "string", "maxLength": 255}}},
"Number": {"type": "object", "description": "a published number: known and rounded to ten, or withheld, which is fewer than ten or none", "properties": {"value": {"type": "integer"}, "known": {"type": "boolean"},
	"withheld": {"type": "boolean"}, "below": {"type": "integer"}}},
"Found": {"type": "object", "required": ["total", "people", "page", "size", "hits", "facets"], "properties": {"total": {"type": "integer", "description": "collections that match"},
	"people": {"$ref": "#/components/schemas/Number"}, "asOf": {"type": "string", "format": "date"}, "page": {"type": "integer"}, "size": {"type": "integer"},
	"hits": {"type": "array", "items": {"type": "object", "required": ["id", "entry", "people"], "properties": {"id": {"type": "string"}, "entry": {"$ref": "#/components/schemas/Description"},
		"people": {"$ref": "#/components/schemas/Number"}, "counts": {"type": "object", "description": "published numbers"}}}},
	"facets": {"type": "array", "items": {"type": "object", "required": ["facet", "values"], "properties": {"facet": {"type": "string"}, "more": {"type": "integer"},
		"values": {"type": "array", "items": {"$ref": "#/components/schemas/FacetValue"}}}}},
	"understood": {"type": "array", "items": {"type": "object", "properties": {"text": {"type": "string"}, "meant": {"type": "string", "description": "the word that a misspelt one was taken for"},
		"concepts": {"type": "array", "items": {"type": "object", "properties": {"system": {"type": "string"}, "code": {"type": "string"}}}}, "found": {"type": "integer"}}}},
	"near": {"type": "array", "description": "what all but one condition fits", "items": {"type": "object", "properties": {"id": {"type": "string"}, "title": {"type": "string"},
		"lacks": {"type": "string", "description": "a facet, or q"}, "text": {"type": "string"}, "found": {"type": "integer"}}}}}},
"FacetValue": {"type": "object", "required": ["value", "label", "collections", "people"], "properties": {"value": {"type": "string"}, "label": {"type": "string"}, "collections": {"type": "integer"},
	"people": {"$ref": "#/components/schemas/Number"}, "chosen": {"type": "boolean"}, "from": {"type": "integer"}, "to": {"type": "integer"}}},
"Gap": {"type": "object", "properties": {"path": {"type": "string"}, "what": {"type": "string"}, "why": {"type": "string"}, "weight": {"type": "integer"}, "needed": {"type": "boolean"}}},
"NewRevision": {"type": "object", "additionalProperties": false, "required": ["entry"], "properties": {"entry": {"$ref": "#/components/schemas/Description"},
	"base": {"type": "integer", "description": "the revision that it was made from, 0 for a new entry; another one in between is a conflict. Without it, whatever is newest is followed."},
	"note": {"type": "string", "maxLength": 500}, "publish": {"type": "boolean"}}},
"Import": {"type": "object", "required": ["drafts"], "properties": {"drafts": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"},
	"entry": {"$ref": "#/components/schemas/Description"}, "notes": {"type": "array", "items": {"type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"}}}}}}},
	"taken": {"type": "array", "items": {"$ref": "#/components/schemas/Taken"}}}},
"Counting": {"type": "object", "required": ["day", "collections", "renewed"], "properties": {"day": {"type": "string", "format": "date"}, "collections": {"type": "integer"}, "renewed": {"type": "integer"}}},
"Taken": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "revision": {"type": "integer"}, "published": {"type": "boolean"}, "problem": {"type": "string"}}},
"Publication": {"type": "object", "additionalProperties": false, "properties": {"revision": {"type": "integer", "description": "without it, the newest"}}},
"Status": {"type": "object", "required": ["state", "at", "version", "running_since", "parts", "hours", "received_in_a_day", "storage"], "properties": {"state": {"type": "string", "enum": ["well", "watch", "bad"]},
	"at": {"type": "string", "format": "date-time"}, "version": {"type": "string"}, "running_since": {"type": "string", "format": "date-time"},
	"parts": {"type": "array", "items": {"type": "object", "required": ["part", "name", "state", "says"], "properties": {"part": {"type": "string"}, "name": {"type": "string"},
	"state": {"type": "string", "enum": ["well", "watch", "bad"]}, "says": {"type": "string"}, "do": {"type": "string"}, "page": {"type": "string"}}}},
	"hours": {"type": "array", "items": {"type": "object", "properties": {"from": {"type": "string", "format": "date-time"}, "received": {"type": "integer"}}}}, "received_in_a_day": {"type": "integer"},
	"storage": {"type": "object", "properties": {"packs": {"type": "integer"}, "pack_bytes": {"type": "integer"}, "packs_in_bucket": {"type": "integer"}, "database_bytes": {"type": "integer"},
	"disk_bytes": {"type": "integer"}, "free_bytes": {"type": "integer"}}}}},
"NewLink": {"type": "object", "additionalProperties": false, "properties": {"label": {"type": "string", "maxLength": 200, "description": "for stewards' eyes"},
	"for": {"type": "string", "format": "email", "maxLength": 254, "description": "whom it is for; told to stewards alone"}, "days": {"type": "integer", "minimum": 1, "maximum": 90, "default": 14},
	"bytes": {"type": "integer", "minimum": 1, "default": 100000000000}, "files": {"type": "integer", "minimum": 1, "maximum": 1000000, "default": 100000}, "mail": {"type": "boolean", "default": false, "description": "send it there"}}},
"Link": {"type": "object", "required": ["id", "collection", "state", "made_by", "made", "expires", "quota_bytes", "quota_files", "used_bytes", "used_files"], "properties": {"id": {"type": "string"}, "collection": {"type": "string"},
	"state": {"type": "string", "enum": ["in force", "used up", "expired", "ended"]}, "label": {"type": "string"}, "for": {"type": "string"}, "made_by": {"type": "string"}, "made": {"type": "string", "format": "date-time"},
	"expires": {"type": "string", "format": "date-time"}, "revoked": {"type": "string", "format": "date-time"}, "quota_bytes": {"type": "integer"}, "quota_files": {"type": "integer"}, "used_bytes": {"type": "integer"},
	"used_files": {"type": "integer"}, "last_used": {"type": "string", "format": "date-time"}, "mail": {"type": "string", "enum": ["queued", "retried", "sent", "failed"]}, "mail_why": {"type": "string"},
	"link": {"type": "string", "description": "in the answer to who makes it alone"}}},
"NewPull": {"type": "object", "additionalProperties": false, "required": ["peer"], "properties": {"label": {"type": "string", "maxLength": 200}, "peer": {"type": "string", "description": "the archive's AE title, as registered"},
	"way": {"type": "string", "enum": ["move", "get"], "default": "move"}, "rate": {"type": "integer", "minimum": 0, "maximum": 100000, "description": "studies an hour"},
	"hours": {"type": "string", "description": "when it may run, as 22:00-06:00 mon-fri"}, "accessions": {"type": "array", "maxItems": 100000, "items": {"type": "string"}},
	"patients": {"type": "array", "maxItems": 100000, "items": {"type": "string"}}, "studies": {"type": "array", "maxItems": 100000, "items": {"type": "string"}}, "standing": {"type": "boolean"},
	"from": {"type": "string", "description": "first day of a standing pull, YYYYMMDD"}, "modalities": {"type": "array", "items": {"type": "string"}}, "described": {"type": "string", "maxLength": 64},
	"priors": {"type": "integer", "minimum": 0, "maximum": 50, "description": "years before a study of which the same patient's are fetched"}}},
"PullState": {"type": "object", "additionalProperties": false, "required": ["state"], "properties": {"state": {"type": "string", "enum": ["active", "paused", "ended"]}}},
"Fates": {"type": "object", "required": ["all", "waiting"], "properties": {"all": {"type": "integer"}, "waiting": {"type": "integer"}, "found": {"type": "integer"}, "nothing": {"type": "integer"},
	"done": {"type": "integer"}, "partial": {"type": "integer"}, "failed": {"type": "integer"}}},
"Pull": {"type": "object", "required": ["id", "collection", "peer", "way", "kind", "state", "created", "requests", "studies", "came", "failed"], "properties": {"id": {"type": "string"}, "collection": {"type": "string"},
	"peer": {"type": "string"}, "way": {"type": "string"}, "kind": {"type": "string", "enum": ["list", "standing"]}, "label": {"type": "string"}, "rate": {"type": "integer"}, "hours": {"type": "string"},
	"from": {"type": "string"}, "modalities": {"type": "array", "items": {"type": "string"}}, "described": {"type": "string"}, "priors": {"type": "integer"}, "state": {"type": "string", "enum": ["active", "paused", "ended"]},
	"why": {"type": "string"}, "advice": {"type": "string"}, "created": {"type": "string", "format": "date-time"}, "ran": {"type": "string", "format": "date-time"}, "until": {"type": "string"},
	"requests": {"$ref": "#/components/schemas/Fates"}, "studies": {"$ref": "#/components/schemas/Fates"}, "came": {"type": "integer"}, "failed": {"type": "integer"}}},
"Fate": {"type": "object", "required": ["state", "came", "changed"], "properties": {"request": {"type": "integer", "description": "its number in the list"},
	"state": {"type": "string", "enum": ["waiting", "running", "found", "nothing", "done", "partial", "failed"]}, "studies": {"type": "integer"}, "done": {"type": "integer"}, "expected": {"type": "integer"},
	"came": {"type": "integer"}, "failed": {"type": "integer"}, "why": {"type": "string"}, "advice": {"type": "string"}, "changed": {"type": "string", "format": "date-time"}}},
"Role": {"type": "object", "required": ["role", "collection"], "additionalProperties": false, "properties": {"role": {"type": "string",
	"enum": ["depositor", "researcher", "physicist", "custodian", "committee", "funder", "steward", "admin"]}, "collection": {"type": "string", "description": "an id, or * for every collection"}}},
"WayIn": {"type": "object", "required": ["expires"], "properties": {"link": {"type": "string"}, "code": {"type": "string"}, "expires": {"type": "string", "format": "date-time"}}},
"Person": {"type": "object", "required": ["id", "name", "roles", "state"], "properties": {"id": {"type": "string"}, "name": {"type": "string"},
	"roles": {"type": "array", "items": {"$ref": "#/components/schemas/Role"}}, "state": {"type": "string", "enum": ["invited", "active", "locked", "disabled"]}, "passkeys": {"type": "integer"},
	"apps": {"type": "integer"}, "identities": {"type": "integer"}, "sessions": {"type": "integer"}, "created": {"type": "string", "format": "date-time"}, "seen": {"type": "string", "format": "date-time"},
	"way_in": {"$ref": "#/components/schemas/WayIn"}}},
"NewPerson": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 100},
	"roles": {"type": "array", "items": {"$ref": "#/components/schemas/Role"}}, "by": {"type": "string", "enum": ["link", "code"], "default": "link"}}},
"PersonChange": {"type": "object", "additionalProperties": false, "properties": {"roles": {"type": "array", "items": {"$ref": "#/components/schemas/Role"}}, "disabled": {"type": "boolean"},
	"locked": {"type": "boolean", "description": "false, to lift a lock"}}},
"HeldItem": {"type": "object", "required": ["id", "acceptable"], "properties": {"id": {"type": "string"}, "state": {"type": "string", "enum": ["held", "conflict", "restricted"]}, "restrictable": {"type": "boolean"},
	"reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}}, "acceptable": {"type": "boolean", "description": "a person's word can answer every reason; cleaning it may still say otherwise"},
	"subject": {"type": "string", "description": "its pseudonym"}, "kind": {"type": "string"}, "modality": {"type": "string"}, "frames": {"type": "integer"}, "bytes": {"type": "integer"},
	"deposit": {"type": "string"}, "item": {"type": "integer", "description": "its place in the deposit, from 1"}, "actor": {"type": "string"}, "received": {"type": "string", "format": "date-time"}}},
"NewDecision": {"type": "object", "additionalProperties": false, "required": ["items"], "properties": {"items": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": "string"}},
	"note": {"type": "string", "maxLength": 200, "description": "one line that names nobody: the audit log keeps it, and the depositor of what is refused reads it"}}},
"NewPainting": {"type": "object", "additionalProperties": false, "required": ["items"], "properties": {"items": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": "string"}},
	"note": {"type": "string", "maxLength": 200, "description": "one line that names nobody, for the audit log"},
	"boxes": {"type": "array", "maxItems": 4096, "description": "painted over in every item, besides what a reading finds", "items": {"type": "object", "additionalProperties": false, "required": ["first", "box"], "properties": {
		"first": {"type": "integer", "minimum": 1, "description": "the first frame it is in, counted from 1"}, "last": {"type": "integer", "description": "the last; without it, that of the image"},
		"box": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "integer", "minimum": 0}, "description": "in pixels as they are stored: first column, first row, and the column and row after the last, from 0"}}}},
	"only": {"type": "boolean", "default": false, "description": "nothing but the boxes is painted: you have looked at every frame, and answer for what a reading takes for text besides"}}},
"Decided": {"allOf": [{"$ref": "#/components/schemas/HeldItem"}, {"type": "object", "required": ["outcome"], "properties": {"outcome": {"type": "string", "enum": ["accepted", "restricted", "refused", "held", "gone", "failed"]},
	"left": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}, "description": "what keeps it held"}}}]},
"Box": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "integer", "minimum": 0}, "description": "in pixels as they are stored: first column, first row, and the column and row after the last, from 0"},
"Alike": {"type": "object", "required": ["layout", "kind", "items", "subjects", "oldest", "reasons", "actions", "needs_boxes", "first", "last"], "properties": {
	"layout": {"type": "string", "description": "its address: a keyed hash of what its items have in common"}, "kind": {"type": "string", "description": "the same for all of its kind, of whatever form their pictures are"},
	"items": {"type": "integer"}, "subjects": {"type": "integer"}, "oldest": {"type": "string", "format": "date-time"}, "class": {"type": "string"}, "device": {"type": "string", "description": "as the collection's profile leaves it"},
	"rows": {"type": "integer"}, "columns": {"type": "integer"}, "frames": {"type": "integer"}, "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
	"actions": {"type": "array", "items": {"type": "string", "enum": ["accept", "paint", "restrict", "refuse"]}, "description": "what may be decided once for all"},
	"needs_boxes": {"type": "boolean", "description": "its pictures may show text: who accepts what comes has to say in which boxes it is nobody's"}, "first": {"type": "string"}, "last": {"type": "string"},
	"of_kind": {"type": "integer", "description": "items of its kind; of one pool alone, as what follows"}, "forms": {"type": "integer", "description": "in so many pools"},
	"looked": {"type": "integer", "description": "of so many items the boxes are put together"}, "read": {"type": "integer", "description": "of which every frame was read"},
	"found": {"type": "array", "items": {"type": "object", "required": ["box", "items"], "properties": {"box": {"$ref": "#/components/schemas/Box"}, "items": {"type": "integer"}}}}}},
"NewRuling": {"type": "object", "additionalProperties": false, "required": ["layout", "action"], "properties": {"layout": {"type": "string", "description": "of what was looked at"},
	"whole": {"type": "boolean", "default": false, "description": "of its whole kind, of whatever form the pictures are"}, "action": {"type": "string", "enum": ["accept", "paint", "restrict", "refuse"]},
	"boxes": {"type": "array", "maxItems": 256, "items": {"type": "object", "required": ["box"], "properties": {"first": {"type": "integer", "default": 1}, "last": {"type": "integer", "default": 0, "description": "0: the last frame that there is"}, "box": {"$ref": "#/components/schemas/Box"}}},
	"description": "of paint: painted over beside what is found; of accept: what looks like text in them is nobody's"}, "note": {"type": "string", "maxLength": 200, "description": "one line that names nobody"}}},
"NewIdentifier": {"type": "object", "additionalProperties": false, "required": ["text"], "properties": {"text": {"type": "string", "minLength": 2, "maxLength": 200},
	"name": {"type": "boolean", "default": false, "description": "somebody's: its parts identify too, however they are spelt"}, "note": {"type": "string", "maxLength": 200, "description": "one line without the text, that names nobody"}}},
"Identifier": {"type": "object", "required": ["text", "name"], "properties": {"text": {"type": "string"}, "name": {"type": "boolean"}}},
"Texts": {"type": "object", "required": ["running", "objects", "texts"], "properties": {"running": {"type": "boolean"}, "failed": {"type": "boolean"}, "begun": {"type": "string", "format": "date-time"},
	"ended": {"type": "string", "format": "date-time"}, "objects": {"type": "integer", "description": "looked through by now"}, "full": {"type": "boolean", "description": "there are more than are listed"},
	"texts": {"type": "array", "description": "those first that have a word of no vocabulary", "items": {"type": "object", "required": ["element", "value", "plain", "objects"], "properties": {
	"element": {"type": "string"}, "name": {"type": "string"}, "value": {"type": "string"}, "cut": {"type": "boolean", "description": "there is more of it"}, "plain": {"type": "boolean"}, "objects": {"type": "integer"}}}}}},
"EndOfRuling": {"type": "object", "additionalProperties": false, "properties": {"note": {"type": "string", "maxLength": 200}}},
"Ruling": {"type": "object", "required": ["number", "subject", "actor", "made", "in_force", "in_sight"], "properties": {"number": {"type": "integer"},
	"subject": {"type": "string", "enum": ["kind", "layout", "identifier"], "description": "what it is about; the text of an identifier is not shown with it"}, "action": {"type": "string", "enum": ["accept", "paint", "restrict", "refuse"]},
	"class": {"type": "string"}, "codes": {"type": "array", "items": {"type": "string"}, "description": "of the reasons"}, "rows": {"type": "integer"}, "columns": {"type": "integer"}, "device": {"type": "string"},
	"boxes": {"type": "array", "items": {"type": "object", "properties": {"first": {"type": "integer"}, "last": {"type": "integer"}, "box": {"$ref": "#/components/schemas/Box"}}}}, "note": {"type": "string"}, "actor": {"type": "string"},
	"made": {"type": "string", "format": "date-time"}, "in_force": {"type": "boolean"}, "ended_by": {"type": "string"}, "ended": {"type": "string", "format": "date-time"}, "end_note": {"type": "string"},
	"in_sight": {"type": "integer", "description": "objects that it accepted and that can be seen"}}},
"IdentityQuestion": {"type": "object", "additionalProperties": false, "required": ["collection", "subject", "reason"], "properties": {"collection": {"type": "string"},
	"subject": {"type": "string", "description": "its pseudonym"}, "reason": {"type": "string", "maxLength": 2000, "description": "at least ten words; kept encrypted, for who may consent"}}},
"IdentityDecision": {"type": "object", "additionalProperties": false, "required": ["consent"], "properties": {"consent": {"type": "boolean"}}},
"IdentityRequest": {"type": "object", "required": ["id", "collection", "subject", "state", "asked_by", "asked", "own", "may_decide", "may_see"], "properties": {"id": {"type": "string"}, "collection": {"type": "string"},
	"subject": {"type": "string"}, "state": {"type": "string", "enum": ["asked", "consented", "declined", "seen"]}, "asked_by": {"type": "string"}, "asked": {"type": "string", "format": "date-time"},
	"ends": {"type": "string", "format": "date-time"}, "reason": {"type": "string"}, "decided_by": {"type": "string"}, "decided": {"type": "string", "format": "date-time"}, "own": {"type": "boolean"},
	"may_decide": {"type": "boolean"}, "may_see": {"type": "boolean"}, "identities": {"type": "array", "description": "in the one answer that tells who the subject is",
	"items": {"type": "object", "properties": {"patient_id": {"type": "string"}, "issuer": {"type": "string"}, "name": {"type": "string"}, "birth_date": {"type": "string"}}}}}},
"Equipment": {"type": "object", "required": ["collection", "title", "state", "profile", "version", "rules", "no_reidentification", "no_automatic_acceptance"], "properties": {"collection": {"type": "string"}, "title": {"type": "string"},
	"state": {"type": "string", "enum": ["open", "closed"]}, "profile": {"type": "string"}, "version": {"type": "string"}, "digest": {"type": "string", "description": "SHA-256 of the file of the collection's own rules"}, "file": {"type": "string"},
	"rules": {"type": "string", "description": "version of what cleans at the node"}, "no_reidentification": {"type": "boolean"}, "no_automatic_acceptance": {"type": "boolean"}}},
"GatewayStatus": {"type": "object", "required": ["collection", "node", "secret", "profile", "waiting_studies", "waiting_instances", "held", "sent", "recalls"], "properties": {"collection": {"type": "string"}, "node": {"type": "string"},
	"secret": {"type": "string", "enum": ["node", "site"]}, "profile": {"type": "string"}, "refreshed": {"type": "string", "format": "date-time"}, "waiting_studies": {"type": "integer"}, "waiting_instances": {"type": "integer"},
	"oldest": {"type": "string", "format": "date-time"}, "succeeded": {"type": "string", "format": "date-time"}, "failing": {"type": "string", "format": "date-time"},
	"failure": {"type": "string", "enum": ["unreachable", "certificate", "token", "denied", "full", "busy", "local", "protocol"]}, "held": {"type": "integer", "description": "that wait for the site's stewards"},
	"sent": {"type": "object", "description": "by what became of them at the node", "additionalProperties": {"type": "integer"}}, "recalls": {"type": "integer", "description": "in which something was found since, and of which the node is not told yet"}}},
"RequestForm": {"type": "object", "additionalProperties": false, "description": "what an applicant writes; title, summary and organisation are published in the register of uses once data may be used", "properties": {"title": {"type": "string", "maxLength": 150}, "summary": {"type": "string", "maxLength": 1500, "description": "in lay words"},
	"aims": {"type": "string", "maxLength": 4000}, "benefit": {"type": "string", "maxLength": 4000, "description": "to the public"}, "funding": {"type": "string", "maxLength": 4000}, "outputs": {"type": "string", "maxLength": 4000},
	"organisation": {"type": "object", "additionalProperties": false, "properties": {"name": {"type": "string", "maxLength": 200}, "ror": {"type": "string"}, "kind": {"type": "string", "enum": ["", "academic", "nhs", "charity", "funder", "commercial", "cro"]}}},
	"members": {"type": "array", "maxItems": 50, "items": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {"name": {"type": "string"}, "orcid": {"type": "string"}}}},
	"purpose": {"type": "object", "additionalProperties": {"type": "string"}, "description": "the parameters of matchUse but organisation, which follows from the kind"}, "place": {"type": "string", "maxLength": 4000, "description": "where the data will be"},
	"evidence": {"type": "string", "maxLength": 4000}, "named": {"type": "boolean", "description": "the register may name the applicant"}}},
"NewRequest": {"type": "object", "additionalProperties": false, "required": ["for", "form"], "properties": {"for": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "object", "additionalProperties": false, "required": ["collection"], "properties": {"collection": {"type": "string"},
	"dataset": {"type": "string", "description": "empty: every dataset of the collection"}, "versions": {"type": "string", "default": "*", "description": "1.x, 1.2.0 or *"}}}}, "form": {"$ref": "#/components/schemas/RequestForm"}, "submit": {"type": "boolean", "default": false}}},
"Terms": {"type": "object", "additionalProperties": false, "required": ["capability", "until"], "properties": {"capability": {"type": "string", "enum": ["count", "preview", "view", "analyse", "download"]}, "from": {"type": "string", "format": "date-time", "description": "without it: from now on"},
	"until": {"type": "string", "format": "date-time", "description": "not at this moment any more"}, "conditions": {"type": "string", "maxLength": 4000}, "override": {"type": "string", "maxLength": 4000, "description": "why, where the match denied when it was handed in and the policy was changed since: five words at least"}, "text": {"type": "string", "maxLength": 4000},
	"settled": {"type": "array", "readOnly": true, "items": {"type": "string"}, "description": "conditions that the match left open, and who approved has judged"}, "open": {"type": "array", "readOnly": true, "items": {"type": "string"}, "description": "what is left open still: nothing is given before it is not"},
	"policies": {"type": "string", "readOnly": true, "description": "fingerprint of the policies that who approved saw: where they are changed nothing is settled any more"}}},
"RequestAct": {"type": "object", "additionalProperties": false, "required": ["do"], "properties": {"do": {"type": "string", "enum": ["submit", "take", "ask", "answer", "approve", "reject", "withdraw", "close"]}, "item": {"type": "integer", "description": "without it: the only one, or every one that it can be done to"},
	"seen": {"type": "integer", "description": "seq of the request as it was looked at: if something happened since, nothing is done"}, "text": {"type": "string", "maxLength": 4000}, "terms": {"$ref": "#/components/schemas/Terms"}}},
"RequestItem": {"type": "object", "required": ["item", "collection", "title", "versions", "state", "next", "since", "custodian_days", "applicant_days"], "properties": {"item": {"type": "integer"}, "collection": {"type": "string"}, "title": {"type": "string"}, "dataset": {"type": "string"},
	"versions": {"type": "string"}, "state": {"type": "string", "enum": ["draft", "submitted", "clarify", "in_review", "approved", "rejected", "withdrawn", "expired", "closed"]}, "turn": {"type": "string", "enum": ["custodian", "applicant"]}, "next": {"type": "string"},
	"since": {"type": "string", "format": "date-time"}, "submitted": {"type": "string", "format": "date-time"}, "decided": {"type": "string", "format": "date-time"}, "custodian_days": {"type": "number"}, "applicant_days": {"type": "number"},
	"match": {"type": "object", "description": "as of matchUse, when it was handed in; of a draft, by now"}, "now": {"type": "object", "description": "by the terms of now, for who decides: what they refuse cannot be approved"}, "terms": {"$ref": "#/components/schemas/Terms"}, "may_decide": {"type": "boolean"}, "orphan": {"type": "boolean", "description": "the collection has no custodian"}}},
"RequestHeading": {"allOf": [{"$ref": "#/components/schemas/RequestItem"}, {"type": "object", "required": ["id", "project", "applicant", "own", "changed"], "properties": {"id": {"type": "string"}, "project": {"type": "string"}, "applicant": {"type": "string"}, "own": {"type": "boolean"},
	"changed": {"type": "string", "format": "date-time"}}}]},
"Request": {"type": "object", "required": ["id", "applicant", "own", "form", "created", "changed", "seq", "items", "events", "agreements", "entitlements"], "properties": {"id": {"type": "string"}, "applicant": {"type": "string"}, "own": {"type": "boolean"},
	"form": {"$ref": "#/components/schemas/RequestForm"}, "unsent": {"type": "boolean", "description": "the form is as it is being written"}, "created": {"type": "string", "format": "date-time"}, "changed": {"type": "string", "format": "date-time"}, "seq": {"type": "integer"},
	"items": {"type": "array", "items": {"$ref": "#/components/schemas/RequestItem"}}, "events": {"type": "array", "items": {"type": "object", "required": ["seq", "what", "by", "at"], "properties": {"seq": {"type": "integer"}, "item": {"type": "integer"}, "what": {"type": "string"},
	"by": {"type": "string"}, "mine": {"type": "boolean"}, "at": {"type": "string", "format": "date-time"}, "text": {"type": "string"}}}},
	"agreements": {"type": "array", "items": {"$ref": "#/components/schemas/Agreement"}}, "entitlements": {"type": "array", "items": {"$ref": "#/components/schemas/Entitlement"}}}},
"NewAgreement": {"type": "object", "additionalProperties": false, "required": ["organisation", "parties", "effective", "expires", "document"], "properties": {"collection": {"type": "string", "description": "without it: the only one of the request"}, "scope": {"type": "string", "enum": ["project", "organisation"], "default": "project"},
	"template": {"type": "string", "maxLength": 200}, "organisation": {"type": "string", "maxLength": 200, "description": "that it binds"}, "ror": {"type": "string"}, "parties": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string"}, "description": "who signed, and for whom"},
	"deviations": {"type": "string", "maxLength": 4000}, "commercial": {"type": "boolean", "default": false, "description": "it covers use for profit"}, "effective": {"type": "string", "format": "date-time"}, "expires": {"type": "string", "format": "date-time", "description": "not at this moment any more"},
	"document": {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/pdf", "description": "8 MB at most"}}},
"Agreement": {"type": "object", "required": ["id", "request", "collection", "title", "scope", "commercial", "effective", "expires", "state", "sha256", "size", "uploaded_by", "uploaded", "organisation", "parties"], "properties": {"id": {"type": "string"}, "request": {"type": "string"}, "collection": {"type": "string"},
	"title": {"type": "string"}, "scope": {"type": "string", "enum": ["project", "organisation"]}, "template": {"type": "string"}, "commercial": {"type": "boolean"}, "effective": {"type": "string", "format": "date-time"}, "expires": {"type": "string", "format": "date-time"},
	"state": {"type": "string", "enum": ["draft", "awaiting_sign", "executed", "expired", "terminated"], "description": "draft: it was sent back"}, "sha256": {"type": "string"}, "size": {"type": "integer"}, "uploaded_by": {"type": "string"}, "uploaded": {"type": "string", "format": "date-time"},
	"checked_by": {"type": "string"}, "checked": {"type": "string", "format": "date-time"}, "organisation": {"type": "string"}, "ror": {"type": "string"}, "parties": {"type": "array", "items": {"type": "string"}}, "deviations": {"type": "string"}, "note": {"type": "string"},
	"checks": {"type": "array", "description": "what a program can tell, while it waits", "items": {"type": "object", "required": ["ok", "text"], "properties": {"ok": {"type": "boolean"}, "text": {"type": "string"}}}}, "may_check": {"type": "boolean"},
	"accepted": {"type": "array", "description": "who has accepted it by name", "items": {"type": "object", "required": ["name", "at"], "properties": {"name": {"type": "string"}, "own": {"type": "boolean"}, "at": {"type": "string", "format": "date-time"}}}}, "may_accept": {"type": "boolean", "description": "the reader, who has not yet"}}},
"AgreementAct": {"type": "object", "additionalProperties": false, "required": ["do"], "properties": {"do": {"type": "string", "enum": ["execute", "return", "terminate"]}, "parties": {"type": "boolean", "description": "you have looked at who signed"}, "dates": {"type": "boolean", "description": "you have looked at the dates"},
	"text": {"type": "string", "maxLength": 4000, "description": "why it is sent back or terminated"}}},
"Entitlement": {"type": "object", "required": ["id", "request", "item", "agreement", "grantee", "collection", "title", "versions", "capability", "nbf", "exp", "state"], "properties": {"id": {"type": "string"}, "request": {"type": "string"}, "item": {"type": "integer"}, "agreement": {"type": "string"}, "grantee": {"type": "string"},
	"own": {"type": "boolean"}, "collection": {"type": "string"}, "title": {"type": "string"}, "dataset": {"type": "string"}, "versions": {"type": "string"}, "capability": {"type": "string", "enum": ["count", "preview", "view", "analyse", "download"]},
	"nbf": {"type": "string", "format": "date-time"}, "exp": {"type": "string", "format": "date-time", "description": "not at this moment any more"}, "state": {"type": "string", "enum": ["active", "waiting", "suspended", "revoked", "expired"]}, "conditions": {"type": "string"},
	"history": {"type": "array", "items": {"type": "object", "properties": {"what": {"type": "string"}, "by": {"type": "string"}, "at": {"type": "string", "format": "date-time"}, "text": {"type": "string"}}}}, "may_end": {"type": "boolean"}, "may_resume": {"type": "boolean"}}},
"EntitlementAct": {"type": "object", "additionalProperties": false, "required": ["do"], "properties": {"do": {"type": "string", "enum": ["suspend", "resume", "revoke"]}, "text": {"type": "string", "maxLength": 4000, "description": "why; needed but to resume"}}},
"RegisteredUse": {"type": "object", "required": ["organisation", "project", "summary", "collection", "title", "versions", "capability", "from", "until", "current"], "properties": {"organisation": {"type": "string"}, "ror": {"type": "string"}, "project": {"type": "string"}, "summary": {"type": "string", "description": "in lay words"},
	"name": {"type": "string", "description": "of the applicant, who wanted it there"}, "collection": {"type": "string"}, "title": {"type": "string"}, "entry": {"type": "string"}, "dataset": {"type": "string"}, "versions": {"type": "string"}, "capability": {"type": "string"},
	"from": {"type": "string", "format": "date-time"}, "until": {"type": "string", "format": "date-time"}, "current": {"type": "boolean"}}},
"LeadTime": {"type": "object", "required": ["decided", "enough"], "properties": {"decided": {"type": "integer", "description": "over the last two years"}, "enough": {"type": "boolean", "description": "five at least; of fewer nothing else is told"}, "median_days": {"type": "number"}, "p90_days": {"type": "number"},
	"custodian_median_days": {"type": "number"}, "applicant_median_days": {"type": "number"}}},
"StatedPerson": {"type": "object", "additionalProperties": false, "properties": {"orcid": {"type": "string", "description": "0000-0002-1825-0097"}, "organisation": {"type": "string", "maxLength": 200}, "ror": {"type": "string"},
	"kind": {"type": "string", "enum": ["", "academic", "nhs", "charity", "funder", "commercial", "cro", "government", "other"]}, "country": {"type": "string", "description": "ISO 3166-1 alpha-2"}}},
"SeenPerson": {"type": "object", "additionalProperties": false, "properties": {"organisation": {"type": "string", "description": "its name, as it was looked at; without it nothing is confirmed of it"}, "training": {"type": "string", "maxLength": 200, "description": "its name; its certificate was seen"},
	"completed": {"type": "string", "format": "date"}, "expires": {"type": "string", "format": "date", "description": "the last day; without it a year after it was completed"}}},
"KnownPerson": {"type": "object", "required": ["id", "name", "assurance", "trainings"], "properties": {"id": {"type": "string"}, "name": {"type": "string"}, "orcid": {"type": "string"}, "orcid_by": {"type": "string", "enum": ["stated", "provider"]}, "organisation": {"type": "string"},
	"ror": {"type": "string"}, "kind": {"type": "string"}, "country": {"type": "string"}, "confirmed": {"type": "string", "format": "date-time", "description": "when it was last confirmed that they belong to their organisation"}, "confirmed_by": {"type": "string"},
	"confirmed_until": {"type": "string", "format": "date-time"}, "assurance": {"type": "string", "enum": ["low", "med", "high"]}, "trained_until": {"type": "string", "format": "date-time"},
	"trainings": {"type": "array", "items": {"type": "object", "required": ["name", "completed", "expires", "evidence", "current"], "properties": {"name": {"type": "string"}, "completed": {"type": "string", "format": "date-time"}, "expires": {"type": "string", "format": "date-time"},
	"evidence": {"type": "string", "enum": ["course", "certificate seen"]}, "seen_by": {"type": "string"}, "current": {"type": "boolean"}}}}, "missing": {"type": "array", "items": {"type": "string"}, "description": "what is lacking before data are given to them"}}},
"RecallNotice": {"type": "object", "required": ["id", "project", "recipient", "collection", "code", "why", "state", "releases", "objects", "told", "due"], "properties": {"id": {"type": "string"}, "request": {"type": "string"}, "project": {"type": "string"}, "recipient": {"type": "string"}, "own": {"type": "boolean"}, "collection": {"type": "string"},
	"code": {"type": "string", "enum": ["withdrawal", "deidentification-defect", "legal", "policy"]}, "why": {"type": "string"}, "state": {"type": "string", "enum": ["told", "acknowledged", "overdue", "attested", "not_feasible", "waived"]}, "outcome": {"type": "string"},
	"releases": {"type": "array", "items": {"type": "string"}}, "objects": {"type": "integer"}, "told": {"type": "string", "format": "date-time"}, "due": {"type": "string", "format": "date-time"}, "closed": {"type": "string", "format": "date-time"}, "suspended": {"type": "boolean", "description": "the project's entitlements are, for this"}, "mail": {"type": "string", "description": "how the last mail to the recipient stands"},
	"may_answer": {"type": "boolean"}, "may_waive": {"type": "boolean"}, "may_resume": {"type": "boolean"}, "attestations": {"type": "integer"}, "events": {"type": "array", "items": {"type": "object", "required": ["seq", "what", "by", "at"], "properties": {"seq": {"type": "integer"}, "what": {"type": "string"}, "by": {"type": "string"},
	"at": {"type": "string", "format": "date-time"}, "text": {"type": "string"}, "answer": {"type": "string"}, "models": {"type": "array", "items": {"type": "object", "required": ["name", "answer"], "properties": {"name": {"type": "string", "maxLength": 200}, "answer": {"type": "string", "enum": ["retrained", "excluded", "not-feasible"]}, "reason": {"type": "string", "maxLength": 2000}}}}, "document": {"type": "boolean"}}}}}},
"RecalledObject": {"type": "object", "required": ["drs", "leaf", "release"], "properties": {"drs": {"type": "string"}, "leaf": {"type": "string", "description": "hash of its line of the release's manifest, hexadecimal"}, "release": {"type": "string"}}},
"RecallAct": {"type": "object", "additionalProperties": false, "required": ["do"], "properties": {"do": {"type": "string", "enum": ["acknowledge", "attest", "waive", "resume"]}, "answer": {"type": "string", "enum": ["deleted", "excluded", "stopped", "not-feasible"]},
	"text": {"type": "string", "maxLength": 2000, "description": "why: of what is not feasible, waived or permitted again"}, "models": {"type": "array", "maxItems": 50, "items": {"type": "object", "required": ["name", "answer"], "properties": {"name": {"type": "string", "maxLength": 200}, "answer": {"type": "string", "enum": ["retrained", "excluded", "not-feasible"]}, "reason": {"type": "string", "maxLength": 2000}}}}, "agree": {"type": "boolean", "description": "to attest: the words of the answer are agreed to"}}},
"Secret": {"type": "object", "required": ["secret"], "properties": {"secret": {"type": "string", "description": "32 bytes in base64"}}},
"Checkpoint": {"type": "object", "required": ["note"], "properties": {"note": {"type": "string"}}}
}`

// description is the API as OpenAPI 3.1.
func (d *Door) description() map[string]any {
	ref := func(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }
	media := func(kind string, schema any) map[string]any {
		return map[string]any{kind: map[string]any{"schema": schema}}
	}
	paths := map[string]map[string]any{}
	for _, r := range d.routes() {
		var params []any
		for part := range strings.SplitSeq(r.path, "/") {
			if strings.HasPrefix(part, "{") {
				params = append(params, map[string]any{"name": strings.Trim(part, "{}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
			}
		}
		for _, q := range r.query {
			kind := "integer"
			switch q {
			case "collection", "format", "note", "id", "reason", "layout", "subject":
				kind = "string"
			case "update", "publish", "draft":
				kind = "boolean"
			}
			if r.name == "searchDirectory" {
				params = append(params, searchParameter(q))
				continue
			}
			params = append(params, map[string]any{"name": q, "in": "query", "required": q == "collection" && r.name != "listAudit" && r.name != "listUses" && r.sends == nil || q == "format", "schema": map[string]any{"type": kind}})
		}
		code, answer := "200", map[string]any{"description": "Done."}
		switch {
		case r.file != nil:
			answer["content"] = media(cmp.Or(r.media, "application/dicom"), map[string]any{"type": "string", "contentEncoding": "binary"})
		case r.gives == "":
			code = "204"
		case r.method == http.MethodPost:
			code = "201"
		}
		if r.gives != "" {
			schema := any(ref(r.gives))
			if r.list {
				schema = map[string]any{"type": "array", "items": schema}
			}
			answer["content"] = media("application/json", schema)
		}
		op := map[string]any{"operationId": r.name, "summary": r.text, "responses": map[string]any{code: answer,
			"default": map[string]any{"description": "What was attempted, on what, and what to do.", "content": media("application/problem+json", ref("Problem"))}}}
		if params != nil {
			op["parameters"] = params
		}
		if r.takes != "" {
			op["requestBody"] = map[string]any{"required": true, "content": media("application/json", ref(r.takes))}
		}
		if r.sends != nil {
			content := map[string]any{}
			for _, kind := range r.sends {
				content[kind] = map[string]any{"schema": map[string]any{}}
			}
			op["requestBody"] = map[string]any{"required": true, "content": content}
		}
		if r.public {
			op["security"] = []any{map[string]any{}, map[string]any{"bearer": []string{}}}
		}
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = op
	}
	return map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "Vitrine management API", "version": d.Version, "license": map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"security": []any{map[string]any{"bearer": []string{}}},
		"paths":    paths,
		"components": map[string]any{"schemas": json.RawMessage(schemas),
			"securitySchemes": map[string]any{"bearer": map[string]any{"type": "http", "scheme": "bearer"}}},
	}
}

func (d *Door) openapi(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, d.description())
}
