package packages

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
)

// host is what an address may name, with its port: a name, an IPv4 address, or an IPv6 address in brackets. It goes into a
// shell script that root runs, so nothing else may pass: no quote, no space, no dollar sign.
var host = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// maxHost is the length of the longest name that DNS knows, with a port, in bytes.
const maxHost = 253 + len(":65535")

func isHost(s string) bool { return len(s) <= maxHost && host.MatchString(s) }

// address is the server's, without a path: what the options say, or as the request reached it. Headers by which a proxy could
// tell another scheme are not believed, because anybody can send them; who has such a proxy sets the address.
func (f *Files) address(r *http.Request) (string, error) {
	switch {
	case f.opts.PublicURL != "":
		return f.opts.PublicURL, nil
	case !isHost(r.Host):
		return "", missingf("there is no script for a server of the name %.300q, which the Host header gives", r.Host)
	case r.TLS != nil:
		return "https://" + r.Host, nil
	default:
		return "http://" + r.Host, nil
	}
}

// CheckPublicURL returns an address in the form that Options.PublicURL takes.
func CheckPublicURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Host) || u.User != nil || u.Path != "" && u.Path != "/" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%q must look like https://deploy.example.com or http://10.0.0.5:8700, without a path: AWS clients know none", address)
	}
	return u.Scheme + "://" + u.Host, nil
}
