package release

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
)

// What an entry says is stored as JSON by the names of the columns of its tables (docs/formats/release-descriptions.md); what is unknown is left out.

// columns are the places of an entry's fields, by their names.
var columns = sync.OnceValue(func() map[string]int {
	all := map[string]int{}
	t := reflect.TypeFor[describe.Entry]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("parquet"), ",")
		if name != "" && name != "-" {
			all[name] = i
		}
	}
	return all
})

func encode(e *describe.Entry) (string, error) {
	v := reflect.ValueOf(e).Elem()
	out := map[string]any{}
	for name, i := range columns() {
		if f := v.Field(i); !f.IsZero() {
			out[name] = f.Interface()
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return "", fault.Wrap(fault.Internal, "freeze release", "", err)
	}
	return string(b), nil
}

func decode(s string, e *describe.Entry) error {
	var in map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &in); err != nil {
		return err
	}
	v := reflect.ValueOf(e).Elem()
	for name, raw := range in {
		i, ok := columns()[name]
		if !ok {
			return fault.New(fault.Corrupt, "read release", "", "an entry has a column that is not known")
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return err
		}
	}
	return nil
}
