package api

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
)

func (d *Door) gatewayRoutes() []route {
	return []route{
		{method: "GET", path: "/api/collections/{collection}/gateway", name: "equipGateway", text: "By what a gateway of the collection has to clean: its profile, with the file of its own rules.", gives: "Equipment", do: d.equip},
		{method: "POST", path: "/api/collections/{collection}/gateway/secret", name: "takeSecret",
			text:  "The secret that names the collection's subjects, for a gateway that cleans for it: over TLS, or on this machine, alone. Each time is in the audit log.",
			gives: "Secret", do: d.takeSecret},
	}
}

func (d *Door) equip(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Desk.Equip(r.Context(), r.who, id)
}

func (d *Door) takeSecret(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	if !unheard(r.Request) {
		return nil, web.Refuse(http.StatusForbidden, "take a collection's secret", "it would travel in clear", "Ask over https, or on the node's own machine.")
	}
	secret, err := d.Secret(r.Context(), r.who, id)
	if err != nil {
		return nil, err
	}
	return map[string]string{"secret": secret}, nil
}

// unheard reports a request whose answer nobody on the way can read: it comes over TLS, or from this machine and through no proxy.
func unheard(r *http.Request) bool {
	if web.Secure(r) {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	at, err := netip.ParseAddr(host)
	return err == nil && at.Unmap().IsLoopback() && len(r.Header["X-Forwarded-For"]) == 0 && len(r.Header["Forwarded"]) == 0
}

func (d *Door) gatewayStatus(r *request) (any, error) { return d.Status.Gateway(r.Context(), r.who) }
