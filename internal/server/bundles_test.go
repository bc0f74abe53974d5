package server_test

import (
	"strings"
	"testing"

	"grapnel/internal/server"
)

// TestExternalBundlesOptions: options that do not fit are refused before anything is asked or written.
func TestExternalBundlesOptions(t *testing.T) {
	t.Parallel()
	key := func(b server.ExternalBundles) server.ExternalBundles {
		b.AccessKeyID, b.SecretAccessKey = "AKIAEXTERNALEXTERNAL", "secret"
		return b
	}
	for name, tt := range map[string]struct {
		bundles server.ExternalBundles
		want    string
	}{
		"no bucket":      {key(server.ExternalBundles{Location: "s3://"}), "s3://BUCKET/PREFIX"},
		"no URL":         {key(server.ExternalBundles{Location: "/var/bundles"}), "s3://BUCKET/PREFIX"},
		"alone":          {server.ExternalBundles{Endpoint: "https://store.example"}, "need it"},
		"no key":         {server.ExternalBundles{Location: "s3://company"}, "GRAPNEL_BUNDLES_ACCESS_KEY_ID"},
		"odd endpoint":   {key(server.ExternalBundles{Location: "s3://company", Endpoint: "store.example:9000"}), "such as https://"},
		"plain endpoint": {key(server.ExternalBundles{Location: "s3://company", Endpoint: "http://store.example:9000"}), "in clear"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server.New(t.Context(), server.Options{
				DataDir: t.TempDir(), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000", ExternalBundles: tt.bundles,
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
