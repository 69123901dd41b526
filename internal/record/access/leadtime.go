package access

import (
	"math"
	"slices"
	"time"
)

// FewestDecided is how many decided requests a measured lead time takes: of fewer a single one could be read off.
const FewestDecided = 5

// LeadTime is how long decisions took, in days from handing in to decision.
type LeadTime struct {
	N         int     `json:"decided"`
	Enough    bool    `json:"enough"`
	Median    float64 `json:"median_days,omitempty"`
	P90       float64 `json:"p90_days,omitempty"`
	Custodian float64 `json:"custodian_median_days,omitempty"` // that the custodian had
	Applicant float64 `json:"applicant_median_days,omitempty"` // that the applicant had
}

// Measure computes it from decided items.
func Measure(decided []Item) LeadTime {
	l := LeadTime{N: len(decided), Enough: len(decided) >= FewestDecided}
	if !l.Enough {
		return l
	}
	var whole, custodian, applicant []time.Duration
	for _, i := range decided {
		whole = append(whole, i.Decided.Sub(i.Submitted))
		custodian = append(custodian, i.CustodianTime)
		applicant = append(applicant, i.ApplicantTime)
	}
	l.Median, l.P90 = days(quantile(whole, .5)), days(quantile(whole, .9))
	l.Custodian, l.Applicant = days(quantile(custodian, .5)), days(quantile(applicant, .5))
	return l
}

// quantile is the smallest of the values that a share of them does not exceed (nearest rank); of the middle, the mean of the two in an even number.
func quantile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	n := len(all)
	if share == .5 && n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[max(0, int(math.Ceil(share*float64(n)))-1)]
}

func days(d time.Duration) float64 { return math.Round(d.Hours()/24*10) / 10 }
