package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/backoff"
)

// metadataAddress is where EC2 instances find what is said about them (agent.md 3.2).
const metadataAddress = "http://169.254.169.254"

// Paths and headers of the metadata service (agent.md 3.2).
const (
	tokenPath     = "/latest/api/token"
	documentPath  = "/latest/dynamic/instance-identity/document"
	partitionPath = "/latest/meta-data/services/partition"
	domainPath    = "/latest/meta-data/services/domain"
	rolePath      = "/latest/meta-data/iam/security-credentials/"

	tokenHeader    = "X-aws-ec2-metadata-token"
	tokenTTLHeader = "X-aws-ec2-metadata-token-ttl-seconds"
	tokenTTL       = "21600"
)

// Time limits. Outside EC2 nothing answers, or something else does, and the person who has just started the agent waits
// for the sentence that says what to set: hence limits below the ten seconds that an answer may take (agent.md 3.2).
const (
	answerLimit    = 10 * time.Second
	connectLimit   = 3 * time.Second
	tokenLimit     = 5 * time.Second
	discoveryLimit = 10 * time.Second // of everything that is asked to learn who the host is
)

// metadataPauses are the pauses before a failed request is sent again (agent.md 3.2).
var metadataPauses = []time.Duration{time.Second, 2 * time.Second}

// metadata is a client of the EC2 instance metadata service. It is asked by one goroutine at a time: by Load, then by the
// one renewal of credentials that is under way.
type metadata struct {
	base   string
	v2Only bool // no requests without a token
	client *http.Client
	log    *slog.Logger

	opened bool   // a token was fetched, or is known not to be had
	token  string // "" = requests go without
}

// newMetadata returns a client that speaks to the service directly and believes no redirect: metadata hands out keys, so
// neither a proxy nor another host may come between. It keeps no connection, since it is asked a few times in six hours.
func newMetadata(base string, v2Only bool, log *slog.Logger) (*metadata, error) {
	if u, err := url.Parse(base); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is %q, which is no URL such as %s; correct or unset it", metadataVariable, base, metadataAddress)
	}
	return &metadata{base: strings.TrimRight(base, "/"), v2Only: v2Only, log: log, client: &http.Client{
		Timeout:       answerLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:       (&net.Dialer{Timeout: connectLimit}).DialContext,
			DisableKeepAlives: true,
		},
	}}, nil
}

// instance is what the metadata service says about an EC2 instance.
type instance struct {
	Region    string `json:"region"`
	AccountID string `json:"accountId"`
	ID        string `json:"instanceId"`

	partition, domain string // "" = not told
}

// arn is the name that the instance polls as. The region is the instance's own, whatever services it uses.
func (i instance) arn() string {
	return fmt.Sprintf("arn:%s:ec2:%s:%s:instance/%s", i.partition, i.Region, i.AccountID, i.ID)
}

// Forms of what goes into ARNs and names of hosts: a stranger's web page must not.
var (
	partitionForm = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	domainForm    = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// instance asks who this host is. Its error says that this is no EC2 instance, as far as can be known.
func (m *metadata) instance(ctx context.Context) (instance, error) {
	ctx, cancel := context.WithTimeout(ctx, discoveryLimit)
	defer cancel()
	document, err := m.get(ctx, documentPath)
	if err != nil {
		return instance{}, err
	}
	var i instance
	if err := json.Unmarshal([]byte(document), &i); err != nil || i.Region == "" || i.AccountID == "" || i.ID == "" {
		return instance{}, fmt.Errorf("what answers at %s is not EC2: it sends no identity document", m.base+documentPath)
	}
	i.partition = m.optional(ctx, partitionPath, partitionForm)
	i.domain = m.optional(ctx, domainPath, domainForm)
	if i.partition == "" {
		i.partition = partitionOf(i.Region).name
	}
	return i, nil
}

// optional asks for a value that can be told from the region as well.
func (m *metadata) optional(ctx context.Context, path string, form *regexp.Regexp) string {
	value, err := m.get(ctx, path)
	if err == nil && form.MatchString(value) {
		return value
	}
	m.log.Warn("instance metadata lacks a value, which is told from the region instead", slog.String("path", path), slog.Any("error", err))
	return ""
}

// roleKeys asks for the keys of the instance's role.
func (m *metadata) roleKeys(ctx context.Context) (keys, error) {
	const advice = "attach an instance profile whose role may call the command service and read the bundles"
	list, err := m.get(ctx, rolePath)
	if status := (*unwanted)(nil); errors.As(err, &status) && status.code == http.StatusNotFound {
		return keys{}, fmt.Errorf("this instance has no role: %s (%w)", advice, err)
	} else if err != nil {
		return keys{}, fmt.Errorf("cannot get keys from EC2 instance metadata, which is where a host without an on-premises file has them: %w", err)
	}
	role, _, _ := strings.Cut(list, "\n")
	if role = strings.TrimSpace(role); role == "" {
		return keys{}, fmt.Errorf("this instance has no role: %s", advice)
	}
	body, err := m.get(ctx, rolePath+role)
	if err != nil {
		return keys{}, fmt.Errorf("cannot get keys of role %s: %w", role, err)
	}
	var c struct {
		Code, Message, AccessKeyID, SecretAccessKey, Token string
		Expiration                                         time.Time
	}
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		return keys{}, fmt.Errorf("cannot read the keys of role %s", role) // without err, which may quote them
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return keys{}, fmt.Errorf("the keys of role %s are refused (%s %s): check that the role exists and trusts ec2.amazonaws.com", role, c.Code, c.Message)
	}
	return keys{Credentials: aws.Credentials{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.Token,
		Source: m.base, CanExpire: true, Expires: c.Expiration,
	}}, nil
}

// get returns a value without the space around it. A token that is refused is renewed once.
func (m *metadata) get(ctx context.Context, path string) (string, error) {
	for renewed := false; ; renewed = true {
		if err := m.open(ctx); err != nil {
			return "", err
		}
		body, err := m.send(ctx, http.MethodGet, path, tokenHeader, m.token)
		var status *unwanted
		if !errors.As(err, &status) || status.code != http.StatusUnauthorized {
			return body, err
		}
		if renewed {
			return "", fmt.Errorf("instance metadata wants a token and hands out none that it takes; "+
				"if the agent runs in a container, raise the instance's metadata hop limit to 2: %w", err)
		}
		m.opened = false
	}
}

// open fetches a token, which then serves every request of the process. Services that know no tokens are asked without.
func (m *metadata) open(ctx context.Context) error {
	if m.opened {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, tokenLimit)
	defer cancel()
	token, err := m.send(limited, http.MethodPut, tokenPath, tokenTTLHeader, tokenTTL)
	var dial *net.OpError
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.As(err, &dial) && dial.Op == "dial":
		return err // nobody is there who could answer without a token
	case m.v2Only:
		return fmt.Errorf("instance metadata gives no token, and disable_imds_v1 forbids to ask without one: %w", err)
	default:
		m.log.Warn("instance metadata gives no token and is asked without one; set disable_imds_v1 to refuse that. "+
			"If the agent runs in a container, raise the instance's metadata hop limit to 2", slog.Any("error", err))
	}
	m.token, m.opened = token, true
	return nil
}

// send makes one request, and again after each pause when it fails. What came too late is not asked for again: outside EC2
// nothing ever comes.
func (m *metadata) send(ctx context.Context, method, path, header, value string) (string, error) {
	for try := 0; ; try++ {
		body, err := m.once(ctx, method, path, header, value)
		if err == nil || !passing(err) || try == len(metadataPauses) {
			return body, err
		}
		if backoff.Sleep(ctx, metadataPauses[try]) != nil {
			return "", err
		}
	}
}

func (m *metadata) once(ctx context.Context, method, path, header, value string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, nil)
	if err != nil {
		return "", err
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", &unwanted{method, req.URL.String(), resp.StatusCode}
	}
	const largest = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	return strings.TrimSpace(string(body)), err
}

// unwanted is a reply other than 200.
type unwanted struct {
	method, url string
	code        int
}

// Error names the request and the status.
func (u *unwanted) Error() string {
	return fmt.Sprintf("%s %q: status %d %s", u.method, u.url, u.code, http.StatusText(u.code))
}

// passing reports whether the same request may do better in a moment.
func passing(err error) bool {
	var status *unwanted
	if errors.As(err, &status) {
		return status.code >= 500 || status.code == http.StatusTooManyRequests
	}
	var network net.Error
	return !errors.As(err, &network) || !network.Timeout()
}
