package awsapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/google/go-cmp/cmp"
)

// The operation table must name every operation that the SDK can call.
func TestOperationsAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	var got []string
	for _, op := range Operations {
		got = append(got, op.Name)
	}
	var want []string
	for method := range reflect.TypeFor[*codedeploy.Client]().Methods() {
		if method.Name != "Options" {
			want = append(want, method.Name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-SDK +ours):\n%s", diff)
	}
	if len(got) != 47 {
		t.Errorf("%d operations, want 47 (service.md 15, W24)", len(got))
	}
}

func TestAbsentZeroAndEmptyDiffer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"absent", UpdateDeploymentGroupInput{}, `{}`},
		{"empty list is kept", UpdateDeploymentGroupInput{AutoScalingGroups: []string{}}, `{"autoScalingGroups":[]}`},
		{"false is kept", StopDeploymentInput{AutoRollbackEnabled: new(false)}, `{"autoRollbackEnabled":false}`},
		{"zero is kept (W20)", DeploymentOverview{Pending: new(int64(0))}, `{"Pending":0}`},
		{"misspelt member (W21)", ECSTaskSet{Identifer: new("x")}, `{"identifer":"x"}`},
		{"milliseconds (W12)", ApplicationInfo{CreateTime: At(time.UnixMilli(1409764576589))}, `{"createTime":1409764576.589}`},
		{"tagging members (W20)", ListTagsForResourceOutput{Tags: []Tag{{Key: new("k"), Value: new("")}}}, `{"Tags":[{"Key":"k","Value":""}]}`},
	}
	for _, tt := range tests {
		got, err := json.Marshal(tt.in)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, out, err string
	}{
		{in: `1409764576`, out: `1409764576`},
		{in: `1409764576.589`, out: `1409764576.589`},
		{in: `1.409764576589E9`, out: `1409764576.589`},
		{in: `-1.5`, out: `-1.5`},
		{in: `0`, out: `0`},
		{in: `null`, out: `null`},
		{in: `"2014-09-03T17:16:16Z"`, err: "as a number"},
		{in: `1409764576589`, err: "not milliseconds"},
		{in: `1e300`, err: "out of range"},
	}
	for _, tt := range tests {
		var e Epoch
		err := e.UnmarshalJSON([]byte(tt.in))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want one with %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got, err := e.MarshalJSON(); err != nil || string(got) != tt.out {
			t.Errorf("%s came back as %s, %v, want %s", tt.in, got, err, tt.out)
		}
	}
}

func TestDiagnosticsCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want LifecycleErrorCode
	}{
		{`0`, LifecycleErrorCodeSuccess},
		{`3`, LifecycleErrorCodeScriptTimedOut},
		{`5`, LifecycleErrorCodeUnknownError},
		{`6`, LifecycleErrorCodeUnknownError},
		{`7`, LifecycleErrorCodeUnknownError},
		{`-1`, LifecycleErrorCodeUnknownError},
		{`"Unknown"`, LifecycleErrorCodeUnknownError},
	}
	for _, tt := range tests {
		var d CompletionDiagnostics
		if err := json.Unmarshal([]byte(`{"error_code":`+tt.in+`}`), &d); err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := d.ErrorCode.LifecycleErrorCode(); got != tt.want {
			t.Errorf("%s shows as %q, want %q", tt.in, got, tt.want)
		}
	}
}
