package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"golang.org/x/mod/sumdb/note"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// attested is what a note says of a document: its kind, how many bytes it has, and their SHA-256 in base64. It never looks like a checkpoint, whose first line is the log's.
func attested(kind string, document []byte) string {
	sum := sha256.Sum256(document)
	return kind + "\n" + strconv.Itoa(len(document)) + "\n" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"
}

// Attest signs a document with the node's key: the note lies beside it. Its kind is the document's own, and never the log's.
func (s *Signer) Attest(kind string, document []byte) (string, error) {
	if kind == origin {
		return "", fault.New(fault.Internal, "sign document", "", "it would read as a checkpoint of the audit log")
	}
	signed, err := note.Sign(&note.Note{Text: attested(kind, document)}, s.sign)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "sign document", "", err)
	}
	return string(signed), nil
}

// CheckAttested compares a document with the note that was signed for it, by a node's public key as [Signer.Public] gives it. A fault.Corrupt says what differs, a
// fault.Invalid that the key is none.
func CheckAttested(kind string, document []byte, signed, public string) error {
	const attempt = "verify document"
	v, err := note.NewVerifier(public)
	if err != nil {
		return fault.New(fault.Invalid, attempt, "", "the public key is not one of a node: it begins with "+origin+"+")
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return fault.New(fault.Corrupt, attempt, "", "the signature is not that of this key")
	}
	if n.Text != attested(kind, document) {
		return fault.New(fault.Corrupt, attempt, "", "it is not what was signed")
	}
	return nil
}
