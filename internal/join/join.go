// Package join lets hosts join with a token that an operator made, and lets a host replace its access key.
//
// A token is shown once. Its text is "gj1", its id, its secret and, when the server speaks TLS, the fingerprint of the
// certificate by which the host knows it: four parts joined with dots, none of which holds one. The store has a hash of the
// secret; a hash without salt will do, because the secret is 160 random bits.
//
// A host joins in one transaction: the token is used up, a user and its access key are made, the host is registered and tagged.
// It may ask again when it has not seen the reply: what tells it from others is the secret that it made for its attempt.
package join

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"grapnel/internal/audit"
	"grapnel/internal/auth"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/ratelimit"
	"grapnel/internal/store"
)

const (
	tokenPrefix = "gj1"

	defaultLifetime = time.Hour
	minLifetime     = time.Minute
	maxLifetime     = 30 * 24 * time.Hour
	// kept is how long a token is listed after it expired.
	kept = 30 * 24 * time.Hour
)

// namePattern is IAM's for the name of a user: a host that joins gets one of its own name.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9._+=,@-]{1,64}$`)

// Options are the settings of a Service. All but Fingerprint are needed.
type Options struct {
	Store       store.JoinTokens
	Auth        *auth.Auth
	Region      string
	AccountID   string
	Fingerprint string // of the certificate that hosts pin, the last part of a token; "" without TLS
	// HostTags checks the tags that a host is to have from the start, and returns them as they are stored.
	HostTags func([]awsapi.Tag) ([]awsapi.Tag, error)
	Signer   string                     // SHA-256 of the certificate that signs specifications, in hexadecimal
	Source   func(*http.Request) string // the address that a request comes from
	Log      *slog.Logger
}

// Service makes join tokens and lets hosts join.
type Service struct {
	Options
	joining http.Handler
	wrong   *ratelimit.Table[netip.Addr] // tokens that were sent
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{Options: o, wrong: ratelimit.New[netip.Addr](wrongLimit, maxSources)}
	s.joining = awsjson.Single(awsjson.Options{BodyLimit: maxBody, Log: o.Log}, s.join)
	return s
}

// Register makes the operations known to the mux of the service grapnel.
func (s *Service) Register(mux *awsjson.Mux) {
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".CreateJoinToken", s.CreateJoinToken)
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".ListJoinTokens", s.ListJoinTokens)
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".DeleteJoinToken", s.DeleteJoinToken)
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".RotateHostKey", s.RotateHostKey)
}

// CreateJoinToken makes a token.
func (s *Service) CreateJoinToken(ctx context.Context, in *awsapi.CreateJoinTokenInput) (*awsapi.CreateJoinTokenOutput, error) {
	lifetime := defaultLifetime
	if in.LifetimeSeconds != nil {
		lifetime = seconds(*in.LifetimeSeconds)
	}
	if lifetime < minLifetime || lifetime > maxLifetime {
		return nil, awsjson.Errorf(awsapi.InvalidInputException, "lifetimeSeconds must be %d to %d, a minute to 30 days; leave it out for an hour.",
			int(minLifetime.Seconds()), int(maxLifetime.Seconds()))
	}
	if in.InstanceName != nil {
		if err := checkName(*in.InstanceName); err != nil {
			return nil, err
		}
	}
	tags, err := s.HostTags(in.Tags)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	id, secret := strings.ToLower(rand.Text()[:16]), strings.ToLower(rand.Text()+rand.Text()[:6])
	info := awsapi.JoinTokenInfo{
		TokenId: &id, InstanceName: in.InstanceName, Tags: tags, CreatedBy: new(auth.FromContext(ctx).ARN),
		CreateTime: awsapi.At(now), ExpireTime: awsapi.At(now.Add(lifetime)),
	}
	audit.Note(ctx, "grapnel:CreateJoinToken", s.tokenARN(id))
	if err := s.Store.CreateJoinToken(ctx, store.JoinToken{Info: info, Secret: hash(secret)}, now.Add(-kept)); err != nil {
		return nil, err
	}
	text := strings.Join([]string{tokenPrefix, id, secret}, ".")
	if s.Fingerprint != "" {
		text += "." + s.Fingerprint
	}
	return &awsapi.CreateJoinTokenOutput{Token: &text, TokenInfo: &info}, nil
}

// seconds is a duration that does not overflow.
func seconds(n int64) time.Duration {
	return time.Duration(max(-1, min(n, int64(maxLifetime/time.Second)+1))) * time.Second
}

// ListJoinTokens lists tokens, newest first.
func (s *Service) ListJoinTokens(ctx context.Context, _ *awsapi.ListJoinTokensInput) (*awsapi.ListJoinTokensOutput, error) {
	tokens, err := s.Store.JoinTokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &awsapi.ListJoinTokensOutput{Tokens: []awsapi.JoinTokenInfo{}}
	for _, t := range tokens {
		out.Tokens = append(out.Tokens, t.Info)
	}
	return out, nil
}

// DeleteJoinToken makes a token worthless. A host that has joined with it stays.
func (s *Service) DeleteJoinToken(ctx context.Context, in *awsapi.DeleteJoinTokenInput) (*awsapi.DeleteJoinTokenOutput, error) {
	id := awsapi.Value(in.TokenId)
	if id == "" {
		return nil, awsjson.Errorf(awsapi.InvalidInputException, "tokenId is missing; ListJoinTokens shows the ids.")
	}
	audit.Note(ctx, "grapnel:DeleteJoinToken", s.tokenARN(id))
	switch err := s.Store.DeleteJoinToken(ctx, id); {
	case errors.Is(err, store.ErrNotFound):
		return &awsapi.DeleteJoinTokenOutput{}, nil
	case err != nil:
		return nil, err
	}
	return &awsapi.DeleteJoinTokenOutput{TokenId: &id}, nil
}

// RotateHostKey gives the host that calls it another access key, or with Retire deletes all but the one that it calls with.
// At every moment the key that the host signs with stays good.
func (s *Service) RotateHostKey(ctx context.Context, in *awsapi.RotateHostKeyInput) (*awsapi.RotateHostKeyOutput, error) {
	id := auth.FromContext(ctx)
	if id.Kind != auth.Host || id.User == "" {
		return nil, awsjson.Errorf(awsapi.InvalidOperationException, "Only a registered host that signs as an IAM user may call RotateHostKey, for itself; %s is none.", id.ARN)
	}
	audit.Note(ctx, auth.ActionRotateHostKey, awsapi.InstanceARN(s.Region, s.AccountID, id.Host))
	if awsapi.Value(in.Retire) {
		return nil, s.Auth.RetireAccessKeys(ctx, id.User, id.Key)
	}
	k, secret, err := s.Auth.RotateAccessKey(ctx, id.User, id.Key)
	if err != nil {
		return nil, err
	}
	return &awsapi.RotateHostKeyOutput{AccessKeyId: &k.ID, SecretAccessKey: &secret}, nil
}

func (s *Service) tokenARN(id string) string {
	return "arn:aws:grapnel:" + s.Region + ":" + s.AccountID + ":join-token/" + id
}

func checkName(name string) error {
	if !namePattern.MatchString(name) || strings.HasPrefix(name, "i-") {
		return awsjson.Errorf(awsapi.InvalidInstanceNameException,
			"instanceName %q is not valid; it may have 1 to 64 letters, digits and . _ + = , @ -, and must not begin with i-, as only EC2 instances do.", head(name))
	}
	return nil
}

// head is the beginning of what somebody sent, for a message.
func head(text string) string {
	if len(text) <= 200 {
		return text
	}
	return strings.ToValidUTF8(text[:200], "") + "…"
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// matches compares in a time that does not depend on where the two differ, nor on whether there is a token at all.
func matches(stored []byte, secret string) bool {
	known := stored != nil
	if !known {
		stored = make([]byte, sha256.Size)
	}
	return subtle.ConstantTimeCompare(stored, hash(secret)) == 1 && known
}
