package source

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWireShowsHeadersAndNoSecrets(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/?X-Amz-Signature=hush5&part=2")
		w.Header().Set("Set-Cookie", "hush6")
		w.Header().Set("X-Amz-Request-Id", "R1")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "hush7: a body")
	}))
	t.Cleanup(server.Close)
	var log strings.Builder
	client := &http.Client{Transport: Wire(http.DefaultTransport, &log)}
	request, err := http.NewRequest("PUT", strings.Replace(server.URL, "//", "//user:hush0@", 1)+"/path?versionId=3&X-Amz-Security-Token=hush1&token=hush2", strings.NewReader("hush3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization", "X-Amz-Security-Token", "X-Aws-Ec2-Metadata-Token", "Cookie"} {
		request.Header.Set(name, "hush4")
	}
	request.Header.Set("X-Amz-Date", "20200101T000000Z")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hush7: a body" {
		t.Errorf("the body is %q, %v", body, err)
	}
	response.Body.Close()
	got := log.String()
	for _, want := range []string{"1 > PUT http://user:", "/path?", "versionId=3", "1 > X-Amz-Date: 20200101T000000Z", "1 < HTTP/1.1 202 Accepted", "part=2", "1 < X-Amz-Request-Id: R1"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log does not hold %q", want)
		}
	}
	if strings.Contains(got, "hush") {
		t.Error("the log holds a secret")
	}
	if t.Failed() {
		t.Log(got)
	}

	server.Close()
	if _, err := client.Get(server.URL); err == nil || !strings.Contains(log.String(), "2 < no reply after") {
		t.Errorf("a request without a reply (%v) is not in the log:\n%s", err, log.String())
	}
}

// What cannot be parsed is not shown: it may be a token.
func TestWireHidesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest("GET", "http://store.example/?token=hush%zz", nil)
	if got := harmless(request.URL); strings.Contains(got, "hush") {
		t.Errorf("harmless = %s", got)
	}
}
