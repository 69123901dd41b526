package render

import "github.com/vitrine-imaging/vitrine/internal/base/codec"

// Black is the darkest value of each stored sample: of an image with a palette the index of its darkest colour, the first of several.
func (a *Attributes) Black() [4]uint32 {
	if a.palette == nil || a.Stored < 1 || a.Stored > 16 {
		return codec.Black(a.Image())
	}
	var black uint32
	least := uint64(1) << 62
	for k := range uint32(1) << a.Stored {
		v := a.value(uint64(k) << (a.HighBit + 1 - a.Stored))
		var light uint64
		for c, weight := range [3]uint64{299, 587, 114} { // BT.601
			t := &a.palette[c]
			light += weight * uint64(t.at(v)) * 65535 / max(uint64(t.top), 1)
		}
		if light < least {
			black, least = k, light
		}
	}
	return [4]uint32{black}
}
