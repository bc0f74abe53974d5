package auth

import (
	"testing"

	"grapnel/internal/store"
)

const benchPolicy = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": ["codedeploy:Get*", "codedeploy:List*", "codedeploy:BatchGet*"], "Resource": "*"},
	{"Effect": "Allow", "Action": "codedeploy:CreateDeployment", "Resource": "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/*"},
	{"Effect": "Deny", "Action": "*", "Resource": "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:*/secret-*"}]}`

// BenchmarkRequest is what one request of a user, or of a session, costs here: Lookup and Allow.
func BenchmarkRequest(b *testing.B) {
	s := newStore(b)
	a := newAuth(b, s)
	_, key, _ := newUser(b, a, "/", "ann")
	made := newSession(b, a, newRole(b, a, "ci", "Allow", "*"), "build").Credentials
	for _, of := range []store.Owner{{User: "ann"}, {Role: "ci"}} {
		ok(b, s.PutPolicy(b.Context(), of, store.Policy{Name: "p", Document: benchPolicy}))
	}
	for name, c := range map[string]struct{ id, token string }{"user": {key.ID, ""}, "session": {made.AccessKeyID, made.SessionToken}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				who, _, err := a.Lookup(b.Context(), c.id, c.token)
				ok(b, err)
				ok(b, a.Allow(b.Context(), who, "codedeploy:GetDeployment", "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/prod"))
			}
		})
	}
}
