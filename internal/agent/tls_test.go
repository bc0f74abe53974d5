package agent

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
)

// A service with a certificate authority of its own is reached once its file is named, for commands and for bundles.
func TestOwnCertificateAuthority(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	f.url = server.URL

	stranger := newHost(t, f)
	stranger.start()
	const advised = "name its PEM file with ca_file"
	if !waitUntil(20*time.Second, func() bool { return strings.Contains(stranger.log.String(), advised) }) {
		t.Errorf("the log does not say %q", advised)
	}

	friend := newHost(t, f)
	friend.cfg.CAFile = filepath.Join(friend.dir, "ca.pem")
	writeFile(t, friend.cfg.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	friend.start()
	if end := friend.run("DownloadBundle", friend.put("d-TLS", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("DownloadBundle = %+v", end)
	}
}
