package custody

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// OpenLexicon decrypts what identifies a subject, with the subject's key: for what else passes the same gate as its images.
func OpenLexicon(key keys.Key, s *subject.Subject) (*deid.Lexicon, error) {
	return openLexicon(key.Derive("lexicon"), s.ID, s.Lexicon)
}

// SealLexicon encrypts a lexicon as [OpenLexicon] and deposits read it.
func SealLexicon(key keys.Key, id subject.ID, l *deid.Lexicon) []byte {
	return sealLexicon(key.Derive("lexicon"), id, l)
}

// Lexicon is what identifies a subject, as known by now; nothing of one that has been withdrawn.
func (c *Custody) Lexicon(ctx context.Context, id subject.ID) (*deid.Lexicon, error) {
	sub, err := c.subjects.Get(ctx, id)
	if err != nil || sub.IsWithdrawn() {
		return nil, err
	}
	key, err := c.ring.Get(ctx, keys.ID(sub.Key))
	if err != nil {
		return nil, err
	}
	return OpenLexicon(key, &sub)
}
