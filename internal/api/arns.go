package api

import (
	"strings"

	"grapnel/internal/awsapi"
)

// arns builds and reads the ARNs of service.md 1. Where a name is missing they have a wildcard, as policies do.
type arns struct{ region, account string }

// prefix is what every ARN of this server's CodeDeploy begins with.
func (a arns) prefix() string { return "arn:aws:codedeploy:" + a.region + ":" + a.account + ":" }

func (a arns) application(name *string) string { return a.prefix() + "application:" + orAny(name) }

func (a arns) group(application, name *string) string {
	return a.prefix() + "deploymentgroup:" + orAny(application) + "/" + orAny(name)
}

func (a arns) config(name *string) string { return a.prefix() + "deploymentconfig:" + orAny(name) }

// instance is the ARN of an on-premises instance, as policies name it.
func (a arns) instance(name *string) string {
	return awsapi.InstanceARN(a.region, a.account, orAny(name))
}

func orAny(name *string) string {
	if awsapi.Value(name) == "" {
		return "*"
	}
	return *name
}

// target is the ARN of a host that is a target.
func (a arns) target(id string) string { return awsapi.TargetARN(a.region, a.account, id) }

// instanceID returns the id in the ARN of an instance, of EC2 or on-premises; an id that is none stays as it is.
func instanceID(value string) string {
	if !strings.HasPrefix(value, "arn:") {
		return value
	}
	_, id, _ := strings.Cut(value, ":instance/")
	return id
}

// resource splits an ARN into the kind of resource and its name; false when it is none of ours. Instances have a slash
// between the two, all others a colon.
func (a arns) resource(arn string) (kind, name string, ok bool) {
	rest, ours := strings.CutPrefix(arn, a.prefix())
	if name, ok := strings.CutPrefix(rest, "instance/"); ours && ok {
		return "instance", name, name != ""
	}
	kind, name, named := strings.Cut(rest, ":")
	return kind, name, ours && named && name != ""
}

// gitHubToken names the token of a GitHub account in the audit log.
func (a arns) gitHubToken(name string) string {
	return "arn:aws:grapnel:" + a.region + ":" + a.account + ":github-token/" + name
}
