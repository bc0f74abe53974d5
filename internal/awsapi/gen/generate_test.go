package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGeneratedFileIsCurrent(t *testing.T) {
	t.Parallel()
	model, err := os.ReadFile("codedeploy.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(model)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../codedeploy.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("codedeploy.go is not what the generator writes; run go generate ./internal/awsapi (-want +got):\n%s", diff)
	}
}

func TestConstant(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"HOST_COUNT": "HostCount", "InProgress": "InProgress", "user": "User", "ECS": "ECS", "TIMEOUT": "Timeout", "zip": "Zip",
	} {
		if got := constant(value); got != want {
			t.Errorf("constant(%q) = %q, want %q", value, got, want)
		}
	}
}
