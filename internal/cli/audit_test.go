package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

// The newest records come oldest first, and what happens later follows them.
func TestAudit(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	application := func(n int) {
		f.must("CreateApplication", &awsapi.CreateApplicationInput{ApplicationName: new(fmt.Sprintf("app-%d", n))}, nil)
	}
	for n := range 3 {
		application(n)
	}
	var got []string
	a := auditReader{client: f.client, action: "codedeploy:CreateApplication", limit: 2, show: func(records []awsapi.AuditRecord) error {
		for _, r := range records {
			got = append(got, shortARN(r.Resources[0]))
			if got[len(got)-1] == "application:app-4" {
				cancel()
			}
		}
		return nil
	}}
	if err := a.past(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"application:app-1", "application:app-2"}, got); diff != "" {
		t.Fatalf("the last two (-want +got):\n%s", diff)
	}
	application(3)
	application(4)
	if err := a.follow(ctx); exitCode(err) != exitInterrupted {
		t.Errorf("following ended with %v", err)
	}
	if diff := cmp.Diff([]string{"application:app-1", "application:app-2", "application:app-3", "application:app-4"}, got); diff != "" {
		t.Errorf("what was followed (-want +got):\n%s", diff)
	}
}

func TestAuditTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	show := auditTable(&out)
	at := awsapi.At(time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC))
	records := []awsapi.AuditRecord{
		{Time: at, Who: "arn:aws:sts::000000000000:assumed-role/ci/x", Action: "codedeploy:CreateDeployment", Source: "::1", Result: "ok",
			Resources: []string{"arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:shop/web"}},
		{Time: at, Action: "grapnel:Join", Source: "10.0.0.1", Result: "AccessDeniedException", Message: "no good"},
	}
	for _, r := range [][]awsapi.AuditRecord{records[:1], nil, records[1:]} {
		if err := show(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"2026-01-31T09:00:00Z  assumed-role/ci/x  codedeploy:CreateDeployment  deploymentgroup:shop/web  ::1   ok\n",
		"2026-01-31T09:00:00Z  nobody known  grapnel:Join  -  10.0.0.1  AccessDeniedException: no good\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, &out)
		}
	}
	if strings.Count(out.String(), "WHO") != 1 {
		t.Errorf("the head comes not once:\n%s", &out)
	}
}

func TestPointInTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "2026-01-30T08:00:00+01:00": time.Date(2026, 1, 30, 7, 0, 0, 0, time.UTC),
	} {
		if got, err := pointInTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-2h", "yesterday", "2026-01-30"} {
		if got, err := pointInTime(text, now); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
}
