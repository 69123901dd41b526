package network

import (
	"net"
	"net/netip"
)

// places counts the connections of a server: those with an association, and those without, on which one is being asked for or has ended. The two have budgets of
// their own, and of each budget one address gets a share: whoever opens connections and says nothing shuts nobody else out.
type places struct {
	established int
	pending     int
	by          map[netip.Prefix]*place
}

// place is what one address takes.
type place struct{ established, pending int }

// neighbourhood is what counts as one address: an IPv4 address, and of IPv6 the network of 64 bits, of which one machine has every address. Connections that
// have no such address (in memory, Unix sockets) count in the whole alone.
func neighbourhood(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// share is what one address gets of a budget, where that is not said: a quarter, and of a small one all.
func share(of, budget int) int {
	if of > 0 {
		return min(of, budget)
	}
	if budget < 16 {
		return budget
	}
	return budget / 4
}

// arrive takes a place for a new connection.
func (p *places) arrive(from netip.Prefix, budget, each int) bool {
	if p.by == nil {
		p.by = map[netip.Prefix]*place{}
	}
	x := p.by[from]
	if p.pending >= budget || x != nil && from.IsValid() && x.pending >= each {
		return false
	}
	if x == nil {
		x = &place{}
		p.by[from] = x
	}
	p.pending++
	x.pending++
	return true
}

// establish moves a connection to those with an association.
func (p *places) establish(from netip.Prefix, budget, each int) bool {
	x := p.by[from]
	if p.established >= budget || from.IsValid() && x.established >= each {
		return false
	}
	p.pending, p.established = p.pending-1, p.established+1
	x.pending, x.established = x.pending-1, x.established+1
	return true
}

// end moves it back: its last word has yet to reach the peer.
func (p *places) end(from netip.Prefix) {
	x := p.by[from]
	p.pending, p.established = p.pending+1, p.established-1
	x.pending, x.established = x.pending+1, x.established-1
}

// leave gives the place of a connection back.
func (p *places) leave(from netip.Prefix) {
	x := p.by[from]
	p.pending--
	x.pending--
	if *x == (place{}) {
		delete(p.by, from)
	}
}
