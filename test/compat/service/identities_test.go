package service

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"grapnel/internal/sigv4"
)

// user creates a user with an access key and, unless it is "", a policy.
func (w *world) user(name, policy string) sigv4.Credentials {
	w.t.Helper()
	ctx, api := w.t.Context(), w.iam()
	_, err := api.CreateUser(ctx, &iam.CreateUserInput{UserName: &name})
	ok(w.t, err)
	key := must(api.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name}))(w.t).AccessKey
	if policy != "" {
		_, err := api.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy})
		ok(w.t, err)
	}
	return sigv4.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
}

// A host whose agent signs as a user, and one whose agent signs as a session of a role with credentials that were refreshed in
// between, both receive the commands of a deployment.
//
// service.md 15: P174
func TestAgentsOfUserAndSession(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.role("hosts")
	first, arn := w.session("hosts", "web-2")
	_, err := w.RegisterOnPremisesInstance(t.Context(), &codedeploy.RegisterOnPremisesInstanceInput{
		InstanceName: aws.String("web-2"), IamSessionArn: &arn,
	})
	ok(t, err)
	_, err = w.AddTagsToOnPremisesInstances(t.Context(), &codedeploy.AddTagsToOnPremisesInstancesInput{
		InstanceNames: []string{"web-2"}, Tags: []types.Tag{tag("app", "shop")},
	})
	ok(t, err)
	second, _ := w.session("hosts", "web-2")
	bySession := w.agent("web-2", arn, first)
	byUser := w.host("web-1", tag("app", "shop"))
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))

	// CodeDeployDefault.OneAtATime takes the hosts one after the other.
	done := make(chan int)
	go func() { done <- len(byUser.run(inPlaceEvents, "")) }()
	got := len(bySession.run(1, ""))
	got += len(w.agent("web-2", arn, second).run(inPlaceEvents-1, ""))
	if users := <-done; users != inPlaceEvents || got != inPlaceEvents {
		t.Errorf("the user's agent ran %d commands, the session's %d, want %d each", users, got, inPlaceEvents)
	}
	w.ends(id, types.DeploymentStatusSucceeded)
}

// What `aws deploy register` allows every host, and everything besides, gives a host nothing but its own.
func TestHostsAreLimited(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	h := w.host("web-1", tag("app", "shop"))
	other := w.host("web-2")
	_, err := w.iam().PutUserPolicy(ctx, &iam.PutUserPolicyInput{
		UserName: aws.String("web-1"), PolicyName: aws.String("codedeploy-agent"), PolicyDocument: aws.String(all),
	})
	ok(t, err)
	root := s3.New(s3.Options{Region: region, BaseEndpoint: &w.url, Credentials: static(w.root), UsePathStyle: true})
	_, err = root.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bundles")})
	ok(t, err)
	for _, key := range []string{"shop/1.zip", "shop/2.zip"} {
		_, err := root.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bundles"), Key: &key, Body: strings.NewReader("zip")})
		ok(t, err)
	}
	w.group("shop", "prod")
	id := w.deploy("shop", "prod", bundle("shop/1.zip"))
	command := h.poll()

	asHost := s3.New(s3.Options{Region: region, BaseEndpoint: &w.url, Credentials: static(h.creds), UsePathStyle: true, RetryMaxAttempts: 1})
	get := func(key string) error {
		_, err := asHost.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bundles"), Key: &key})
		return err
	}
	ok(t, get("shop/1.zip"))
	fails(t, get("shop/2.zip"), "AccessDenied")
	_, err = asHost.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("bundles")})
	fails(t, err, "AccessDenied")
	_, err = w.as(h.creds).GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id})
	fails(t, err, "AccessDeniedException")
	_, err = w.sts(h.creds).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String(role), RoleSessionName: aws.String("me")})
	fails(t, err, "AccessDenied")
	if err := other.call("PutHostCommandAcknowledgement", map[string]any{"HostCommandIdentifier": command.HostCommandIdentifier}, nil); err == nil {
		t.Error("a host took the command of another")
	}
	h.acknowledge(command)

	// With its registration a host loses its rights at once, and its policies count.
	_, err = w.DeregisterOnPremisesInstance(ctx, &codedeploy.DeregisterOnPremisesInstanceInput{InstanceName: aws.String("web-1")})
	ok(t, err)
	ok(t, get("shop/2.zip"))
	if err := h.call("PollHostCommand", map[string]any{"HostIdentifier": h.arn}, nil); err == nil {
		t.Error("a deregistered host may poll")
	}
}

// A user may do what policies allow, and is told what is missing.
func TestUsersAreHeldToTheirPolicies(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	w.application("shop")
	const allow = `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "codedeploy:*", "Resource": "*"},
		{"Effect": "Deny", "Action": "codedeploy:Delete*", "Resource": "*"}]}`
	ann, bob := w.as(w.user("ann", allow)), w.as(w.user("bob", ""))
	get, remove := &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")}, &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("shop")}
	must(ann.GetApplication(ctx, get))(t)
	_, err := ann.DeleteApplication(ctx, remove)
	fails(t, err, "AccessDeniedException")
	if err == nil || !strings.Contains(err.Error(), `explicit deny in the identity-based policy "p" of user ann`) {
		t.Errorf("got %v", err)
	}
	_, err = bob.GetApplication(ctx, get)
	fails(t, err, "AccessDeniedException")
	if err == nil || !strings.Contains(err.Error(), `{"Effect": "Allow", "Action": "codedeploy:GetApplication", "Resource": `) {
		t.Errorf("got %v", err)
	}
	_, err = w.iam().DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("p")})
	ok(t, err)
	_, err = ann.GetApplication(ctx, get)
	fails(t, err, "AccessDeniedException")
	_, err = w.iam().PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ann"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}}`)})
	fails(t, err, "MalformedPolicyDocument")
}

// command runs a program with the server's environment and returns what it printed.
func (w *world) command(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), name, args...)
	cmd.Env = append(w.environ(), "PATH="+os.Getenv("PATH"), "HOME="+w.t.TempDir())
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s %v: %v: %s", name, args, err, &complaint)
	}
	return string(out)
}

// The life of a role in the aws CLI.
func TestRolesWithCLI(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the aws CLI is missing; install it with: pip install awscli")
	}
	w := start(t)
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}]}`
	w.command("aws", "iam", "create-role", "--role-name", "ci", "--path", "/ops/", "--assume-role-policy-document", trust, "--max-session-duration", "7200")
	w.command("aws", "iam", "put-role-policy", "--role-name", "ci", "--policy-name", "all", "--policy-document", all)
	var made struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	out := w.command("aws", "sts", "assume-role", "--role-arn", "arn:aws:iam::"+account+":role/ops/ci", "--role-session-name", "me", "--duration-seconds", "7200", "--output", "json")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	w.root = sigv4.Credentials{
		AccessKeyID: made.Credentials.AccessKeyId, SecretAccessKey: made.Credentials.SecretAccessKey, SessionToken: made.Credentials.SessionToken,
	}
	if got := w.command("aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"); !strings.Contains(got, ":assumed-role/ci/me") {
		t.Errorf("got %s", got)
	}
}

// rolesScript goes through every operation on roles and keys with boto3, pagination and error classes included.
const rolesScript = `
import boto3, json
from botocore.exceptions import ClientError
iam, sts = boto3.client("iam"), boto3.client("sts")
me = iam.get_user()["User"]
assert me["Arn"].endswith(":root"), me
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "codedeploy:List*", "Resource": "*"}]}
for name in ("a", "b", "c"):
    role = iam.create_role(RoleName=name, Path="/ops/", AssumeRolePolicyDocument=json.dumps(trust), Description="for tests")["Role"]
    assert role["AssumeRolePolicyDocument"] == trust and role["Arn"].endswith(":role/ops/" + name), role
names = [r["RoleName"] for page in iam.get_paginator("list_roles").paginate(PathPrefix="/ops/", PaginationConfig={"PageSize": 1}) for r in page["Roles"]]
assert names == ["a", "b", "c"], names
for name in ("p", "q"):
    iam.put_role_policy(RoleName="a", PolicyName=name, PolicyDocument=json.dumps(policy))
names = [n for page in iam.get_paginator("list_role_policies").paginate(RoleName="a", PaginationConfig={"PageSize": 1}) for n in page["PolicyNames"]]
assert names == ["p", "q"], names
assert iam.get_role_policy(RoleName="a", PolicyName="p")["PolicyDocument"] == policy
iam.update_role(RoleName="a", MaxSessionDuration=7200)
trust["Statement"][0]["Sid"] = "Everybody"
iam.update_assume_role_policy(RoleName="a", PolicyDocument=json.dumps(trust))
role = iam.get_role(RoleName="a")["Role"]
assert role["MaxSessionDuration"] == 7200 and role["Description"] == "for tests" and role["AssumeRolePolicyDocument"] == trust, role

c = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="boto", DurationSeconds=900)["Credentials"]
session = boto3.Session(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
assert session.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/a/boto")
session.client("codedeploy").list_applications()

def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
    else:
        raise AssertionError("not refused: " + code)

refused("AccessDeniedException", session.client("codedeploy").create_application, applicationName="x")
refused("DeleteConflict", iam.delete_role, RoleName="a")
refused("ValidationError", sts.assume_role, RoleArn=role["Arn"], RoleSessionName="boto", DurationSeconds=7201)
refused("ValidationError", sts.assume_role, RoleArn=role["Arn"], RoleSessionName="boto", Policy=json.dumps(policy))
refused("AccessDenied", sts.assume_role, RoleArn=role["Arn"] + "x", RoleSessionName="boto")
for name in ("p", "q"):
    iam.delete_role_policy(RoleName="a", PolicyName=name)
for name in ("a", "b", "c"):
    iam.delete_role(RoleName=name)
try:
    iam.get_role(RoleName="a")
except iam.exceptions.NoSuchEntityException:
    pass
refused("UnrecognizedClientException", session.client("codedeploy").list_applications)
`

func TestRolesWithBoto3(t *testing.T) {
	t.Parallel()
	if exec.Command("python3", "-c", "import boto3").Run() != nil {
		t.Skip("boto3 is missing; install it with: pip install boto3")
	}
	start(t).command("python3", "-c", rolesScript)
}

// What users and roles never have here is an empty list, because programs that compare or delete one ask for all of it.
func TestWhatIdentitiesNeverHave(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx, api := t.Context(), w.iam()
	name := aws.String("ann")
	must(api.CreateUser(ctx, &iam.CreateUserInput{UserName: name}))(t)
	trust := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)
	must(api.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: trust}))(t)
	for what, n := range map[string]int{
		"groups":            len(must(api.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: name}))(t).Groups),
		"attached policies": len(must(api.ListAttachedUserPolicies(ctx, &iam.ListAttachedUserPoliciesInput{UserName: name}))(t).AttachedPolicies),
		"tags":              len(must(api.ListUserTags(ctx, &iam.ListUserTagsInput{UserName: name}))(t).Tags),
		"devices":           len(must(api.ListMFADevices(ctx, &iam.ListMFADevicesInput{UserName: name}))(t).MFADevices),
		"public keys":       len(must(api.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: name}))(t).SSHPublicKeys),
		"certificates":      len(must(api.ListSigningCertificates(ctx, &iam.ListSigningCertificatesInput{UserName: name}))(t).Certificates),
		"credentials": len(must(api.ListServiceSpecificCredentials(ctx, &iam.ListServiceSpecificCredentialsInput{
			UserName: name}))(t).ServiceSpecificCredentials),
		"attached policies of a role": len(must(api.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name}))(t).AttachedPolicies),
		"instance profiles":           len(must(api.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name}))(t).InstanceProfiles),
		"tags of a role":              len(must(api.ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: name}))(t).Tags),
	} {
		if n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	_, err := api.GetLoginProfile(ctx, &iam.GetLoginProfileInput{UserName: name})
	fails(t, err, "NoSuchEntity")
	_, err = api.ListGroupsForUser(ctx, &iam.ListGroupsForUserInput{UserName: aws.String("bob")})
	fails(t, err, "NoSuchEntity")
}

// A right on instances is none over people: whoever is registered may do nothing else, so that it takes a right on their policies
// to register somebody who has some, or who does not exist yet.
func TestRegistrationTakesNobodysRights(t *testing.T) {
	t.Parallel()
	w := start(t)
	ctx := t.Context()
	registrar := w.person("registrar")
	registrar.may(allow("RegisterOnPremisesInstance", "instance/*"))
	admin := w.person("admin")
	everything := aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	must(w.iam().PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("admin"), PolicyName: aws.String("all"), PolicyDocument: everything}))(t)
	w.person("empty")
	arn := func(name string) *string { return aws.String("arn:aws:iam::" + account + ":user/" + name) }
	session := aws.String("arn:aws:sts::" + account + ":assumed-role/nobody/s")
	for _, in := range []codedeploy.RegisterOnPremisesInstanceInput{{IamUserArn: arn("admin")}, {IamUserArn: arn("later")}, {IamSessionArn: session}} {
		in.InstanceName = aws.String("evil")
		_, err := registrar.RegisterOnPremisesInstance(ctx, &in)
		fails(t, err, "AccessDeniedException")
		if err != nil && !strings.Contains(err.Error(), "may do nothing but what a host does") {
			t.Errorf("the refusal does not say why: %v", err)
		}
	}
	must(admin.ListApplications(ctx, &codedeploy.ListApplicationsInput{}))(t)
	must(registrar.RegisterOnPremisesInstance(ctx, &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: aws.String("web-1"), IamUserArn: arn("empty")}))(t)
	must(admin.RegisterOnPremisesInstance(ctx, &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: aws.String("web-2"), IamUserArn: arn("later")}))(t)
}
