package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/agent"
	"grapnel/internal/agent/identity"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// reached skips or fails a check of a service that cannot be reached.
func (e *endpoint) reached(setting string, r *Result) bool {
	switch stop := e.obstacle(); stop {
	case none:
		return true
	case byDistance:
		advice := "open the way in firewalls, security groups and routes; or correct " + setting + "; or set proxy_uri"
		if errors.Is(e.visit().err, syscall.ECONNREFUSED) {
			advice = "nothing listens there: does the server run? If it does, correct " + setting + "; rarely, a firewall refuses"
		}
		r.fail(fmt.Sprintf("%s cannot be reached: %s", e.url.Host, plain(e.visit().err)), advice)
	default:
		r.skip("%s: %s", e.url.Host, stop)
	}
	return false
}

// checkService asks the command service for something that does not exist, signed with this host's keys.
func (x *examination) checkService(ctx context.Context, e endpoints, r *Result) {
	if !e.command.reached("deploy_control_endpoint", r) {
		return
	}
	s, err := x.setup()
	if err != nil {
		r.skip("needs the configuration")
		return
	}
	id, err := x.identity()
	if err != nil {
		r.skip("%s answers; needs the identity for more", e.command.url.Host)
		return
	}
	keys, err := id.Credentials.Retrieve(ctx)
	if err != nil {
		r.skip("%s answers; needs credentials for more", e.command.url.Host)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	e.command.judge(agent.Probe(ctx, s.Config, id.Identity, s.client), id.Identity, withoutKeys(keys), r)
}

// withoutKeys takes keys out of what a service says: some quote the request that they refuse, its session token included. What
// is long is cut.
func withoutKeys(keys aws.Credentials) func(message string) string {
	var pairs []string
	for _, secret := range []string{keys.SessionToken, keys.SecretAccessKey} {
		if secret != "" {
			pairs = append(pairs, secret, "(secret)", url.QueryEscape(secret), "(secret)")
		}
	}
	hide := strings.NewReplacer(append(pairs, keys.AccessKeyID, shortKey(keys.AccessKeyID))...)
	const most = 300
	return func(message string) string {
		message = hide.Replace(strings.TrimSuffix(message, "."))
		if short := []rune(message); len(short) > most {
			return string(short[:most]) + "…"
		}
		return message
	}
}

// notAllowed are the names by which services say that the caller is known and may not (service.md 1).
var notAllowed = []string{awsjson.AccessDeniedException, "AccessDenied", "NotAuthorized"}

// registration is what makes a service know this host.
func registration(id identity.Identity) string {
	option := "--iam-user-arn"
	switch {
	case !id.OnPremises:
		return "let the instance's role call codedeploy-commands (policy AmazonEC2RoleforAWSCodeDeploy, or the one of enable_auth_policy)"
	case strings.HasPrefix(id.HostID, "arn:") && strings.Contains(id.HostID, ":sts:"):
		option = "--iam-session-arn"
	}
	return fmt.Sprintf("register this host: aws deploy register-on-premises-instance --instance-name NAME %s %s; its on-premises file must have this "+
		"ARN and the keys that were made for it, and in AWS these must be allowed to call codedeploy-commands (see enable_auth_policy)", option, id.HostID)
}

// judge says what the service's answer to a call for nothing means.
func (e *endpoint) judge(err error, id identity.Identity, clean func(string) string, r *Result) {
	host := e.url.Host
	var answer *awsjson.Error
	if !errors.As(err, &answer) {
		r.fail(fmt.Sprintf("%s: %s", host, plain(err)), "something else than the command service may answer there: look at deploy_control_endpoint and at proxies")
		return
	}
	seen := fmt.Sprintf("%s answers %s: %s", host, answer.Name, clean(answer.Message))
	complaint := awsjson.BadCredentials(err)
	switch {
	case agent.Accepted(err, id):
		r.saw("%s accepts this host's keys", host)
	case answer.Name == awsapi.ClientException, slices.Contains(notAllowed, answer.Name):
		r.fail(seen, registration(id))
	case complaint == awsjson.WrongSignature:
		r.fail(seen, "the secret key does not belong to the access key, or the clock is wrong, or a proxy changes requests: write the keys anew, from the host's registration")
	case complaint == awsjson.UnknownKey:
		r.fail(seen, "the access key is unknown or was deleted: register this host again (codedeploy-agent join URL --token TOKEN --force), or write its newer keys into the on-premises file")
	case complaint == awsjson.Expired:
		r.fail(seen, "the session has ended: see what should renew the credentials file, and the clock")
	case answer.Name == awsjson.UnknownOperationException:
		r.fail(seen, "this address is no command service of this kind: look at deploy_control_endpoint and enable_auth_policy")
	case answer.Status >= http.StatusInternalServerError || awsjson.Throttled(err):
		r.warn(seen, "the service has trouble of its own; the agent tries again by itself")
	default:
		r.fail(seen, "look at deploy_control_endpoint, the keys and proxies")
	}
}

// checkS3 sees whether bundles could be asked for. Whether this host may read a bucket only a deployment shows.
func checkS3(_ context.Context, e endpoints, r *Result) {
	if !e.s3.reached("s3_endpoint_override", r) {
		return
	}
	switch status := e.s3.visit().status; {
	case status >= http.StatusInternalServerError:
		r.warn(fmt.Sprintf("%s answers %d %s", e.s3.url.Host, status, http.StatusText(status)), "the store has trouble of its own, or a proxy before it")
	default:
		r.saw("%s answers", e.s3.url.Host)
	}
}

// checkSigner tells which specifications this host obeys.
func checkSigner(_ context.Context, s setup, r *Result) {
	if s.SpecificationSigner == "" {
		r.saw("every signer of specifications is accepted, as with stock agents (specification_signer_sha256 pins one)")
		return
	}
	r.saw("only specifications signed with the certificate %s are obeyed", s.SpecificationSigner)
}
