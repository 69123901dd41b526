package identity

import "net/netip"

// Network is the part of a network address that one household or office shares, and by which what comes from it is counted: of IPv6 the first 64 bits, since whoever has one
// such address has all of them.
func Network(from string) string {
	a, err := netip.ParseAddr(from)
	if err != nil {
		return from
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
