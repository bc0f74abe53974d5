// Package policy reads IAM's policy documents and answers what they say about one request.
//
// An identity policy (Parse) belongs to a user or a role and says what that one may do:
//
//	{"Version": "2012-10-17", "Statement": [{
//	  "Sid": "Deploy", "Effect": "Allow",
//	  "Action": ["codedeploy:CreateDeployment", "codedeploy:Get*"],
//	  "Resource": "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/*"}]}
//
// A trust policy (ParseTrust) belongs to a role and says who may take it on: it has a Principal and no Resource.
//
// What is left out of the language is refused when a document is parsed, and so when it is written: Condition, policy
// variables, and principals other than accounts, users, roles and services. To ignore a Condition would allow what its
// author meant to forbid.
//
// * stands for any text and ? for any one character, separators included; `:` and `/` match only themselves (service.md
// 13). A wildcard does not cross from one of the first five parts of an ARN into the next, and the region and the account
// of a codedeploy ARN cannot hold one. Names of actions are compared without regard to case, everything else with.
package policy

// Answer is what a document says about a request.
type Answer int

// The answers. Of several statements and documents the greatest counts: an explicit Deny beats every Allow, and nothing
// said means no.
const (
	Silent    Answer = iota
	Delegated        // of a trust policy: the account is trusted, and its policies decide
	Allowed
	Denied
)
