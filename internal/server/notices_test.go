package server_test

import (
	"strings"
	"testing"

	"grapnel/internal/server"
)

// TestSNSOptions: options that do not fit are refused before anything is written.
func TestSNSOptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sns  server.SNS
		want string
	}{
		"no endpoint":    {server.SNS{AccessKeyID: "AKID", SecretAccessKey: "secret"}, "need it"},
		"odd endpoint":   {server.SNS{Endpoint: "sns.example:4100", AccessKeyID: "AKID", SecretAccessKey: "secret"}, "such as https://"},
		"no key":         {server.SNS{Endpoint: "https://sns.example"}, "GRAPNEL_SNS_ACCESS_KEY_ID"},
		"plain endpoint": {server.SNS{Endpoint: "http://sns.example", AccessKeyID: "AKID", SecretAccessKey: "secret"}, "in clear"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server.New(t.Context(), server.Options{
				DataDir: t.TempDir(), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000", SNS: tt.sns,
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}
