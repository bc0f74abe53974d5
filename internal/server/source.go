package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// source is the address that a request comes from. A proxy that is trusted tells it in X-Forwarded-For, behind whatever the
// client itself may have written there: what counts is the last address that is not a trusted proxy's.
func (o Options) source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil || !o.trusts(host) {
			break
		}
		host = next.Unmap().String()
	}
	return host
}

// trusts reports whether the address is a trusted proxy's.
func (o Options) trusts(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && slices.ContainsFunc(o.TrustedProxies, func(n net.IPNet) bool { return n.Contains(ip) })
}
