package policy

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustParse(t *testing.T, text string) Policy {
	t.Helper()
	p, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// one is a document of one statement that allows.
func one(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}}`
}

const (
	shop  = "arn:aws:codedeploy:us-east-1:123456789012:application:shop"
	group = "arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/prod"
	host  = "arn:aws:codedeploy:us-east-1:123456789012:instance/web-1"
)

// Wildcards are in names alone, separators match themselves, actions are compared without regard to case.
func TestMatching(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, resource string
		want              bool
	}{
		{"*", shop, true},
		{"*", "*", true},
		{shop, shop, true},
		{shop, shop + "2", false},
		{shop, strings.ToUpper(shop), false},
		{"arn:aws:codedeploy:us-east-1:123456789012:application:*", shop, true},
		{"arn:aws:codedeploy:us-east-1:123456789012:application:sh?p", shop, true},
		{"arn:aws:codedeploy:us-east-1:123456789012:application:sh?", shop, false},
		{"arn:aws:codedeploy:us-east-1:123456789012:application/*", shop, false},
		{"arn:aws:codedeploy:us-east-1:123456789012:*", shop, true},
		{"arn:aws:codedeploy:eu-west-1:123456789012:application:*", shop, false},
		{"arn:aws:codedeploy:us-east-1:123456789013:application:*", shop, false},
		{"arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop/*", group, true},
		{"arn:aws:codedeploy:us-east-1:123456789012:deploymentgroup:shop:*", group, false},
		{"arn:aws:codedeploy:us-east-1:123456789012:instance/web-*", host, true},
		{"arn:aws:codedeploy:us-east-1:123456789012:instance:web-*", host, false},
		{"arn:aws:s3:::bundles/*", "arn:aws:s3:::bundles/a/b:c.zip", true},
		{"arn:aws:s3:::bundles/*", "arn:aws:s3:::bundles", false},
		{"arn:aws:iam::*:user/ops/*", "arn:aws:iam::123456789012:user/ops/ann", true},
		{"arn:aws:s3:::*", "*", false},
		// A wildcard ends with its part.
		{"arn:aws:s3:*:user/ann", "arn:aws:s3:::x:user/ann", false},
	} {
		p, err := Parse(one("codedeploy:Get*", tt.pattern))
		if err != nil {
			if tt.want {
				t.Errorf("%s: %v", tt.pattern, err)
			}
			continue
		}
		answer, _ := p.Evaluate("CodeDeploy:getDeployment", tt.resource)
		if got := answer == Allowed; got != tt.want {
			t.Errorf("%s on %s: got %v, want %v", tt.pattern, tt.resource, got, tt.want)
		}
		if answer, _ := p.Evaluate("codedeploy:CreateDeployment", tt.resource); answer != Silent {
			t.Errorf("%s allows another action", tt.pattern)
		}
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	p := mustParse(t, `{"Statement": [
		{"Sid": "Read", "Effect": "Allow", "Action": ["codedeploy:Get*", "codedeploy:List*"], "Resource": "*"},
		{"Sid": "NoSecrets", "Effect": "Deny", "Action": "*", "Resource": ["arn:aws:s3:::secrets", "arn:aws:s3:::secrets/*"]},
		{"Sid": "NotIAM", "Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "NotResource": "arn:aws:s3:::others/*"}
	]}`)
	for _, tt := range []struct {
		action, resource string
		want             Answer
		sid              string
	}{
		{"codedeploy:GetDeployment", group, Allowed, "Read"},
		{"iam:GetUser", "*", Silent, ""},
		{"codedeploy:CreateDeployment", group, Allowed, "NotIAM"},
		{"s3:GetObject", "arn:aws:s3:::others/x", Silent, ""},
		{"s3:GetObject", "arn:aws:s3:::secrets/x", Denied, "NoSecrets"},
		{"s3:ListBucket", "arn:aws:s3:::secrets", Denied, "NoSecrets"},
		{"s3:GetObject", "arn:aws:s3:::bundles/x", Allowed, "NotIAM"},
	} {
		if got, sid := p.Evaluate(tt.action, tt.resource); got != tt.want || sid != tt.sid {
			t.Errorf("%s on %s: got %v by %q, want %v by %q", tt.action, tt.resource, got, sid, tt.want, tt.sid)
		}
	}
	if got, _ := (Policy{}).Evaluate("s3:GetObject", "*"); got != Silent {
		t.Errorf("no policy: got %v", got)
	}
}

// What `aws deploy register` gives a host, and what people write.
func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"Version": "2012-10-17", "Statement": [{"Action": ["s3:Get*", "s3:List*"], "Effect": "Allow", "Resource": "*"}]}`,
		one("*", "*"), one("*:*", "*"), one("codedeploy-commands-secure:PollHostCommand", "*"), one("s3:Get?bject", "arn:aws:s3:::*"),
		`{"Id": "x", "Statement": {"Sid": "1", "Effect": "Deny", "NotAction": ["s3:*"], "NotResource": ["arn:aws:s3:::a"]}}` + "\n",
	} {
		mustParse(t, text)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	statement := func(members string) string { return `{"Version":"2012-10-17","Statement":[{` + members + `}]}` }
	const rest = `"Effect":"Allow","Action":"s3:*","Resource":"*"`
	for text, want := range map[string]string{
		``:                             "not a policy in JSON",
		`[]`:                           "want an object",
		`{"Version":"2012-10-17"}`:     "no Statement",
		`{"Statement":[]}`:             "no Statement",
		`{"Statement":null}`:           "Statement",
		`{"Statement":"x"}`:            "Statement",
		one("s3:*", "*") + "x":         "after the JSON object",
		statement(rest) + "\x00":       "not allowed",
		statement(`"Sid":"猫",` + rest): "not allowed",
		`{"Version":"2012","Statement":[{` + rest + `}]}`:                     "use 2012-10-17",
		`{"version":"2012-10-17","Statement":[{` + rest + `}]}`:               `"version"`,
		statement(rest + `,"Effect":"Deny"`):                                  "given twice",
		statement(rest + `,"Condition":{"Bool":{"aws:SecureTransport":"1"}}`): "leave Condition out",
		statement(rest + `,"Principal":"*"`):                                  `"Principal" does not belong here`,
		statement(rest + `,"NotResource":"*"`):                                "either Resource or NotResource",
		statement(`"Effect":"allow","Action":"s3:*","Resource":"*"`):          "Allow or Deny",
		statement(`"Effect":"Allow","Resource":"*"`):                          "either Action or NotAction",
		statement(`"Effect":"Allow","Action":[],"Resource":"*"`):              "either Action or NotAction",
		statement(`"Effect":"Allow","Action":[7],"Resource":"*"`):             "list of strings",
		statement(`"Effect":"Allow","Action":"","Resource":"*"`):              "none empty",
		statement(`"Effect":7,"Action":"s3:*","Resource":"*"`):                "must be a string",
		one("GetObject", "*"):                                                 "must look like s3:GetObject",
		one("s*:GetObject", "*"):                                              "must look like s3:GetObject",
		one("s3:*", "bundles/*"):                                              "six parts",
		one("s3:*", "arn:aws:s3:*"):                                           "six parts",
		one("s3:*", "arn:aws:*:::x"):                                          "name of its service",
		one("codedeploy:*", "arn:aws:codedeploy:*:1:instance/*"):              "region or account",
		one("codedeploy:*", "arn:aws:codedeploy:x:*:instance/*"):              "region or account",
		one("iam:*", "arn:aws:iam::1:user/${aws:username}"):                   "policy variable",
		one("s3:*", strings.Repeat("a", MaxSize)):                             "may be 20480",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.150s: got error %v, want one that says %q", text, err, want)
		}
	}
}

// trust is a trust policy of one statement.
func trust(effect, principal, action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"` + action + `"}]}`
}

func TestTrust(t *testing.T) {
	t.Parallel()
	const (
		account = "123456789012"
		ann     = "arn:aws:iam::123456789012:user/ops/ann"
		ci      = "arn:aws:iam::123456789012:role/ci"
		session = "arn:aws:sts::123456789012:assumed-role/ci/build-7"
	)
	for _, tt := range []struct {
		text string
		who  []string
		want Answer
	}{
		{trust("Allow", `"*"`, "sts:AssumeRole"), []string{ann}, Allowed},
		{trust("Allow", `{"AWS":"*"}`, "sts:AssumeRole"), []string{ann}, Allowed},
		{trust("Allow", `{"AWS":"123456789012"}`, "sts:assumerole"), []string{ann}, Delegated},
		{trust("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`, "sts:*"), []string{ann}, Delegated},
		{trust("Allow", `{"AWS":"999999999999"}`, "sts:AssumeRole"), []string{ann}, Silent},
		{trust("Allow", `{"AWS":["`+ci+`","`+ann+`"]}`, "*"), []string{ann}, Allowed},
		{trust("Allow", `{"AWS":"`+ann+`"}`, "sts:AssumeRole"), []string{ann + "a"}, Silent},
		{trust("Allow", `{"AWS":"`+ci+`"}`, "sts:AssumeRole"), []string{session, ci}, Allowed},
		{trust("Allow", `{"AWS":"`+session+`"}`, "sts:AssumeRole"), []string{session, ci}, Allowed},
		{trust("Deny", `{"AWS":"123456789012"}`, "sts:AssumeRole"), []string{ann}, Denied},
		{trust("Allow", `{"AWS":"`+ann+`"}`, "sts:TagSession"), []string{ann}, Silent},
		{trust("Allow", `{"Service":"codedeploy.amazonaws.com"}`, "sts:AssumeRole"), []string{ann}, Silent},
	} {
		p, err := ParseTrust(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := p.Evaluate("sts:AssumeRole", account, tt.who...); got != tt.want {
			t.Errorf("%s for %v: got %v, want %v", tt.text, tt.who, got, tt.want)
		}
	}
	for text, want := range map[string]string{
		one("sts:AssumeRole", "*"):                                                     `"Resource" does not belong here`,
		`{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}`:                 "no Principal",
		trust("Allow", `7`, "sts:AssumeRole"):                                          "Principal must be",
		trust("Allow", `"123456789012"`, "sts:AssumeRole"):                             "Principal must be",
		trust("Allow", `{"Federated":"x"}`, "sts:AssumeRole"):                          `"Federated" does not belong here`,
		trust("Allow", `{"AWS":"ann"}`, "sts:AssumeRole"):                              "must be *, an account",
		trust("Allow", `{"AWS":"arn:aws:iam::123456789012:user/*"}`, "sts:AssumeRole"): "without wildcards",
		trust("Allow", `{"AWS":"`+ann+`"}`, "s3:GetObject"):                            "actions of sts",
	} {
		if _, err := ParseTrust(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that says %q", text, err, want)
		}
	}
}

// slow is what match means, by another's hand.
func slow(pattern, text string) bool {
	expression := strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`\A` + expression + `\z`).MatchString(text)
}

func TestMatchAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab:*?]{0,8}`).Draw(t, "pattern")
		text := rapid.StringMatching(`[ab:*?]{0,10}`).Draw(t, "text")
		if got, want := match(pattern, text), slow(pattern, text); got != want {
			t.Fatalf("match(%q, %q): got %v, want %v", pattern, text, got, want)
		}
	})
}

// A matcher that tries every way to divide the text among the wildcards would not come back from this one.
func TestMatchIsNotExponential(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	if match(strings.Repeat("a*", 2000)+"b", strings.Repeat("a", 4000)) {
		t.Error("it matches")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(one("codedeploy:Get*", "arn:aws:codedeploy:us-east-1:123456789012:application:*"), "codedeploy:GetApplication", shop)
	f.Add(trust("Allow", `{"AWS":["123456789012","*"],"Service":"x"}`, "sts:AssumeRole"), "sts:AssumeRole", "*")
	f.Add(`{"Statement":[{"Effect":"Deny","NotAction":["s3:*"],"NotResource":["arn:aws:s3:::a*b?c"]}]}`, "iam:GetUser", "arn:aws:s3:::abc")
	f.Fuzz(func(t *testing.T, text, action, resource string) {
		if p, err := Parse(text); err == nil {
			first, _ := p.Evaluate(action, resource)
			if again, _ := p.Evaluate(strings.ToUpper(strings.ToLower(action)), resource); first != again && isASCII(action) {
				t.Errorf("the case of %q matters", action)
			}
		}
		if p, err := ParseTrust(text); err == nil {
			p.Evaluate(action, "123456789012", resource)
		}
	})
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0 }

// A question mark is one character, however many bytes it has: a Deny must not miss a name that is not ASCII.
func TestQuestionMarkIsOneCharacter(t *testing.T) {
	t.Parallel()
	for pattern, text := range map[string]string{"key-?": "key-é", "??": "東京", "*-?x": "é-é-éx", "?": "a"} {
		if !match(pattern, text) {
			t.Errorf("%s does not match %s", pattern, text)
		}
	}
	if match("??", "é") || match("*??", "é") {
		t.Error("two question marks match one character")
	}
}
