package doctor_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/doctor"
)

// The call that shows whether the keys are accepted must not take a command away from the agent, as a poll could.
func TestHealthyHost(t *testing.T) {
	t.Parallel()
	s := newService(t)
	r := newPatient(t, s.url).examine(t.Context())
	for _, check := range []string{"configuration", "on-premises file", "identity", "credentials", "DNS", "proxy", "clock", "command service", "S3", "folders", "leftovers"} {
		r.want(check, doctor.OK)
	}
	r.want("TLS", doctor.Skipped, "without TLS")
	r.want("identity", doctor.OK, "arn:aws:iam::123456789012:user/host-1 in us-east-1", "on-premises.yml")
	if diff := cmp.Diff([]string{"GetDeploymentSpecification"}, s.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// users.md 14: a service with an authority of its own.
func TestCertificates(t *testing.T) {
	t.Parallel()
	const here = "127.0.0.1"
	tests := []struct {
		name     string
		leaf     certificate
		trusted  bool
		state    doctor.State
		words    []string
		andCalls doctor.State // of the command service
	}{
		{"trusted", validFor(200, here, "deploy.example"), true, doctor.OK, []string{"TLS 1.3", "deploy.example, 127.0.0.1", "Our Own Authority", "(199 days)"}, doctor.OK},
		{"unknown authority", validFor(200, here), false, doctor.Failed, []string{"Our Own Authority", "ca_file", "AWS_SSL_CA_BUNDLE"}, doctor.Skipped},
		{"other name", validFor(200, "deploy.example"), true, doctor.Failed, []string{"deploy.example", "not for this name", "deploy_control_endpoint"}, doctor.Skipped},
		{"ends soon", validFor(13, here), true, doctor.Warning, []string{"renew it"}, doctor.OK},
		{"has ended", validFor(-1, here), true, doctor.Failed, []string{"this host's clock says", "renew it"}, doctor.Skipped},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTLSService(t, tt.leaf)
			p := newPatient(t, s.url)
			if tt.trusted {
				p.keys["ca_file"] = p.write("ca.pem", s.ca)
			}
			r := p.examine(t.Context())
			r.want("TLS", tt.state, tt.words...)
			r.want("command service", tt.andCalls)
			r.want("S3", tt.andCalls)
		})
	}
}

func TestPlainServerAtHTTPSAddress(t *testing.T) {
	t.Parallel()
	s := newService(t)
	r := newPatient(t, strings.Replace(s.url, "http:", "https:", 1)).examine(t.Context())
	r.want("TLS", doctor.Failed, "does not speak TLS", "port")
	r.want("command service", doctor.Skipped, "see TLS")
}

// users.md 14: a clock that is wrong makes every signature wrong.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		slow  time.Duration
		state doctor.State
		word  string
	}{
		{0, doctor.OK, "right"},
		{-2 * time.Minute, doctor.Warning, "fast"},
		{2 * time.Minute, doctor.Warning, "slow"},
		{-10 * time.Minute, doctor.Failed, "10m"},
		{24 * time.Hour, doctor.Failed, "slow"},
	} {
		s := newService(t, func(s *service) { s.slow = tt.slow })
		newPatient(t, s.url).examine(t.Context()).want("clock", tt.state, tt.word)
	}
}

// users.md 15: keys that were replaced, and what else the service may answer.
func TestAnswersOfTheService(t *testing.T) {
	t.Parallel()
	const registration = "aws deploy register-on-premises-instance --instance-name NAME --iam-user-arn arn:aws:iam::123456789012:user/host-1"
	answered := func(status int, name, message string) answer {
		return answer{status, `{"__type":"` + name + `","message":"` + message + `"}`}
	}
	for _, tt := range []struct {
		answer answer
		state  doctor.State
		word   string
	}{
		{unknownDeployment, doctor.OK, "accepts this host's keys"},
		{answered(400, "ClientException", "arn:aws:iam::123456789012:user/host-1 is not the caller"), doctor.Failed, registration},
		{answered(400, "ClientException", "the root access key belongs to no host"), doctor.Failed, registration},
		{answered(400, "AccessDeniedException", "not authorized"), doctor.Failed, registration},
		{answered(403, "InvalidSignatureException", "it does not match "+secretKey), doctor.Failed, "secret key"},
		{answered(403, "InvalidSignatureException", strings.Repeat("canonical request ", 50)+secretKey), doctor.Failed, "secret key"},
		{answered(400, "com.amazonaws#UnrecognizedClientException", "there is no key AKIDEXAMPLE"), doctor.Failed, "register this host again"},
		{answered(400, "ExpiredTokenException", "expired"), doctor.Failed, "session has ended"},
		{answered(400, "AccessDeniedException", "not authorized"), doctor.Failed, "codedeploy-commands"},
		{answered(400, "UnknownOperationException", ""), doctor.Failed, "enable_auth_policy"},
		{answered(500, "ServerException", "later"), doctor.Warning, "tries again"},
		{answered(400, "ValidationException", "?"), doctor.Failed, "ValidationException"},
		{answer{404, "<html>not here</html>"}, doctor.Failed, "not JSON"},
		{answer{200, "<html>welcome</html>"}, doctor.Failed, "something else"},
	} {
		s := newService(t, func(s *service) { s.answer = tt.answer })
		newPatient(t, s.url).examine(t.Context()).want("command service", tt.state, tt.word)
	}
}

// users.md 14: proxies. The name of the service is one that only the proxy knows.
func TestProxies(t *testing.T) {
	t.Parallel()
	const name = "deploy.invalid"
	s := newTLSService(t, validFor(200, name))
	closed := newProxy(t, http.StatusOK, s)
	closed = closed[:strings.LastIndexByte(closed, ':')] + ":1"
	for _, tt := range []struct {
		name, proxy string
		state       doctor.State
		words       []string
		then        doctor.State // of everything behind it
	}{
		{"connects", newProxy(t, http.StatusOK, s), doctor.OK, []string{name + " through http://127.0.0.1:", "(proxy_uri)"}, doctor.OK},
		{"wants a password", newProxy(t, http.StatusProxyAuthRequired, s), doctor.Failed, []string{"407", "http://user:password@"}, doctor.Skipped},
		{"refuses", newProxy(t, http.StatusForbidden, s), doctor.Failed, []string{"403", "let the proxy connect to " + name}, doctor.Skipped},
		{"is away", closed, doctor.Failed, []string{"connection refused", "see that the proxy runs"}, doctor.Skipped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, "https://"+name)
			p.keys["ca_file"] = p.write("ca.pem", s.ca)
			p.keys["proxy_uri"] = tt.proxy
			r := p.examine(t.Context())
			r.want("DNS", doctor.OK, "127.0.0.1 is an address")
			r.want("proxy", tt.state, tt.words...)
			for _, check := range []string{"TLS", "clock", "command service", "S3"} {
				r.want(check, tt.then)
			}
		})
	}
}

func TestServiceThatIsAway(t *testing.T) {
	t.Parallel()
	r := newPatient(t, "http://127.0.0.1:1").examine(t.Context())
	r.want("command service", doctor.Failed, "127.0.0.1:1 cannot be reached", "connection refused", "does the server run?", "deploy_control_endpoint")
	r.want("S3", doctor.Failed, "s3_endpoint_override")
	r.want("TLS", doctor.Skipped)
	r.want("clock", doctor.Skipped)
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	r := newPatient(t, "https://nowhere.invalid").examine(t.Context())
	r.want("DNS", doctor.Failed, "nowhere.invalid", "/etc/resolv.conf")
	r.want("command service", doctor.Skipped, "see DNS")
}

// A service that takes connections and never says a word holds nobody up.
func TestSilentService(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r := newPatient(t, "https://"+silent.Addr().String()).examine(ctx)
	r.want("command service", doctor.Failed, "no answer")
	r.want("folders", doctor.OK)
}

// An EC2 instance: only the first version of the metadata service, and keys that should have been replaced.
func TestInstance(t *testing.T) {
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := map[string]string{
			"/latest/dynamic/instance-identity/document":  `{"region":"eu-west-1","accountId":"123456789012","instanceId":"i-0abc"}`,
			"/latest/meta-data/services/partition":        "aws",
			"/latest/meta-data/services/domain":           "amazonaws.com",
			"/latest/meta-data/iam/security-credentials/": "web",
			"/latest/meta-data/iam/security-credentials/web": `{"Code":"Success","AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"` + secretKey +
				`","Token":"` + proxyPassword + `","Expiration":"` + time.Now().Add(3*time.Minute).UTC().Format(time.RFC3339) + `"}`,
		}
		if value, ok := values[r.URL.Path]; ok && r.Method == http.MethodGet {
			w.Write([]byte(value))
			return
		}
		http.NotFound(w, r)
	}))
	defer metadata.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	s := newService(t, func(s *service) { // it quotes what it was sent, as AWS does with signatures that do not match
		s.answer = answer{403, `{"__type":"InvalidSignatureException","message":"x-amz-security-token:` + proxyPassword + `"}`}
	})
	p := newPatient(t, s.url)
	p.keys["on_premises_config_file"] = p.dir + "/none.yml"
	r := p.examine(t.Context())
	r.want("on-premises file", doctor.Skipped, "does not exist")
	r.want("identity", doctor.Warning, "arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc in eu-west-1", "disable_imds_v1")
	r.want("credentials", doctor.Warning, "…MPLE", "valid until", "3m0s")
	r.want("command service", doctor.Failed, "x-amz-security-token:(secret)")
}
