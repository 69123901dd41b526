package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Place is where the node stands: how the world reaches it, and what stands between.
type Place struct {
	Public  string         // https://images.example.org, by [ParsePublic]; empty: as each request names it
	Proxies []netip.Prefix // whose X-Forwarded-For is believed
}

// ParsePublic reads the address at which people reach a node: scheme and host, and a port where it is not the usual one. Nothing may follow: cookies and passkeys
// belong to a host, not to a path.
func ParsePublic(s string) (string, error) {
	refused := fault.New(fault.Invalid, "read public URL", "", "it is https:// or http:// and a host name, with a port if need be, and nothing after that")
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", refused
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if !hostLike(host) || strings.HasSuffix(u.Host, ":") {
		return "", refused
	}
	if port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		port = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host, nil
}

func hostLike(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// ParseProxies reads addresses, or ranges of them in CIDR notation.
func ParseProxies(all []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range all {
		s = strings.TrimSpace(s)
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, fault.New(fault.Invalid, "read trusted proxies", "", "each is an address such as 10.0.0.7, or a range such as 10.0.0.0/24")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

type placeKey struct{}

func placeOf(r *http.Request) Place {
	p, _ := r.Context().Value(placeKey{}).(Place)
	return p
}

// WithPlace makes a request that came to a node at that place; the front does so with each.
func WithPlace(r *http.Request, p Place) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), placeKey{}, p))
}

// Base is the address of this node as browsers see it, without a slash at the end: the public one, or as the request named it; empty where its Host is none that
// an address may hold.
func Base(r *http.Request) string {
	if p := placeOf(r).Public; p != "" {
		return p
	}
	if r.Host == "" || strings.Trim(r.Host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-[]") != "" {
		return ""
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Secure reports whether the browser speaks TLS, to the node or to what stands before it.
func Secure(r *http.Request) bool {
	if p := placeOf(r).Public; p != "" {
		return strings.HasPrefix(p, "https://")
	}
	return r.TLS != nil
}

// From is the address that a request came from, without its port. Behind proxies that are trusted it is the last one that none of them vouches for; what anybody
// else writes into X-Forwarded-For is not believed.
func From(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	proxies := placeOf(r).Proxies
	at, err := netip.ParseAddr(host)
	if err != nil || len(proxies) == 0 {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(at, proxies); i-- {
		next, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(hops[i]), "[]"))
		if err != nil {
			if ap, err2 := netip.ParseAddrPort(strings.TrimSpace(hops[i])); err2 == nil { // some write the port too
				next, err = ap.Addr(), nil
			}
		}
		if err != nil {
			break // whatever stands further left is no more to be trusted
		}
		at = next
	}
	return at.Unmap().WithZone("").String()
}

func within(a netip.Addr, ranges []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	for _, p := range ranges {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
