package join

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/audit"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/ratelimit"
	"grapnel/internal/store"
)

const (
	// maxBody is the longest body of a request to join, in bytes: its sender is not known.
	maxBody = 4 << 10
	// minAttempt and maxAttempt are the lengths of the secret that a host makes for its attempt.
	minAttempt, maxAttempt = 16, 128
)

// wrongLimit is how many wrong tokens one address may send. Guessing a secret of 160 bits is hopeless anyway; this keeps the
// noise down. Tokens that are right count for nothing, so that a thousand hosts may join from behind one address.
var wrongLimit = ratelimit.Limit{PerSecond: 1, Burst: 20}

// maxSources is how many addresses are told apart.
const maxSources = 4096

type sourceKey struct{}

// ServeHTTP serves awsapi.JoinPath. Nobody has checked who sends the request: the token is the credential.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	source := s.Source(r)
	if wait := s.wrong.Wait(ratelimit.Network(source), time.Now()); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		awsjson.WriteError(w, awsjson.Errorf(awsjson.ThrottlingException, "Too many wrong join tokens came from %s; try again in a minute.", source))
		return
	}
	s.joining.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sourceKey{}, source)))
}

// join lets a host join. The user that it will sign as has no policy: what a host may do it may do as a host.
func (s *Service) join(ctx context.Context, in *awsapi.JoinInput) (*awsapi.JoinOutput, error) {
	if n := len(awsapi.Value(in.Attempt)); n < minAttempt || n > maxAttempt {
		return nil, awsjson.Errorf(awsapi.InvalidInputException, "attempt must be %d to %d random characters that the host makes and keeps while it tries.", minAttempt, maxAttempt)
	}
	token, err := s.token(ctx, awsapi.Value(in.Token))
	if err != nil {
		return nil, err
	}
	audit.Note(ctx, "grapnel:Join", s.tokenARN(*token.Info.TokenId))
	name, err := hostName(token, in.InstanceName)
	if err != nil {
		return nil, err
	}
	audit.Note(ctx, "grapnel:Join", awsapi.InstanceARN(s.Region, s.AccountID, name))
	return s.admit(ctx, token, name, hash(*in.Attempt))
}

// token returns the token of this text. An attacker is told the same of one that does not exist as of a wrong secret.
func (s *Service) token(ctx context.Context, text string) (store.JoinToken, error) {
	id, secret, ok := parse(text)
	if !ok {
		return store.JoinToken{}, awsjson.Errorf(awsapi.InvalidInputException,
			"The text is no join token; one has three or four parts joined with dots and begins with %s. Copy the whole of it.", tokenPrefix)
	}
	token, err := s.Store.JoinToken(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return token, err
	}
	if !matches(token.Secret, secret) {
		source, _ := ctx.Value(sourceKey{}).(string)
		s.wrong.Take(ratelimit.Network(source), time.Now())
		s.Log.Warn("somebody tried to join with a wrong token", "source", source, "request", awsjson.RequestID(ctx))
		return token, awsjson.Errorf(awsjson.AccessDeniedException, "This join token is not good here: it was deleted, or it is of another server. Make one with \"grapnel token create\".")
	}
	return token, nil
}

// parse takes a token apart; its fingerprint is for the host alone.
func parse(text string) (id, secret string, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) < 3 || len(parts) > 4 || parts[0] != tokenPrefix || parts[1] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// hostName returns the name under which a host joins: the one that the token names, or its own choice.
func hostName(token store.JoinToken, wanted *string) (string, error) {
	fixed, name := awsapi.Value(token.Info.InstanceName), awsapi.Value(wanted)
	switch {
	case fixed != "" && name != "" && name != fixed:
		return "", awsjson.Errorf(awsapi.InvalidInstanceNameException, "This join token is for the host %s; leave the name out, or make a token for %s.", fixed, head(name))
	case fixed != "":
		return fixed, nil
	case name == "":
		return "", awsjson.Errorf(awsapi.InstanceNameRequiredException, "instanceName is missing, and the join token names no host; give the name that the host is to have.")
	}
	return name, checkName(name)
}

// admit uses up the token and stores the host with what it needs.
func (s *Service) admit(ctx context.Context, token store.JoinToken, name string, attempt []byte) (*awsapi.JoinOutput, error) {
	user, key, secret := s.Auth.NewHostIdentity(name)
	arn := s.Auth.UserARN(user)
	now := time.Now()
	err := s.Store.Join(ctx, store.Join{
		Token: *token.Info.TokenId, Attempt: attempt, At: now, User: user, Key: key,
		Host: store.Host{Info: awsapi.InstanceInfo{
			InstanceName: &name, IamUserArn: &arn, InstanceArn: new(store.NewInstanceARN(s.Region, s.AccountID, name)),
			RegisterTime: awsapi.At(now), Tags: token.Info.Tags,
		}},
	})
	if err != nil {
		return nil, refusal(err, token, name, attempt, now)
	}
	s.Log.Info("a host joined", "host", name, "token", *token.Info.TokenId)
	return &awsapi.JoinOutput{
		InstanceName: &name, IamUserArn: &arn, AccessKeyId: &key.ID, SecretAccessKey: &secret, Region: &s.Region, SpecificationSigner: &s.Signer,
	}, nil
}

// refusal is what a host is told that has the right secret and cannot join all the same.
func refusal(err error, token store.JoinToken, name string, attempt []byte, now time.Time) error {
	taken := (*store.JoinNameError)(nil)
	switch {
	case errors.As(err, &taken) && taken.Host:
		return awsjson.Errorf(awsapi.InstanceNameAlreadyRegisteredException,
			"A host named %s is registered already; take another name, or deregister that one first and delete its IAM user.", name)
	case errors.As(err, &taken):
		return awsjson.Errorf(awsapi.IamUserArnAlreadyRegisteredException,
			"There is an IAM user named %s, which the host would have to share; delete the user if nobody needs it, or take another name.", name)
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrEnded) && now.After(token.Info.ExpireTime.Time):
		return awsjson.Errorf(awsjson.AccessDeniedException, "This join token has expired or was deleted. Make another with \"grapnel token create\".")
	case errors.Is(err, store.ErrEnded) && bytes.Equal(token.Attempt, attempt):
		return awsjson.Errorf(awsjson.AccessDeniedException,
			"This host has joined with this join token before, and cannot again: it asked for another name, or has replaced its key or been deregistered since. Make another with \"grapnel token create\".")
	case errors.Is(err, store.ErrEnded):
		return awsjson.Errorf(awsjson.AccessDeniedException, "This join token has been used; each is good for one host. Make another with \"grapnel token create\".")
	}
	return err
}
