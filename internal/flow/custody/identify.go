package custody

import (
	"context"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// told remembers what was kept of who a subject is, so that most instances need no look at the vault.
type told struct {
	mu  sync.Mutex
	all map[reidentification.Identity]struct{}
}

// maxIdentifier bounds a value that is kept to lead back, in bytes; PS3.5 6.2 allows an identifier 64 characters.
const maxIdentifier = 1024

// identify keeps what an instance says of whom it is of, where its collection is to lead back from pseudonyms. It is on stable storage before the instance is
// acknowledged; where it cannot be kept, the instance is not taken.
func (c *Custody) identify(ctx context.Context, w *ward, p *person, d *dicom.Dataset) error {
	if c.identities == nil || w.row.NoReidentification {
		return nil
	}
	value := func(t dicom.Tag) string {
		s := strings.TrimSpace(d.String(t))
		if len(s) > maxIdentifier {
			s = strings.ToValidUTF8(s[:maxIdentifier], "")
		}
		return s
	}
	one := reidentification.Identity{PatientID: value(dicom.TagPatientID), Issuer: value(dicom.TagIssuerOfPatientID), Name: value(dicom.TagPatientName), BirthDate: value(dicom.TagPatientBirthDate)}
	p.told.mu.Lock()
	defer p.told.mu.Unlock()
	if _, ok := p.told.all[one]; ok || len(p.told.all) >= reidentification.MaxIdentities {
		return nil
	}
	if err := c.identities.Learn(ctx, w.row.ID, p.id, subject.KeyID(p.keyID), one); err != nil {
		return err
	}
	if p.told.all == nil {
		p.told.all = map[reidentification.Identity]struct{}{}
	}
	p.told.all[one] = struct{}{}
	return nil
}
