package web

import (
	"crypto/tls"
	"net/http/httptest"
	"testing"
)

func TestParsePublic(t *testing.T) {
	for in, want := range map[string]string{
		"https://images.example.org": "https://images.example.org", "https://Images.Example.org/": "https://images.example.org", "https://images.example.org:443": "https://images.example.org",
		"http://localhost:8080": "http://localhost:8080", "https://[2001:db8::1]:8443/": "https://[2001:db8::1]:8443", "http://10.0.0.7:80": "http://10.0.0.7",
		"": "", "images.example.org": "", "ftp://images.example.org": "", "https://": "", "https://a.example/vitrine": "", "https://a.example?x": "", "https://a.example/?": "", "https://u@a.example": "",
		"https://a.example#x": "", "https://a b.example": "", "https://a.example:": "", "javascript:alert(1)": "", "https://a.example:99999x": "", "https://a\"b": "",
	} {
		if got, err := ParsePublic(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestFrom(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "::1", " 192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "10.0.0.0/33", "fe80::1%eth0"} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken for a proxy", bad)
		}
	}
	for _, c := range []struct {
		remote string
		hops   []string
		want   string
	}{
		{"203.0.113.9:1", nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"}, // not a proxy: anybody can write that
		{"10.1.1.1:1", nil, "10.1.1.1"},
		{"10.1.1.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"[::ffff:10.1.1.1]:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.1.1.1:1", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1"}, // what the client wrote itself stands left
		{"10.1.1.1:1", []string{"1.2.3.4", "198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"10.1.1.1:1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"[::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"10.1.1.1:1", []string{"198.51.100.1, nonsense"}, "10.1.1.1"},
		{"10.1.1.1:1", []string{"198.51.100.1, nonsense, 10.3.3.3"}, "10.3.3.3"},
		{"10.1.1.1:1", []string{"10.4.4.4"}, "10.4.4.4"},
		{"pipe", []string{"198.51.100.1"}, "pipe"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		for _, h := range c.hops {
			r.Header.Add("X-Forwarded-For", h)
		}
		if got := From(WithPlace(r, Place{Proxies: proxies})); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.remote, c.hops, got, c.want)
		}
		if got := From(r); c.remote == "10.1.1.1:1" && got != "10.1.1.1" {
			t.Errorf("without proxies %q is believed", got)
		}
	}
}

func TestBase(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "inner:8080"
	if Base(r) != "http://inner:8080" || Secure(r) {
		t.Error(Base(r))
	}
	p := WithPlace(r, Place{Public: "https://images.example.org"})
	if Base(p) != "https://images.example.org" || !Secure(p) {
		t.Error(Base(p))
	}
	r.TLS = &tls.ConnectionState{}
	if Base(r) != "https://inner:8080" || !Secure(r) || Secure(WithPlace(r, Place{Public: "http://localhost:1"})) {
		t.Error(Base(r))
	}
	r.Host = `a"b`
	if Base(r) != "" {
		t.Error(Base(r))
	}
}
