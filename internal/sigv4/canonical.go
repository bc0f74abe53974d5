package sigv4

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pair is one decoded query parameter. The order of pairs matters to a signature, so net/url's map would not do.
type pair struct{ key, value string }

type query []pair

func parseQuery(raw string) (query, error) {
	var q query
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, err
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, err
		}
		q = append(q, pair{key, value})
	}
	return q, nil
}

func (q query) lookup(key string) (string, bool) {
	for _, p := range q {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

func (q query) get(key string) string {
	value, _ := q.lookup(key)
	return value
}

// canonical sorts by the encoded form, and leaves the signature itself out.
func (q query) canonical() string {
	var encoded query
	for _, p := range q {
		if p.key != "X-Amz-Signature" {
			encoded = append(encoded, pair{encode(p.key, false), encode(p.value, false)})
		}
	}
	slices.SortFunc(encoded, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key + "=" + p.value)
	}
	return b.String()
}

// canonicalPath: S3 encodes the path once and takes it as it is, since `a//b` and `a/../b` are different keys; all
// others clean it, and encode what is already encoded once more.
func canonicalPath(u *url.URL, service string) string {
	if service == serviceS3 {
		return encode("/"+strings.TrimPrefix(u.Path, "/"), true)
	}
	escaped := u.EscapedPath()
	clean := path.Clean("/" + escaped)
	if strings.HasSuffix(escaped, "/") && clean != "/" {
		clean += "/"
	}
	return encode(clean, true)
}

// encode is RFC 3986 percent encoding with upper-case digits, which net/url does not offer.
func encode(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0,
			c == '/' && keepSlash:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// canonicalRequest is the text whose digest is signed.
func canonicalRequest(r *http.Request, service string, params query, signed []string, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL, service) + "\n" + params.canonical() + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + payload)
	return b.String()
}

// headerValue is a header as the client signed it. net/http moves some headers of an incoming request into fields.
func headerValue(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{cmp.Or(r.Host, r.URL.Host)}
	case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding":
		values = r.TransferEncoding
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = collapseSpaces(v)
	}
	return strings.Join(trimmed, ",")
}

func collapseSpaces(s string) string {
	s = strings.TrimSpace(s)
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

// stringToSign names the moment, the scope and the request.
func stringToSign(stamp string, scope Scope, canonical string) string {
	return algorithm + "\n" + stamp + "\n" + scope.String() + "\n" + hexHash([]byte(canonical))
}

func hexHash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
