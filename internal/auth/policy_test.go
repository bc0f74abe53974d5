package auth

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/store"
)

// allowAll lets its owner do everything.
const allowAll = `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`

// wantDenied checks that somebody may not do something, and that the reason contains a text.
func wantDenied(t *testing.T, err error, why string) {
	t.Helper()
	if e, ok := errors.AsType[*DeniedError](err); !ok || !strings.Contains(e.Error(), why) {
		t.Errorf("got error %v, want a refusal that says %q", err, why)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	const (
		create = "codedeploy:CreateDeployment"
		shop   = "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/prod"
		other  = "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:other/prod"
	)
	s := newStore(t)
	a := newAuth(t, s)
	_, key, _ := newUser(t, a, "/", "ann")
	ann, _ := mustLookup(t, a, key.ID)
	may := func(resource string) error { return a.Allow(t.Context(), ann, create, resource) }
	put := func(name, document string) {
		t.Helper()
		ok(t, s.PutPolicy(t.Context(), store.Owner{User: "ann"}, store.Policy{Name: name, Document: document}))
	}

	wantDenied(t, may(shop), "because no identity-based policy allows the "+create+" action; add this statement to a policy of user ann "+
		`(aws iam put-user-policy): {"Effect": "Allow", "Action": "`+create+`", "Resource": "`+shop+`"}`)
	put("shop", `{"Statement": {"Effect": "Allow", "Action": "codedeploy:Create*", "Resource": "`+shop+`"}}`)
	ok(t, may(shop))
	wantDenied(t, may(other), "no identity-based policy")
	put("all", allowAll)
	ok(t, may(other))
	put("no", `{"Statement": {"Sid": "NotNow", "Effect": "Deny", "Action": "`+create+`", "Resource": "*"}}`)
	wantDenied(t, may(shop), `explicit deny in the identity-based policy "no" of user ann (statement "NotNow")`)
	ok(t, s.DeletePolicy(t.Context(), store.Owner{User: "ann"}, "no"))
	ok(t, may(shop))
	// A document of an older version, which nobody can tell what it was to forbid.
	put("old", `{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {}}}`)
	wantDenied(t, may(shop), `policy "old" of user ann cannot be read`)
	ok(t, a.Allow(t.Context(), ann, ActionGetCallerIdentity, "*"))

	// Nobody becomes a host by a policy.
	ok(t, s.DeletePolicy(t.Context(), store.Owner{User: "ann"}, "old"))
	wantDenied(t, a.Allow(t.Context(), ann, ActionCommand+"PollHostCommand", "*"),
		"register-on-premises-instance --instance-name NAME --iam-user-arn "+ann.ARN)
}

// TestPoliciesAge: what another server writes counts here no later than after cacheLife.
func TestPoliciesAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &watched{Store: newStore(t)}
		a := newAuth(t, s)
		_, key, _ := newUser(t, a, "/", "ann")
		ann, _ := mustLookup(t, a, key.ID)
		s.elsewhere = true
		owner := store.Owner{User: "ann"}
		ok(t, s.PutPolicy(t.Context(), owner, store.Policy{Name: "all", Document: allowAll}))
		ok(t, a.Allow(t.Context(), ann, "iam:ListUsers", "*"))
		ok(t, s.DeletePolicy(t.Context(), owner, "all"))
		ok(t, a.Allow(t.Context(), ann, "iam:ListUsers", "*"))
		time.Sleep(cacheLife)
		wantDenied(t, a.Allow(t.Context(), ann, "iam:ListUsers", "*"), "no identity-based policy")
	})
}
