package service

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/server"
	"grapnel/internal/sigv4"
)

// audit returns audit records, newest first unless the input says otherwise.
func (w *world) audit(in awsapi.ListAuditRecordsInput) []awsapi.AuditRecord {
	w.t.Helper()
	var out awsapi.ListAuditRecordsOutput
	ok(w.t, w.grapnel(w.root, "ListAuditRecords", in, &out))
	return out.Records
}

// recorded waits for a record of the action that passes the check. What made no write of its own is recorded a moment later.
func (w *world) recorded(action string, check func(awsapi.AuditRecord) bool) (found awsapi.AuditRecord) {
	w.t.Helper()
	eventually(w.t, "there is such a record of "+action, func() bool {
		records := w.audit(awsapi.ListAuditRecordsInput{Action: &action})
		i := slices.IndexFunc(records, check)
		if i >= 0 {
			found = records[i]
		}
		return i >= 0
	})
	return found
}

func result(name string) func(awsapi.AuditRecord) bool {
	return func(r awsapi.AuditRecord) bool { return r.Result == name }
}

// A change is on record as soon as it is made, and reads are not.
func TestAuditTellsWhoChangedWhat(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	_, err := w.GetApplication(t.Context(), &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")})
	ok(t, err)
	records := w.audit(awsapi.ListAuditRecordsInput{})
	if len(records) != 1 {
		t.Fatalf("want the record of the one change, got %+v", records)
	}
	got := records[0]
	if got.RequestId == "" || time.Since(got.Time.Time) > time.Minute {
		t.Errorf("the record lacks the request's id or has a wrong time: %+v", got)
	}
	got.RequestId, got.Time = "", awsapi.Epoch{}
	want := awsapi.AuditRecord{
		Place: 1, Who: "arn:aws:iam::" + account + ":root", AccessKey: w.root.AccessKeyID, Source: "127.0.0.1", Action: "codedeploy:CreateApplication",
		Resources: []string{"arn:aws:codedeploy:" + region + ":" + account + ":application:shop"}, Result: "ok",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("record (-want +got):\n" + diff)
	}
}

// What was refused to somebody who is known is recorded with its error; what nobody signed is not.
func TestAuditRecordsRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.user("ann", "")
	_, err := w.as(ann).CreateApplication(t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: aws.String("shop")})
	fails(t, err, "AccessDeniedException")
	denied := w.recorded("codedeploy:CreateApplication", result("AccessDeniedException"))
	if denied.Who != "arn:aws:iam::"+account+":user/ann" || denied.AccessKey != ann.AccessKeyID || !strings.Contains(denied.Message, "not authorized") {
		t.Errorf("got %+v", denied)
	}
	_, err = w.CreateApplication(t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: aws.String("not a name")})
	fails(t, err, "InvalidApplicationNameException")
	w.recorded("codedeploy:CreateApplication", result("InvalidApplicationNameException"))
	_, err = w.iam().CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("not a name")})
	fails(t, err, "ValidationError")
	w.recorded("iam:CreateUser", result("ValidationError"))
	_, err = w.DeleteApplication(t.Context(), &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("none")})
	ok(t, err)
	w.recorded("codedeploy:DeleteApplication", result("ok"))

	stranger := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wrong"}
	_, err = w.as(stranger).DeleteApplication(t.Context(), &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")})
	fails(t, err, "UnrecognizedClientException")
	forged := sigv4.Credentials{AccessKeyID: ann.AccessKeyID, SecretAccessKey: "wrong"}
	_, err = w.as(forged).DeleteApplication(t.Context(), &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")})
	fails(t, err, "InvalidSignatureException")
	w.application("last")
	for _, r := range w.audit(awsapi.ListAuditRecordsInput{}) {
		if r.AccessKey == stranger.AccessKeyID || r.Result == "InvalidSignatureException" {
			t.Errorf("an unverified request is on record: %+v", r)
		}
	}
}

// Filters select by person, action and time; places go on from where a reader was.
func TestAuditFilters(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.user("ann", "")
	w.application("a")
	w.application("b")
	count := func(in awsapi.ListAuditRecordsInput, want ...string) {
		t.Helper()
		var got []string
		for _, r := range w.audit(in) {
			got = append(got, r.Action+" "+r.Resources[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", in, diff)
		}
	}
	createUser, createKey := "iam:CreateUser arn:aws:iam::"+account+":user/ann", "iam:CreateAccessKey arn:aws:iam::"+account+":user/ann"
	a, b := "codedeploy:CreateApplication arn:aws:codedeploy:"+region+":"+account+":application:a", "codedeploy:CreateApplication arn:aws:codedeploy:"+region+":"+account+":application:b"
	count(awsapi.ListAuditRecordsInput{}, b, a, createKey, createUser)
	count(awsapi.ListAuditRecordsInput{Action: aws.String("iam:*")}, createKey, createUser)
	count(awsapi.ListAuditRecordsInput{Action: aws.String("iam:CreateU*")}, createUser)
	count(awsapi.ListAuditRecordsInput{Action: aws.String("codedeploy:CreateApplication"), Limit: aws.Int64(1)}, b)
	count(awsapi.ListAuditRecordsInput{Who: aws.String("ann")})
	count(awsapi.ListAuditRecordsInput{Who: aws.String("arn:aws:iam::" + account + ":root"), Limit: aws.Int64(1)}, b)
	ago, ahead := awsapi.At(time.Now().Add(-time.Hour)), awsapi.At(time.Now().Add(time.Hour))
	count(awsapi.ListAuditRecordsInput{Since: ago, Until: ahead}, b, a, createKey, createUser)
	count(awsapi.ListAuditRecordsInput{Since: ahead})
	count(awsapi.ListAuditRecordsInput{Until: ago})
	count(awsapi.ListAuditRecordsInput{After: aws.Int64(2)}, a, b)
	count(awsapi.ListAuditRecordsInput{After: aws.Int64(0), Limit: aws.Int64(1)}, createUser)
	count(awsapi.ListAuditRecordsInput{Before: aws.Int64(3)}, createKey, createUser)
	for _, in := range []awsapi.ListAuditRecordsInput{
		{Limit: aws.Int64(1001)}, {Limit: aws.Int64(0)}, {After: aws.Int64(-1)}, {Action: aws.String("CreateUser")}, {Action: aws.String("iam:*User")},
	} {
		refuses(t, w.grapnel(w.root, "ListAuditRecords", in, nil), "InvalidInputException")
	}
}

// Objects have no transaction with the database; they are on record all the same, parts of uploads are not.
func TestAuditOfObjects(t *testing.T) {
	t.Parallel()
	w := start(t)
	client := s3.New(s3.Options{Region: region, BaseEndpoint: &w.url, UsePathStyle: true, Credentials: w.Client.Options().Credentials, RetryMaxAttempts: 1})
	bucket, key := aws.String("bundles"), aws.String("shop/1.zip")
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket})
	ok(t, err)
	upload := must(client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key}))(t).UploadId
	_, err = client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: upload, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
	ok(t, err)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("bundle")})
	ok(t, err)
	_, err = client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: bucket})
	fails(t, err, "BucketNotEmpty")
	w.recorded("s3:DeleteBucket", result("BucketNotEmpty"))
	got := w.recorded("s3:CreateBucket", result("ok"))
	if diff := cmp.Diff([]string{"arn:aws:s3:::bundles"}, got.Resources); diff != "" {
		t.Error("resources (-want +got):\n" + diff)
	}
	if n := len(w.audit(awsapi.ListAuditRecordsInput{Action: aws.String("s3:PutObject")})); n != 2 { // begun, put
		t.Errorf("got %d records of PutObject, want 2", n)
	}
}

// What somebody does in a role is theirs to answer for: who took it on is on record, and with what key the session signs.
func TestAuditOfSessions(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role("ci")
	session, arn := w.session("ci", "build-7")
	taken := w.recorded("sts:AssumeRole", result("ok"))
	if diff := cmp.Diff([]string{"arn:aws:iam::" + account + ":role/ci"}, taken.Resources); diff != "" || taken.AccessKey != w.root.AccessKeyID {
		t.Errorf("access key %s, resources (-want +got):\n%s", taken.AccessKey, diff)
	}
	_, err := w.as(session).DeleteApplication(t.Context(), &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")})
	ok(t, err)
	if did := w.recorded("codedeploy:DeleteApplication", result("ok")); did.Who != arn || did.AccessKey != session.AccessKeyID {
		t.Errorf("got %+v", did)
	}
}

// X-Forwarded-For counts only when a trusted proxy says it.
func TestAuditSource(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ trusted, forwarded, want string }{
		{"", "203.0.113.9", "127.0.0.1"},
		{"127.0.0.0/8", "", "127.0.0.1"},
		{"127.0.0.0/8", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.0/8", "198.51.100.1, 203.0.113.9, 127.0.0.2", "203.0.113.9"}, // the first is the client's own invention
		{"127.0.0.0/8", "203.0.113.9, nonsense", "127.0.0.1"},
		{"127.0.0.0/8", "2001:db8::1", "2001:db8::1"},
	} {
		t.Run(test.trusted+" "+test.forwarded, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(o *server.Options) {
				if _, block, err := net.ParseCIDR(test.trusted); err == nil {
					o.TrustedProxies = []net.IPNet{*block}
				}
			})
			client := codedeploy.New(w.Options(), func(o *codedeploy.Options) {
				o.HTTPClient = forwarding{test.forwarded}
			})
			_, err := client.CreateApplication(t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: aws.String("shop")})
			ok(t, err)
			if got := w.audit(awsapi.ListAuditRecordsInput{})[0].Source; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// forwarding adds X-Forwarded-For to a request that was signed, as a proxy does.
type forwarding struct{ addresses string }

func (f forwarding) Do(r *http.Request) (*http.Response, error) {
	if f.addresses != "" {
		r.Header.Set("X-Forwarded-For", f.addresses)
	}
	return http.DefaultClient.Do(r)
}

// Nothing that opens a door is on record.
func TestAuditHasNoSecrets(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.user("ann", "")
	const token, document = "ghp_AbcDef0123456789", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"codedeploy:Zzz","Resource":"*"}]}`
	_, err := w.iam().PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("p"), PolicyDocument: aws.String(document)})
	ok(t, err)
	ok(t, w.grapnel(w.root, "PutGitHubAccountToken", awsapi.PutGitHubAccountTokenInput{TokenName: aws.String("acme"), Token: aws.String(token)}, nil))
	if err := w.grapnel(w.root, "PutGitHubAccountToken", awsapi.PutGitHubAccountTokenInput{TokenName: aws.String("acme"), Token: aws.String(token + " x")}, nil); err == nil {
		t.Error("a token with a space is stored")
	}
	text, _ := w.token(awsapi.CreateJoinTokenInput{})
	out, _ := w.join(awsapi.JoinInput{Token: &text, Attempt: aws.String(attempt), InstanceName: aws.String("web-1")})
	w.recorded("grapnel:PutGitHubAccountToken", result("InvalidGitHubAccountTokenException"))
	all, err := json.Marshal(w.audit(awsapi.ListAuditRecordsInput{}))
	ok(t, err)
	for _, secret := range []string{ann.SecretAccessKey, token, "codedeploy:Zzz", strings.Split(text, ".")[2], attempt, *out.SecretAccessKey} {
		if strings.Contains(string(all), secret) {
			t.Errorf("%s is in the audit log", secret)
		}
	}
}

// A record tells which key, policy or deployment it was, not only whose.
func TestAuditNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, api := t.Context(), w.iam()
	name := aws.String("ann")
	must(api.CreateUser(ctx, &iam.CreateUserInput{UserName: name}))(t)
	key := must(api.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: name}))(t).AccessKey
	document := aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	must(api.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("all"), PolicyDocument: document}))(t)
	must(api.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: name, PolicyName: aws.String("all")}))(t)
	w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("1.zip"))
	must(w.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: &id}))(t)
	for action, resource := range map[string]string{
		"iam:CreateAccessKey": *key.AccessKeyId, "iam:PutUserPolicy": "all", "codedeploy:StopDeployment": id,
	} {
		w.recorded(action, func(r awsapi.AuditRecord) bool { return slices.Contains(r.Resources, resource) })
	}
	if reads := w.audit(awsapi.ListAuditRecordsInput{Action: aws.String("iam:GetUserPolicy")}); len(reads) > 0 {
		t.Errorf("a read is on record: %+v", reads)
	}
}
